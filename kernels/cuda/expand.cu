// Y = S·W with S a bitmap, or bytes, on the tensor cores: dispatch, and the kernel for GPUs before
// Hopper. A block of 8 warps makes 128 × 64 of Y; a warp 16 rows. Tiles of 64 × 64 of W come by
// cp.async, one ahead; bits or bytes straight to registers, one step ahead.

#include <cuda_pipeline_primitives.h>

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/kernels/cuda/expand.cuh"
#include "spiketune/kernels/cuda/mma.cuh"
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

/// The lane's row of a warp's 16 and the one 8 further down, a step at a time, as operands
/// [row][32 columns][8 of them] of which a lane has two.
template <class Format>
class TwoRows;

template <>
class TwoRows<Bitmap> {
 public:
  using Part = RowWords<2>::Words;

  __device__ TwoRows(const Bitmap& bitmap, std::uint64_t row)
      : rows_(bitmap, [&]([[maybe_unused]] int i) { return row + 8 * i; }) {}
  __device__ void load(std::uint32_t step, Part& part) const { rows_.load(step, part); }
  static __device__ void expand(const Part& words, std::uint32_t lane,
                                std::uint32_t (&operands)[2][2][4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) expand_bits(words[i / 2][i % 2], lane, operands[i / 2][i % 2]);
  }
  /// Where row `row` of a step is in a tile of W.
  static __device__ std::uint32_t place(std::uint32_t row) {
    return row;
  }

 private:
  RowWords<2> rows_;
};

template <>
class TwoRows<Bytes> {
 public:
  using Part = TwoRowBytes::Pieces;

  __device__ TwoRows(const Bytes& bytes, std::uint64_t row) : rows_(bytes, row) {}
  __device__ void load(std::uint32_t step, Part& part) const { rows_.load(step, part); }
  static __device__ void expand(const Part& pieces, std::uint32_t,
                                std::uint32_t (&operands)[2][2][4]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const std::uint32_t words[4] = {pieces[i].x, pieces[i].y, pieces[i].z, pieces[i].w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        std::uint32_t(&to)[4] = operands[i][j / 2];
        expand_bytes(words[j], to[j % 2 * 2], to[j % 2 * 2 + 1]);
      }
    }
  }
  static __device__ std::uint32_t place(std::uint32_t row) {
    return place_of_row(row);
  }

 private:
  TwoRowBytes rows_;
};

/// Starts to copy rows 64·step and on, columns n0 and on; zeros beyond the matrix.
template <class Format, class W>
__device__ void fetch_weights(uint4* tile, const W* w, std::uint32_t k, std::uint32_t n,
                              std::uint32_t step, std::uint32_t n0) {
  for (std::uint32_t i = threadIdx.x; i < depth * 8; i += mma_threads) {
    const std::uint32_t row = step * depth + i / 8;
    const std::uint32_t column = n0 + i % 8 * 8;
    uint4* to = tile + piece_of(TwoRows<Format>::place(i / 8), i % 8);
    if (row < k && column < n) {
      __pipeline_memcpy_async(to, w + std::uint64_t{row} * n + column, 16);
    } else {
      *to = {0, 0, 0, 0};
    }
  }
  __pipeline_commit();
}

template <class W, class Y, class Format>
__global__ void __launch_bounds__(mma_threads)
    expand_mma(const __grid_constant__ Format spikes, const W* __restrict__ w, Y* __restrict__ y,
               std::uint32_t n) {
  __shared__ uint4 tiles[2][depth * 8];
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t m = spikes.layout.m();
  const std::uint32_t k = spikes.layout.k();
  const std::uint64_t first_row = std::uint64_t{blockIdx.x} * mma_rows;
  const std::uint64_t row = first_row + threadIdx.x / 32 * 16 + lane / 4;
  for (std::uint32_t n0 = blockIdx.y * mma_columns; n0 < n; n0 += gridDim.y * mma_columns) {
    float sums[8][4] = {};
    auto steps = steps_of(spikes, first_row, mma_rows / 64);
    std::uint32_t step = steps.next();
    const TwoRows<Format> rows(spikes, row);
    typename TwoRows<Format>::Part loaded = {};
    if (step < steps.count()) {
      fetch_weights<Format>(tiles[0], w, k, n, step, n0);
      rows.load(step, loaded);
    }
    for (std::uint32_t turn = 0; step < steps.count(); turn ^= 1) {
      const std::uint32_t next = steps.next();
      std::uint32_t operands[2][2][4];  // [8 rows further down][word]
      rows.expand(loaded, lane, operands);
      if (next < steps.count()) {
        fetch_weights<Format>(tiles[turn ^ 1], w, k, n, next, n0);
        rows.load(next, loaded);
      } else {
        __pipeline_commit();
      }
      __pipeline_wait_prior(1);
      __syncthreads();
#pragma unroll
      for (std::uint32_t half = 0; half < 2; ++half) {
        const auto& above = operands[0][half];
        const auto& below = operands[1][half];
#pragma unroll
        for (std::uint32_t part = 0; part < 2; ++part) {
          const std::uint32_t a[4] = {above[2 * part], below[2 * part], above[2 * part + 1],
                                      below[2 * part + 1]};
#pragma unroll
          for (std::uint32_t pair = 0; pair < 4; ++pair) {
            // Matrices: rows 0-7 and 8-15 of 8 columns, then of the next 8.
            std::uint32_t b[4];
            load_transposed(
                b, tiles[turn] + piece_of(32 * half + 16 * part + lane % 16, 2 * pair + lane / 16));
            mma_m16n8k16<W>(sums[2 * pair], a, b[0], b[1]);
            mma_m16n8k16<W>(sums[2 * pair + 1], a, b[2], b[3]);
          }
        }
      }
      __syncthreads();
      step = next;
    }
#pragma unroll
    for (std::uint32_t i = 0; i < 8; ++i) {
      const std::uint32_t column = n0 + 8 * i + lane % 4 * 2;
      if (column >= n) continue;
#pragma unroll
      for (std::uint32_t below = 0; below < 2; ++below) {
        if (row + 8 * below >= m) continue;
        const Vector<Y, 2> out = {{from_float<Y>(sums[i][2 * below] * spike_scale),
                                   from_float<Y>(sums[i][2 * below + 1] * spike_scale)}};
        *reinterpret_cast<Vector<Y, 2>*>(y + (row + 8 * below) * n + column) = out;
      }
    }
  }
}

