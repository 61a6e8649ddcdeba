// Y = S·W with S in Csr and W from shared memory. Binary spikes go to slab_groups.cu, slab_rows.cu
// or slab_union.cu. Here: values to multiply with, and slabs of 16 columns. A block of up to 32
// warps loads its slab once and walks its share of the rows. `lanes` lanes, 8 columns of the slab
// each, take a row, four spikes at a time.

#include "spiketune/kernels/slab_gather.hpp"

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/device.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/slab_groups.cuh"
#include "spiketune/kernels/cuda/slab_union.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune {
namespace cuda {
namespace {

constexpr int most_warps = 32;

template <class W>
__device__ void add_piece(float (&sums)[8], const Vector<W, 8>& piece, float value) {
#pragma unroll
  for (int i = 0; i < 8; ++i) sums[i] += value * to_float(piece.at[i]);
}
template <class W>
__device__ void add_piece(float (&sums)[8], const Vector<W, 8>& piece) {
#pragma unroll
  for (int i = 0; i < 8; ++i) sums[i] += to_float(piece.at[i]);
}

template <class W, class Y, int lanes, bool binary>
__global__ void __launch_bounds__(32 * most_warps, 1)
    slab_gather(const __grid_constant__ Csr csr, const W* __restrict__ w, Y* __restrict__ y,
                std::uint64_t m, std::uint32_t k, std::uint32_t n, std::uint64_t rows_per_block) {
  extern __shared__ uint4 slab[];
  const std::uint32_t first_column = blockIdx.x * lanes * 8;
  for (std::uint32_t i = threadIdx.x; i < (k + 1) * lanes; i += blockDim.x) {
    const std::uint32_t row = i / lanes;
    const std::uint32_t column = first_column + i % lanes * 8;
    if (row < k && column < n) {
      __pipeline_memcpy_async(slab + i, w + std::uint64_t{row} * n + column, 16);
    } else {
      slab[i] = {0, 0, 0, 0};
    }
  }
  __pipeline_commit();
  __pipeline_wait_prior(0);
  __syncthreads();

  const std::uint32_t part = threadIdx.x % lanes;
  const std::uint32_t column = first_column + part * 8;
  const auto* pieces = reinterpret_cast<const Vector<W, 8>*>(slab);
  const auto* indices = csr.column_indices.as<std::uint16_t>();  // K is small enough for them
  const std::uint64_t end_row = std::min(m, (blockIdx.y + std::uint64_t{1}) * rows_per_block);
  for (std::uint64_t row = blockIdx.y * rows_per_block + threadIdx.x / lanes; row < end_row;
       row += blockDim.x / lanes) {
    const std::uint32_t begin = csr.row_offsets[row];
    const std::uint32_t end = csr.row_offsets[row + 1];
    float sums[8] = {};
    for (std::uint32_t i = begin; i < end; i += 4) {
      // Row K of the slab, of zeros, stands for what the last four lack.
      std::uint32_t columns[4];
#pragma unroll
      for (std::uint32_t j = 0; j < 4; ++j) columns[j] = i + j < end ? indices[i + j] : k;
#pragma unroll
      for (std::uint32_t j = 0; j < 4; ++j) {
        const Vector<W, 8> weights = pieces[columns[j] * lanes + part];
        if constexpr (binary) {
          add_piece(sums, weights);
        } else {
          add_piece(sums, weights, i + j < end ? load_value(csr.values, i + j) : 0.0f);
        }
      }
    }
    if (column < n) {
      Vector<Y, 8> out;
#pragma unroll
      for (int i = 0; i < 8; ++i) out.at[i] = from_float<Y>(sums[i]);
      auto* to = reinterpret_cast<uint4*>(y + row * n + column);
#pragma unroll
      for (std::size_t i = 0; i < sizeof(out) / 16; ++i) {
        to[i] = reinterpret_cast<const uint4*>(&out)[i];
      }
    }
  }
}

std::size_t slab_bytes(std::uint32_t k, int lanes) {
  return (std::size_t{k} + 1) * lanes * 16;
}

template <class W, class Y, int lanes>
void launch(const CudaContext& context, const Csr& csr, const WeightView& weights,
            const OutputView& output) {
  const std::size_t bytes = slab_bytes(weights.k, lanes);
  const std::uint64_t slabs = ceil_div(output.n, 8 * lanes);
  const int multiprocessors = attribute(context, cudaDevAttrMultiProcessorCount);
  const std::size_t shared_per_sm =
      static_cast<std::size_t>(attribute(context, cudaDevAttrMaxSharedMemoryPerMultiprocessor));
  // Blocks that run at a time, by shared memory and by threads; rows are cut so that all do.
  const std::uint64_t resident =
      multiprocessors * std::clamp<std::uint64_t>(shared_per_sm / (bytes + 1024), 1, 2);
  const std::uint64_t least_rows = 2 * 32 / lanes;  // below that the slab is not worth its way
  const std::uint64_t parts =
      std::clamp<std::uint64_t>(std::min(resident / slabs, output.m / least_rows), 1, 65535);
  const std::uint64_t rows = ceil_div(output.m, parts);
  const auto warps = static_cast<unsigned>(
      std::min<std::uint64_t>(most_warps, ceil_div(rows * static_cast<std::uint64_t>(lanes), 32)));
  const dim3 grid(static_cast<unsigned>(slabs), static_cast<unsigned>(ceil_div(output.m, rows)));
  const auto run = [&](auto* kernel) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(bytes)));
    kernel<<<grid, 32 * warps, bytes, context.stream>>>(csr, static_cast<const W*>(weights.data),
                                                        static_cast<Y*>(output.data), output.m,
                                                        weights.k, output.n, rows);
  };
  if (csr.layout.value_type == DType::bit) {
    run(slab_gather<W, Y, lanes, true>);
  } else {
    run(slab_gather<W, Y, lanes, false>);
  }
  check_launch();
}

