// dS = (dY·Wᵀ) ⊙ surrogate for Hopper. Both matrices lie along N, as operands of wgmma in shared
// memory want them. Blocks stay and take tile after tile of 192 × tile_k of dS: a warp copies 64
// columns of 192 rows of dY and of tile_k rows of W by TMA, some ahead; three warpgroups multiply
// 64 rows each, take the bits of the mask, and write. Tiles whose mask is empty are passed over by
// the copying warp; the warps beside it write their zeros.
//
// Operations: 2·M·K·N of the tiles that have a bit. With tile_k of 192 a step of 64 columns takes
// tensor cores and shared memory (768 clocks to read, 384 to write) 1,152 clocks each.

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/gradients.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma_shared.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int gradient_threads = 512;
constexpr int consumer_warps = 12;
constexpr int zero_warps = 3;
constexpr std::uint32_t tile_m = 192;
constexpr std::uint32_t depth = 64;  // columns of dY and W per step
constexpr std::uint32_t row_bytes = depth * 2;
constexpr std::uint32_t no_tile = 0xffffffffu;
template <int tile_k>
constexpr std::uint32_t stage_bytes = (tile_m + tile_k) * row_bytes;
template <int tile_k>
constexpr std::uint32_t stages = 200 * 1024 / stage_bytes<tile_k>;

struct Maps {
  CUtensorMap dy;
  CUtensorMap w;
};

/// A tile of dS, and its part of the mask.
template <int tile_k>
struct MaskTile {
  static constexpr std::uint32_t words = tile_k / 32;

  __device__ MaskTile(const SurrogateView& surrogate, std::uint32_t tile, std::uint64_t rows,
                      std::uint32_t columns)
      : mask(surrogate.mask),
        m(rows),
        k(columns),
        words_per_row(static_cast<std::uint32_t>(ceil_div(columns, 32))) {
    const auto across = static_cast<std::uint32_t>(ceil_div(columns, tile_k));
    row = std::uint64_t{tile / across} * tile_m;
    column = tile % across * tile_k;
  }
  /// Columns 32·i .. 32·i + 31 of a row of the tile; zeros beyond the matrix.
  [[nodiscard]] __device__ std::uint32_t word(std::uint32_t in_tile, std::uint32_t i) const {
    const std::uint32_t w = column / 32 + i;
    if (row + in_tile >= m || w >= words_per_row) return 0;
    return __ldg(mask + (row + in_tile) * words_per_row + w) & low_mask(k - 32 * w);
  }
  /// A warp asks together.
  [[nodiscard]] __device__ bool any() const {
    std::uint32_t found = 0;
#pragma unroll 4  // as registers of the copying warp allow
    for (std::uint32_t i = 0; i < tile_m * words / 32; ++i) {
      const std::uint32_t at = i * 32 + threadIdx.x % 32;
      found |= word(at / words, at % words);
    }
    return __any_sync(0xffffffffu, found != 0) != 0;
  }

  const std::uint32_t* mask;
  std::uint64_t m;
  std::uint32_t k;
  std::uint32_t words_per_row;
  std::uint64_t row;
  std::uint32_t column;
};

/// A warp writes zeros.
template <int tile_k, class Y>
__device__ void clear_tile(const MaskTile<tile_k>& tile, Y* ds) {
  constexpr std::uint32_t pieces = tile_k / 8;
  const Vector<Y, 8> zeros{};
  for (std::uint32_t i = threadIdx.x % 32; i < tile_m * pieces; i += 32) {
    const std::uint64_t row = tile.row + i / pieces;
    const std::uint32_t column = tile.column + i % pieces * 8;
    if (row < tile.m && column < tile.k) {
      *reinterpret_cast<Vector<Y, 8>*>(ds + row * tile.k + column) = zeros;
    }
  }
}

/// sums[4·i] and sums[4·i + 1] belong to columns 8·i + 2·(lane % 4) and the next of a row.
template <int tile_k>
__device__ void apply_mask(float* sums, const std::uint32_t (&words)[tile_k / 32],
                           std::uint32_t lane) {
#pragma unroll
  for (int i = 0; i < tile_k / 8; ++i) {
    const std::uint32_t bits = words[i / 4] >> (i % 4 * 8 + 2 * (lane % 4));
    sums[4 * i] = (bits & 1u) != 0 ? sums[4 * i] : 0.0f;
    sums[4 * i + 1] = (bits & 2u) != 0 ? sums[4 * i + 1] : 0.0f;
  }
}

