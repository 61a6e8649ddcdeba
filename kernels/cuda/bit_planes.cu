// Y = S·W with S a bitmap and W in planes of bits. A warp makes 64 × 64 of Y, from four and eight
// tiles of the instruction; lanes take 16 bytes of a row of S and of a column of a plane at a time,
// which are the operands of two. Steps of 512 columns of S come by cp.async, three ahead.

#include "spiketune/kernels/cuda/bit_planes.cuh"

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/device.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune {
namespace cuda {
namespace {

constexpr std::uint32_t pieces = step_words / 4;      // of 16 bytes
constexpr std::uint32_t step_bytes = step_words * 4;  // of a row or column in shared memory
constexpr std::uint32_t stages = 4;                   // steps of W in shared memory
constexpr std::uint32_t warp_tile = 64;               // rows and columns of Y
static_assert(padded_columns % (2 * warp_tile) == 0);

/// A thread makes the words of 32 rows of one column.
template <std::uint32_t bits>
__global__ void split_weights(const WeightView w, const Planes planes) {
  const std::uint32_t column = blockIdx.x * blockDim.x + threadIdx.x;
  if (column >= planes.columns) return;
  for (std::uint32_t at = blockIdx.y; at < planes.steps * step_words; at += gridDim.y) {
    std::uint32_t words[bits] = {};
    for (std::uint32_t i = 0; i < 32; ++i) {
      const std::uint32_t row = 32 * at + i;
      if (row >= w.k || column >= w.n) break;
      const auto value = static_cast<std::uint32_t>(
          load_integer(w.data, w.type, std::uint64_t{row} * w.n + column));
#pragma unroll
      for (std::uint32_t bit = 0; bit < bits; ++bit) words[bit] |= (value >> bit & 1u) << i;
    }
#pragma unroll
    for (std::uint32_t bit = 0; bit < bits; ++bit) {
      planes.words[planes.index(bits - 1 - bit, at / step_words, column) + at % step_words] =
          words[bit];
    }
  }
}

/// Starts to copy one step of `rows` rows of S; zeros beyond K. Rows beyond the matrix are its last
/// one: what comes of them is not kept. `width` words lie together, and so aligned.
template <std::uint32_t width>
__device__ void fetch_spikes(std::uint32_t* tile, const Bitmap& bitmap, std::uint64_t first_row,
                             std::uint32_t rows, std::uint32_t step) {
  const std::uint64_t last = bitmap.layout.m() - 1;
  const auto words = static_cast<std::uint32_t>(bitmap.params.tiles ? 2 * bitmap.tile_columns()
                                                                    : bitmap.words_per_row());
  constexpr std::uint32_t parts = step_words / width;
  for (std::uint32_t i = threadIdx.x; i < rows * parts; i += blockDim.x) {
    const std::uint64_t row = first_row + i / parts;
    const std::uint32_t word = step * step_words + i % parts * width;
    if (word < words) {
      __pipeline_memcpy_async(tile + i * width,
                              &bitmap.words[bitmap.word_index(row < last ? row : last, word)],
                              4 * width);
    } else {
      for (std::uint32_t j = 0; j < width; ++j) tile[i * width + j] = 0;
    }
  }
}

template <int warps_m, int warps_n, class Y>
__global__ void __launch_bounds__(32 * warps_m * warps_n, warps_m* warps_n > 4 ? 1 : 2)
    bit_planes(const __grid_constant__ Bitmap bitmap, const Planes planes,
               const float* __restrict__ scales, Y* __restrict__ y, std::uint32_t n,
               std::uint32_t kept) {
  constexpr std::uint32_t tile_m = warp_tile * warps_m;
  constexpr std::uint32_t tile_n = warp_tile * warps_n;
  extern __shared__ uint4 memory[];
  uint4* const spikes = memory;  // `kept` steps: all of them, or as many as there are stages
  uint4* const weights = memory + kept * tile_m * pieces;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t warp_row = warp / warps_n * warp_tile;
  const std::uint32_t warp_column = warp % warps_n * warp_tile;
  const std::uint64_t first_row = std::uint64_t{blockIdx.x} * tile_m;
  const std::uint32_t n0 = blockIdx.y * tile_n;
  const bool keeps_all = kept == planes.steps;

  const auto fetch = [&](std::uint32_t plane, std::uint32_t step, std::uint32_t turn) {
    if (plane == 0 || !keeps_all) {
      auto* tile = reinterpret_cast<std::uint32_t*>(spikes + (keeps_all ? step : turn % stages) *
                                                                 tile_m * pieces);
      const std::uint64_t words = bitmap.words_per_row();
      if (bitmap.params.tiles || words % 4 == 2) {
        fetch_spikes<2>(tile, bitmap, first_row, tile_m, step);
      } else if (words % 4 == 0) {
        fetch_spikes<4>(tile, bitmap, first_row, tile_m, step);
      } else {
        fetch_spikes<1>(tile, bitmap, first_row, tile_m, step);
      }
    }
    uint4* tile = weights + turn % stages * tile_n * pieces;
    const auto* from = reinterpret_cast<const uint4*>(planes.words + planes.index(plane, step, n0));
    for (std::uint32_t i = threadIdx.x; i < tile_n * pieces; i += blockDim.x) {
      __pipeline_memcpy_async(tile + i, from + i, 16);
    }
  };

  std::int32_t sums[4][8][4] = {};
  const std::uint32_t turns = planes.count * planes.steps;
  std::uint32_t fetched_plane = 0;
  std::uint32_t fetched_step = 0;
  std::uint32_t fetched = 0;
  const auto fetch_next = [&] {
    if (fetched < turns) {
      fetch(fetched_plane, fetched_step, fetched);
      ++fetched;
      if (++fetched_step == planes.steps) {
        fetched_step = 0;
        ++fetched_plane;
      }
    }
    __pipeline_commit();
  };
  for (std::uint32_t i = 0; i < stages - 1; ++i) fetch_next();

  std::uint32_t turn = 0;
  for (std::uint32_t plane = 0; plane < planes.count; ++plane) {
    for (std::uint32_t step = 0; step < planes.steps; ++step, ++turn) {
      __pipeline_wait_prior(stages - 2);
      __syncthreads();  // all have it, and are done with the stage that comes next
      fetch_next();
      const uint4* s =
          spikes + ((keeps_all ? step : turn % stages) * tile_m + warp_row) * pieces + lane;
      const uint4* w = weights + (turn % stages * tile_n + warp_column) * pieces + lane;
      uint4 a[4][2];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        a[i][0] = s[16 * i * pieces];
        a[i][1] = s[(16 * i + 8) * pieces];
      }
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const uint4 b = w[8 * j * pieces];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const std::uint32_t first[4] = {a[i][0].x, a[i][1].x, a[i][0].y, a[i][1].y};
          const std::uint32_t second[4] = {a[i][0].z, a[i][1].z, a[i][0].w, a[i][1].w};
          mma_m16n8k256(sums[i][j], first, b.x, b.y);
          mma_m16n8k256(sums[i][j], second, b.z, b.w);
        }
      }
    }
    // The highest plane counts negative; all but the lowest are worth twice as much as the next.
    const std::int32_t factor = (plane == 0 ? -1 : 1) * (plane + 1 < planes.count ? 2 : 1);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int at = 0; at < 4; ++at) sums[i][j][at] *= factor;
      }
    }
  }
  __pipeline_wait_prior(0);

  const std::uint64_t m = bitmap.layout.m();
  const bool paired = n % 2 == 0 && reinterpret_cast<std::uintptr_t>(y) % (2 * sizeof(Y)) == 0;
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    const std::uint32_t column = n0 + warp_column + 8 * j + lane % 4 * 2;
    if (column >= n) continue;
    const bool both = column + 1 < n;
    const float left = scales == nullptr ? 1.0f : scales[column];
    const float right = scales == nullptr || !both ? 1.0f : scales[column + 1];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int below = 0; below < 2; ++below) {
        const std::uint64_t row = first_row + warp_row + 16 * i + 8 * below + lane / 4;
        if (row >= m) continue;
        const Vector<Y, 2> out = {
            {from_float<Y>(left * static_cast<float>(sums[i][j][2 * below])),
             from_float<Y>(right * static_cast<float>(sums[i][j][2 * below + 1]))}};
        Y* to = y + row * n + column;
        if (paired) {
          *reinterpret_cast<Vector<Y, 2>*>(to) = out;
        } else {
          to[0] = out.at[0];
          if (both) to[1] = out.at[1];
        }
      }
    }
  }
}