/// How binary spikes are gathered: from lists made for it, from the rows as they are, or by the
/// kernel above.
enum class Way { groups, rows, lanes };

Way choose_way(const CudaContext& context, const Csr& csr, std::uint32_t n,
               const SlabGather& config) {
  constexpr std::uint32_t few_slabs = 8;
  if (csr.layout.value_type != DType::bit || config.columns == 16) return Way::lanes;
  const bool wide =
      config.columns == 64 || (config.columns == 0 && wide_slab_fits(context, csr.layout.k()));
  return wide && ceil_div(n, 64) <= few_slabs ? Way::rows : Way::groups;
}

int group_columns(const CudaContext& context, const Csr& csr, const SlabGather& config) {
  if (config.columns != 0) return config.columns;
  return wide_slab_fits(context, csr.layout.k()) ? 64 : 32;
}

}  // namespace
}  // namespace cuda

std::size_t spmm_workspace_bytes(const CudaContext& context, const Csr& csr,
                                 const WeightView& weights, const OutputView& output,
                                 const SlabGather& config) {
  if (output.m == 0 || output.n == 0) return 0;
  if (cuda::choose_way(context, csr, weights.n, config) != cuda::Way::groups) return 0;
  const int columns = cuda::group_columns(context, csr, config);
  return columns == 32 ? cuda::slab_union_workspace_bytes(context, csr, weights.n)
                       : cuda::slab_groups_workspace_bytes(csr);
}

void spmm(const CudaContext& context, const Csr& csr, const WeightView& weights,
          const OutputView& output, const SlabGather& config, Workspace workspace) {
  check_spmm(csr, weights, output, Space::device);
  if (const std::string why = config.why_invalid(csr.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "slab_gather: " + why);
  }
  if (output.m == 0 || output.n == 0) return;
  const auto most =
      static_cast<std::size_t>(cuda::attribute(context, cudaDevAttrMaxSharedMemoryPerBlockOptin));
  const auto check_room = [&](bool fits) {
    if (!fits) {
      throw Error(ErrorCode::unsupported, "slab_gather: a block of this GPU has " +
                                              std::to_string(most / 1024) +
                                              " KB of shared memory, too little for the slab");
    }
  };
  if (const cuda::Way way = cuda::choose_way(context, csr, output.n, config);
      way != cuda::Way::lanes) {
    const int columns = cuda::group_columns(context, csr, config);
    check_room(columns == 32 || cuda::wide_slab_fits(context, weights.k));
    if (way == cuda::Way::rows) {
      cuda::slab_rows(context, csr, weights, output);
    } else if (columns == 32) {
      cuda::slab_union(context, csr, weights, output, workspace);
    } else {
      cuda::slab_groups(context, csr, weights, output, workspace);
    }
    return;
  }
  int lanes = config.columns / 8;
  if (lanes == 0) {
    for (lanes = 8; lanes > 2 && cuda::slab_bytes(weights.k, lanes) > most;) lanes /= 2;
    while (lanes > 2 && 8u * lanes / 2 >= output.n) lanes /= 2;
  }
  check_room(cuda::slab_bytes(weights.k, lanes) <= most);
  cuda::with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      if (lanes == 8) {
        cuda::launch<W, Y, 8>(context, csr, weights, output);
      } else if (lanes == 4) {
        cuda::launch<W, Y, 4>(context, csr, weights, output);
      } else {
        cuda::launch<W, Y, 2>(context, csr, weights, output);
      }
    }
  });
}

}  // namespace spiketune