/// `from`: of the row's first column in the tile, of `columns` that there are.
template <int tile_k, class Value>
__device__ void apply_values(float* sums, const Value* from, std::uint32_t columns,
                             std::uint32_t lane) {
#pragma unroll
  for (std::uint32_t i = 0; i < tile_k / 8; ++i) {
    const std::uint32_t at = 8 * i + 2 * (lane % 4);
    if (at >= columns) continue;
    const auto pair = *reinterpret_cast<const Vector<Value, 2>*>(from + at);
    // Values where the mask has no bit may be anything.
    if (sums[4 * i] != 0) sums[4 * i] *= to_float(pair.at[0]);
    if (sums[4 * i + 1] != 0) sums[4 * i + 1] *= to_float(pair.at[1]);
  }
}

/// The values of a row, of whatever type.
template <int tile_k>
__device__ void apply_values(float* sums, const SurrogateView& surrogate, std::uint64_t first,
                             std::uint32_t columns, std::uint32_t lane) {
  if (surrogate.type == DType::f32) {
    apply_values<tile_k>(sums, static_cast<const float*>(surrogate.values) + first, columns, lane);
  } else if (surrogate.type == DType::f16) {
    apply_values<tile_k>(sums, static_cast<const Half*>(surrogate.values) + first, columns, lane);
  } else {
    apply_values<tile_k>(sums, static_cast<const Bfloat16*>(surrogate.values) + first, columns,
                         lane);
  }
}

template <class W, class Y, int tile_k, bool has_values>
__global__ void __launch_bounds__(gradient_threads, 1)
    masked_product(const __grid_constant__ Maps maps, const SurrogateView surrogate,
                   Y* __restrict__ ds, std::uint64_t m, std::uint32_t k, std::uint32_t n,
                   std::uint32_t tiles) {
  constexpr std::uint32_t count = stages<tile_k>;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[count];
  __shared__ std::uint64_t empty_states[count];
  __shared__ std::uint32_t tile_of[count];  // of the step in that buffer, where it is a first one
  const Ring ring(full_states, empty_states);
  std::uint8_t* buffers = shared + bytes_to_buffers(shared_address(shared));
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < count; ++i) ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();
  const auto steps = static_cast<std::uint32_t>(ceil_div(n, depth));
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  Turn turn(count);
  if (warp > consumer_warps) {
    leave_registers<40>();
    for (std::uint32_t tile = blockIdx.x + (warp - consumer_warps - 1) * gridDim.x; tile < tiles;
         tile += zero_warps * gridDim.x) {
      const MaskTile<tile_k> mask(surrogate, tile, m, k);
      if (!mask.any()) clear_tile<tile_k>(mask, ds);
    }
    return;
  }
  if (warp == consumer_warps) {
    leave_registers<40>();
    for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const MaskTile<tile_k> mask(surrogate, tile, m, k);
      if (!mask.any()) continue;
      if (lane == 0) {
        for (std::uint32_t step = 0; step < steps; ++step, turn.advance()) {
          ring.empty.wait(turn.stage, turn.parity ^ 1);
          if (step == 0) tile_of[turn.stage] = tile;
          ring.full.arrive_expecting(turn.stage, stage_bytes<tile_k>);
          std::uint8_t* to = buffers + turn.stage * stage_bytes<tile_k>;
          copy_box(to, &maps.dy, step * depth, static_cast<std::uint32_t>(mask.row),
                   ring.full.at(turn.stage));
          copy_box(to + tile_m * row_bytes, &maps.w, step * depth, mask.column,
                   ring.full.at(turn.stage));
        }
      }
      __syncwarp();
    }
    if (lane == 0) {
      ring.empty.wait(turn.stage, turn.parity ^ 1);
      tile_of[turn.stage] = no_tile;
      ring.full.arrive(turn.stage);
    }
    return;
  }

  take_registers<152>();
  const std::uint64_t described = describe_k_major(buffers);
  const std::uint32_t group = warp / 4;
  const std::uint32_t lane_row = group * 64 + warp % 4 * 16 + lane / 4;
  const auto release_previous = [&] {  // the buffer of the step before
    if (lane == 0) ring.empty.arrive(turn.previous_stage());
  };
  for (;;) {
    ring.full.wait(turn.stage, turn.parity);
    const std::uint32_t tile = *static_cast<volatile std::uint32_t*>(tile_of + turn.stage);
    if (tile == no_tile) return;
    const MaskTile<tile_k> mask(surrogate, tile, m, k);
    std::uint32_t words[2][tile_k / 32];
#pragma unroll
    for (std::uint32_t i = 0; i < tile_k / 32; ++i) {
      words[0][i] = mask.word(lane_row, i);
      words[1][i] = mask.word(lane_row + 8, i);
    }
    float sums[tile_k / 2] = {};
    for (std::uint32_t step = 0; step < steps; ++step) {
      ring.full.wait(turn.stage, turn.parity);
      begin_products();
      const std::uint64_t a =
          described + turn.stage * (stage_bytes<tile_k> >> 4) + group * next_64_of_rows;
      const std::uint64_t b =
          described + turn.stage * (stage_bytes<tile_k> >> 4) + (tile_m * row_bytes >> 4);
#pragma unroll
      for (std::uint32_t i = 0; i < depth / 16; ++i) {
        multiply_shared<W, tile_k>(sums, a + i * next_16_of_k, b + i * next_16_of_k);
      }
      commit_products();
      wait_for_products<1>();
      if (step > 0) release_previous();
      turn.advance();
    }
    wait_for_products<0>();
    release_previous();
    keep_in_place(sums);
#pragma unroll
    for (int below = 0; below < 2; ++below) {
      const std::uint64_t row = mask.row + lane_row + 8 * below;
      float* row_sums = sums + 2 * below;
      apply_mask<tile_k>(row_sums, words[below], lane);
      if constexpr (has_values) {
        if (row < m) {
          apply_values<tile_k>(row_sums, surrogate, row * k + mask.column, k - mask.column, lane);
        }
        __syncwarp();
      }
      store_row<tile_k>(row_sums, row < m ? ds + row * k : nullptr, mask.column, k, lane, 1.0f);
    }
  }
}