/// How a product is cut.
struct Tiling {
  std::uint32_t tile_m = 0;
  std::uint32_t tile_n = 0;
  std::uint32_t kept = 0;  ///< steps of S in shared memory
  std::size_t shared = 0;  ///< bytes

  [[nodiscard]] std::uint64_t row_blocks(std::uint64_t m) const { return ceil_div(m, tile_m); }
  [[nodiscard]] std::uint64_t column_blocks(std::uint64_t n) const { return ceil_div(n, tile_n); }
};

/// All of S where it leaves room for as many blocks as the registers do.
Tiling tiling_of(std::uint32_t tile_m, std::uint32_t tile_n, std::uint32_t steps,
                 std::size_t per_block, std::size_t per_sm) {
  const std::size_t weights = std::size_t{stages} * tile_n * step_bytes;
  const std::size_t all = std::size_t{steps} * tile_m * step_bytes + weights;
  const std::size_t blocks = tile_m * tile_n > 4 * warp_tile * warp_tile ? 1 : 2;
  const bool keeps_all = all <= std::min(per_block, per_sm / blocks - 1024) || steps <= stages;
  const std::uint32_t kept = keeps_all ? steps : stages;
  return {tile_m, tile_n, kept, std::size_t{kept} * tile_m * step_bytes + weights};
}