int attribute(const CudaContext& context, cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, context.device));
  return value;
}

/// Elements of Y that the busiest multiprocessor makes with those tiles.
double busiest(const OutputView& output, int tile_m, int tile_n, int multiprocessors) {
  const std::uint64_t columns = ceil_div(output.n, tile_n);
  const std::uint64_t rows = ceil_div(output.m, tile_m);
  // With W in shared memory a block keeps its columns.
  const std::uint64_t share = std::max<std::uint64_t>(multiprocessors / columns, 1);
  const std::uint64_t tiles = tile_m == 64
                                  ? ceil_div(rows, share) * ceil_div(columns, multiprocessors)
                                  : ceil_div(rows * columns, multiprocessors);
  return static_cast<double>(tiles) * tile_m * tile_n;
}

/// Fills what the config leaves open: the tiles with the shortest time, if small ones are a little
/// slower for their size.
Expand choose_tiles(const Expand& config, std::uint32_t k, const OutputView& output,
                    int multiprocessors) {
  struct Option {
    int tile_m;
    int tile_n;
    double slowness;
  };
  Expand best;
  double least = 0;
  for (const Option option : {Option{256, 128, 1},
                              {128, 128, 1.1},
                              {256, 64, 1.1},
                              {128, 64, 1.4},
                              {64, 128, 1.08},
                              {64, 64, 1.3}}) {
    if (config.tile_m != 0 && config.tile_m != option.tile_m) continue;
    if (config.tile_n != 0 && config.tile_n != option.tile_n) continue;
    if (option.tile_m == 64 && !Expand::holds_weights(k, option.tile_n)) continue;
    const double time =
        busiest(output, option.tile_m, option.tile_n, multiprocessors) * option.slowness;
    if (best.tile_m == 0 || time < least) {
      best = {option.tile_m, option.tile_n};
      least = time;
    }
  }
  return best;
}

template <class Format>
void multiply(const CudaContext& context, const Format& spikes, const WeightView& weights,
              const OutputView& output, const Expand& config) {
  if (output.m == 0 || output.n == 0) return;
  if (attribute(context, cudaDevAttrComputeCapabilityMajor) == 9) {
    expand_on_hopper(context, spikes, weights, output,
                     choose_tiles(config, weights.k, output,
                                  attribute(context, cudaDevAttrMultiProcessorCount)));
    return;
  }
  const dim3 grid(
      static_cast<unsigned>(ceil_div(output.m, mma_rows)),
      static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(output.n, mma_columns), 65535)));
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      expand_mma<W, Y, Format><<<grid, mma_threads, 0, context.stream>>>(
          spikes, static_cast<const W*>(weights.data), static_cast<Y*>(output.data), output.n);
    }
  });
  check_launch();
}

}  // namespace
}  // namespace cuda

std::size_t spmm_workspace_bytes(const CudaContext&, const Bitmap&, const WeightView&,
                                 const OutputView&, const Expand&) {
  return 0;
}

void spmm(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
          const OutputView& output, const Expand& config, Workspace) {
  check_spmm(bitmap, weights, output, Space::device);
  if (const std::string why = config.why_invalid(bitmap.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "expand_mma: " + why);
  }
  cuda::multiply(context, bitmap, weights, output, config);
}

std::size_t spmm_workspace_bytes(const CudaContext&, const Bytes&, const WeightView&,
                                 const OutputView&, const ExpandBytes&) {
  return 0;
}

void spmm(const CudaContext& context, const Bytes& bytes, const WeightView& weights,
          const OutputView& output, const ExpandBytes& config, Workspace) {
  check_spmm(bytes, weights, output, Space::device);
  if (const std::string why = config.why_invalid(bytes.layout, weights, output); !why.empty()) {
    throw Error(ErrorCode::invalid_argument, "expand_mma: " + why);
  }
  require(reinterpret_cast<std::uintptr_t>(bytes.values.data) % 16 == 0,
          ErrorCode::invalid_argument, "expand_mma: bytes must be aligned to 16 bytes");
  cuda::multiply(context, bytes, weights, output, {64, config.tile_n});
}

}  // namespace spiketune