template <class W, class Y, int tile_k, bool has_values>
void launch(const CudaContext& context, const GradientView& gradient, const WeightView& weights,
            const SurrogateView& surrogate, const OutputView& result, int multiprocessors) {
  constexpr int bytes = stages<tile_k> * stage_bytes<tile_k> + buffer_alignment;
  const CUtensorMapDataType type = weights.type == DType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                                              : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  const auto map = [&](const void* data, std::uint64_t rows, std::uint32_t box_rows) {
    return map_matrix(type, data, rows, weights.n, std::uint64_t{weights.n} * 2, box_rows, depth,
                      CU_TENSOR_MAP_SWIZZLE_128B);
  };
  const Maps maps{map(gradient.data, gradient.m, tile_m), map(weights.data, weights.k, tile_k)};
  const auto tiles =
      static_cast<std::uint32_t>(ceil_div(result.m, tile_m) * ceil_div(weights.k, tile_k));
  const auto kernel = masked_product<W, Y, tile_k, has_values>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  kernel<<<std::min(tiles, static_cast<unsigned>(multiprocessors)), gradient_threads, bytes,
           context.stream>>>(maps, surrogate, static_cast<Y*>(result.data), result.m, weights.k,
                             weights.n, tiles);
  check_launch();
}

/// Clocks that the busiest multiprocessor needs for a step of all its tiles.
std::uint64_t busiest(const OutputView& result, int tile_k, int multiprocessors) {
  const std::uint64_t tiles = ceil_div(result.m, tile_m) * ceil_div(result.n, tile_k);
  return ceil_div(tiles, multiprocessors) * (tile_k == 192 ? 1152 : 896);
}

}  // namespace

void spike_gradient_on_hopper(const CudaContext& context, const GradientView& gradient,
                              const WeightView& weights, const SurrogateView& surrogate,
                              const OutputView& result) {
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const bool wide = busiest(result, 192, multiprocessors) <= busiest(result, 128, multiprocessors);
  with_types(weights.type, result.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      const auto run = [&]<int tile_k, bool has_values>() {
        launch<W, Y, tile_k, has_values>(context, gradient, weights, surrogate, result,
                                         multiprocessors);
      };
      if (surrogate.values == nullptr) {
        wide ? run.template operator()<192, false>() : run.template operator()<128, false>();
      } else {
        wide ? run.template operator()<192, true>() : run.template operator()<128, true>();
      }
    }
  });
}

}  // namespace spiketune::cuda