/// Fills what the config leaves open: the tiles with the shortest time if every multiprocessor
/// makes as much at a time.
Tiling choose_tiling(const CudaContext& context, const BitPlanes& config, const OutputView& output,
                     std::uint32_t steps) {
  const auto per_block =
      static_cast<std::size_t>(attribute(context, cudaDevAttrMaxSharedMemoryPerBlockOptin));
  const auto per_sm =
      static_cast<std::size_t>(attribute(context, cudaDevAttrMaxSharedMemoryPerMultiprocessor));
  const auto multiprocessors =
      static_cast<std::size_t>(attribute(context, cudaDevAttrMultiProcessorCount));
  struct Option {
    int tile_m;
    int tile_n;
    double slowness;
  };
  Tiling best;
  double least = 0;
  for (const Option& option : {Option{128, 128, 1}, {256, 64, 1.1}, {256, 128, 1.2}}) {
    if (config.tile_m != 0 && config.tile_m != option.tile_m) continue;
    if (config.tile_n != 0 && config.tile_n != option.tile_n) continue;
    const Tiling tiling =
        tiling_of(static_cast<std::uint32_t>(option.tile_m),
                  static_cast<std::uint32_t>(option.tile_n), steps, per_block, per_sm);
    const std::size_t resident = tiling.shared + 1024 <= per_sm / 2 ? 2 : 1;
    const std::size_t blocks = option.tile_m * option.tile_n == 256 * 128 ? 1 : resident;
    const double time =
        static_cast<double>(ceil_div(tiling.row_blocks(output.m) * tiling.column_blocks(output.n),
                                     multiprocessors * blocks) *
                            blocks) *
        option.tile_m * option.tile_n * option.slowness;
    if (best.tile_m == 0 || time < least) {
      best = tiling;
      least = time;
    }
  }
  return best;
}

