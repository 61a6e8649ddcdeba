// Y = S·W with S in slots, two of every four columns, on the sparse tensor cores: dispatch, and the
// kernel for GPUs before Hopper. A block of 8 warps makes 128 × 64 of Y; a warp 16 rows. Tiles of
// 64 × 64 of W come by cp.async, one ahead; words of S straight to registers, one step ahead. Rows
// of W that the residual names are added before Y is written.

#include "spiketune/kernels/cuda/sparse_mma.cuh"

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/device.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune {
namespace cuda {
namespace {

constexpr int mma_threads = 256;
constexpr std::uint32_t mma_rows = 128;
constexpr std::uint32_t mma_columns = 64;
constexpr std::uint32_t depth = 64;  // columns of S, rows of W, per step

/// Where 16 bytes of a tile of W are: pieces of a row change places with the row, so that eight
/// rows of one column of pieces lie in different banks.
__device__ std::uint32_t piece_of(std::uint32_t row, std::uint32_t piece) {
  return row * 8 + (piece ^ (row % 8));
}

/// Starts to copy rows 64·step and on, columns n0 and on; zeros beyond the matrix.
template <class W>
__device__ void fetch_weights(uint4* tile, const W* w, std::uint32_t k, std::uint32_t n,
                              std::uint32_t step, std::uint32_t n0) {
  for (std::uint32_t i = threadIdx.x; i < depth * 8; i += mma_threads) {
    const std::uint32_t row = step * depth + i / 8;
    const std::uint32_t column = n0 + i % 8 * 8;
    uint4* to = tile + piece_of(i / 8, i % 8);
    if (row < k && column < n) {
      __pipeline_memcpy_async(to, w + std::uint64_t{row} * n + column, 16);
    } else {
      *to = {0, 0, 0, 0};
    }
  }
  __pipeline_commit();
}

/// Adds the products of one step.
template <class W>
__device__ void multiply_tile(float (&sums)[8][4], const SparseOperands<1>& operands,
                              const uint4* tile, std::uint32_t lane) {
#pragma unroll
  for (std::uint32_t half = 0; half < 2; ++half) {
#pragma unroll
    for (std::uint32_t pair = 0; pair < 4; ++pair) {
      // Matrices: rows 0-7 and 8-15 of 8 columns, then of the next 8; then 16 rows further down.
      std::uint32_t upper[4];
      std::uint32_t lower[4];
      load_transposed(upper, tile + piece_of(32 * half + lane % 16, 2 * pair + lane / 16));
      load_transposed(lower, tile + piece_of(32 * half + 16 + lane % 16, 2 * pair + lane / 16));
#pragma unroll
      for (int right = 0; right < 2; ++right) {
        const std::uint32_t b[4] = {upper[2 * right], upper[2 * right + 1], lower[2 * right],
                                    lower[2 * right + 1]};
        mma_sparse_m16n8k32<W>(sums[2 * pair + right], operands.slots[0][half], b,
                               operands.metadata[0][half]);
      }
    }
  }
}

/// Adds the rows of W that the residual of a row of S names, columns n0 + 8·i + 2·(lane % 4) and
/// the next, to sums[i][first] and the next.
template <class W>
__device__ void add_residual(const TwoFour& two_four, std::uint64_t row, const W* w,
                             std::uint32_t n, std::uint32_t n0, std::uint32_t first,
                             float (&sums)[8][4]) {
  const std::uint32_t column = n0 + threadIdx.x % 4 * 2;
  const std::uint32_t end = two_four.residual_row_offsets[row + 1];
  for (std::uint32_t at = two_four.residual_row_offsets[row]; at < end; ++at) {
    const W* from = w + std::uint64_t{load_index(two_four.residual_column_indices, at)} * n;
#pragma unroll
    for (std::uint32_t i = 0; i < 8; ++i) {
      if (column + 8 * i >= n) continue;
      const auto pair = *reinterpret_cast<const Vector<W, 2>*>(from + column + 8 * i);
      sums[i][first] += to_float(pair.at[0]) * (1.0f / spike_scale);
      sums[i][first + 1] += to_float(pair.at[1]) * (1.0f / spike_scale);
    }
  }
}

template <class W, class Y>
__global__ void __launch_bounds__(mma_threads)
    sparse_mma(const __grid_constant__ TwoFour two_four, const W* __restrict__ w, Y* __restrict__ y,
               std::uint32_t n) {
  __shared__ uint4 tiles[2][depth * 8];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t m = two_four.layout.m();
  const std::uint32_t k = two_four.layout.k();
  const std::uint64_t row = std::uint64_t{blockIdx.x} * mma_rows + threadIdx.x / 32 * 16 + lane / 4;
  const std::uint32_t steps = two_four.presence_words_per_row();
  const SlotRows<2> rows(two_four, row);
  for (std::uint32_t n0 = blockIdx.y * mma_columns; n0 < n; n0 += gridDim.y * mma_columns) {
    float sums[8][4] = {};
    SlotWords<2> words;
    if (steps > 0) fetch_weights(tiles[0], w, k, n, 0, n0);
    rows.load(0, words);
    for (std::uint32_t step = 0; step < steps; ++step) {
      SparseOperands<1> operands;
      expand_slots<1>(words, lane, operands);
      if (step + 1 < steps) {
        fetch_weights(tiles[(step + 1) % 2], w, k, n, step + 1, n0);
        rows.load(step + 1, words);
      } else {
        __pipeline_commit();
      }
      __pipeline_wait_prior(1);
      __syncthreads();
      multiply_tile<W>(sums, operands, tiles[step % 2], lane);
      __syncthreads();
    }
#pragma unroll
    for (std::uint32_t below = 0; below < 2; ++below) {
      const std::uint64_t at = row + 8 * below;
      if (at >= m) continue;
      if (!two_four.prune()) add_residual(two_four, at, w, n, n0, 2 * below, sums);
#pragma unroll
      for (std::uint32_t i = 0; i < 8; ++i) {
        const std::uint32_t column = n0 + 8 * i + lane % 4 * 2;
        if (column >= n) continue;
        const Vector<Y, 2> out = {{from_float<Y>(sums[i][2 * below] * spike_scale),
                                   from_float<Y>(sums[i][2 * below + 1] * spike_scale)}};
        *reinterpret_cast<Vector<Y, 2>*>(y + at * n + column) = out;
      }
    }
  }
}

/// Fills what the config leaves open: tall tiles, unless short ones leave fewer multiprocessors
/// without work.
SparseMma choose_tiles(const SparseMma& config, const OutputView& output, int multiprocessors) {
  if (config.tile_m != 0) return config;
  const auto rows_of_a_multiprocessor = [&](std::uint64_t tile_m) {
    const std::uint64_t tiles = ceil_div(output.m, tile_m) * ceil_div(output.n, 128);
    return ceil_div(tiles, multiprocessors) * tile_m;
  };
  return {4 * rows_of_a_multiprocessor(256) <= 5 * rows_of_a_multiprocessor(128) ? 256 : 128};
}

}  // namespace
}  // namespace cuda

std::size_t spmm_workspace_bytes(const CudaContext&, const TwoFour&, const WeightView&,
                                 const OutputView&, const SparseMma&) {
  return 0;
}

void spmm(const CudaContext& context, const TwoFour& two_four, const WeightView& weights,
          const OutputView& output, const SparseMma& config, Workspace) {
  check_spmm(two_four, weights, output, Space::device);
  if (const std::string why = config.why_invalid(two_four.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "sparse_mma: " + why);
  }
  if (output.m == 0 || output.n == 0) return;
  if (cuda::attribute(context, cudaDevAttrComputeCapabilityMajor) == 9) {
    cuda::sparse_mma_on_hopper(
        context, two_four, weights, output,
        cuda::choose_tiles(config, output,
                           cuda::attribute(context, cudaDevAttrMultiProcessorCount)));
    return;
  }
  const dim3 grid(
      static_cast<unsigned>(ceil_div(output.m, cuda::mma_rows)),
      static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(output.n, cuda::mma_columns), 65535)));
  cuda::with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      cuda::sparse_mma<W, Y><<<grid, cuda::mma_threads, 0, context.stream>>>(
          two_four, static_cast<const W*>(weights.data), static_cast<Y*>(output.data), output.n);
    }
  });
  cuda::check_launch();
}

}  // namespace spiketune