template <int warps_m, int warps_n, class Y>
void launch(const CudaContext& context, const Bitmap& bitmap, const Planes& planes,
            const WeightView& weights, const OutputView& output, const Tiling& tiling) {
  auto* kernel = bit_planes<warps_m, warps_n, Y>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(tiling.shared)));
  const dim3 grid(static_cast<unsigned>(tiling.row_blocks(output.m)),
                  static_cast<unsigned>(tiling.column_blocks(output.n)));
  kernel<<<grid, 32 * warps_m * warps_n, tiling.shared, context.stream>>>(
      bitmap, planes, weights.scales, static_cast<Y*>(output.data), output.n, tiling.kept);
  check_launch();
}

template <class Y>
void run(const CudaContext& context, const Bitmap& bitmap, const Planes& planes,
         const WeightView& weights, const OutputView& output, const Tiling& tiling) {
  if (tiling.tile_m == 128) {
    launch<2, 2, Y>(context, bitmap, planes, weights, output, tiling);
  } else if (tiling.tile_n == 128) {
    launch<4, 2, Y>(context, bitmap, planes, weights, output, tiling);
  } else {
    launch<4, 1, Y>(context, bitmap, planes, weights, output, tiling);
  }
}

}  // namespace

bool fits_hopper(const Bitmap& bitmap, const WeightView& weights, const OutputView& output) {
  const auto aligned = [](const void* pointer, std::uintptr_t bytes) {
    return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
  };
  return !bitmap.params.tiles && weights.k != 0 && weights.k % 128 == 0 && weights.n % 8 == 0 &&
         aligned(bitmap.words.data, 16) && aligned(output.data, 16) && aligned(weights.scales, 8);
}

}  // namespace cuda

std::size_t spmm_workspace_bytes(const CudaContext&, const Bitmap&, const WeightView& weights,
                                 const OutputView&, const BitPlanes&) {
  WorkspaceCarver carver;
  cuda::Planes(weights).carve(carver);
  return carver.bytes();
}

void prepare(const CudaContext& context, const WeightView& weights, const BitPlanes&,
             Workspace workspace) {
  if (weights.type != DType::s8 && weights.type != DType::s4) {
    throw Error(ErrorCode::invalid_argument, "bit_planes: W must be s8 or s4");
  }
  WorkspaceCarver carver(workspace);
  cuda::Planes planes(weights);
  planes.carve(carver);
  if (planes.steps == 0 || planes.columns == 0) return;
  const dim3 grid(planes.columns / cuda::padded_columns,
                  std::min(planes.steps * cuda::step_words, 65535u));
  auto* kernel = weights.type == DType::s8 ? cuda::split_weights<8> : cuda::split_weights<4>;
  kernel<<<grid, cuda::padded_columns, 0, context.stream>>>(weights, planes);
  cuda::check_launch();
}

void spmm(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
          const OutputView& output, const BitPlanes& config, Workspace workspace) {
  check_spmm(bitmap, weights, output, Space::device);
  if (const std::string why = config.why_invalid(bitmap.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "bit_planes: " + why);
  }
  if (output.m == 0 || output.n == 0) return;
  WorkspaceCarver carver(workspace);
  cuda::Planes planes(weights);
  planes.carve(carver);
  if (cuda::attribute(context, cudaDevAttrComputeCapabilityMajor) == 9 &&
      cuda::fits_hopper(bitmap, weights, output)) {
    cuda::bit_planes_on_hopper(context, bitmap, planes, weights, output, config);
    return;
  }
  const cuda::Tiling tiling = cuda::choose_tiling(context, config, output, planes.steps);
  if (tiling.column_blocks(output.n) > 65535) {
    throw Error(ErrorCode::unsupported, "bit_planes: N is too large for a grid of blocks");
  }
  if (output.type == DType::f16) {
    cuda::run<Half>(context, bitmap, planes, weights, output, tiling);
  } else if (output.type == DType::bf16) {
    cuda::run<Bfloat16>(context, bitmap, planes, weights, output, tiling);
  } else {
    cuda::run<float>(context, bitmap, planes, weights, output, tiling);
  }
}

}  // namespace spiketune
