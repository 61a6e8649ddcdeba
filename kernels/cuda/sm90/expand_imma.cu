// Y = S·W with S a bitmap and W in bytes, for Hopper. As expand_tall.cu and expand.cu: a warp
// copies 64 rows of tile_n columns of W by TMA, some steps ahead; each of two warpgroups makes
// operands A of its rows in registers, of 32 columns of S at a time, and multiplies with wgmma.
// Words of S come four steps at a time, sums leave through shared memory, or charge neurons
// (spmm_lif()).

#include "spiketune/kernels/cuda/expand_imma.cuh"

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/expand_imma.cuh"
#include "spiketune/kernels/cuda/sm90/fire_rows.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"

namespace spiketune::cuda {
namespace {

constexpr int hopper_threads = 384;
constexpr std::uint32_t consumer_warps = 8;
/// Steps between the warpgroups of large tiles: fewer than W's buffers.
constexpr std::uint32_t steps_apart = 3;
static_assert(ByteColumns::step_rows == depth && depth == bit_row_bytes);

/// blocks: of 64 rows, of a warpgroup.
template <int blocks, int tile_n>
struct Shape {
  static constexpr std::uint32_t tile_m = 128 * blocks;
  static constexpr int per_sm = blocks == 1 ? 2 : 1;
  static constexpr std::uint32_t stages = blocks == 1 ? 8 : 12;
  static constexpr std::uint32_t step_bytes = depth * tile_n;
  static constexpr std::uint32_t weights_bytes = stages * step_bytes;
};

/// Rows of Y, one after the other: sums times the scales of their columns. As an `Out` of
/// expand_tall.cuh, but `ahead` is what put() wants from memory, asked for while products run.
template <class Y, class SumT, int blocks, int tile_n>
struct ScaledRows {
  using Sum = SumT;
  using Shape = Shape<blocks, tile_n>;
  static constexpr std::uint32_t shared_bytes = consumer_warps * staging_bytes;
  struct Ahead {
    float scales[tile_n / 32];  ///< of columns lane, lane + 32, ...
  };

  Y* y;
  const float* scales;
  std::uint64_t m;
  std::uint32_t n;

  [[nodiscard]] SPIKETUNE_HD std::uint32_t tiles_m() const {
    return static_cast<std::uint32_t>(ceil_div(m, Shape::tile_m));
  }
  [[nodiscard]] __device__ std::uint32_t parts() const { return 1; }
  [[nodiscard]] __device__ Steps steps(const Bitmap& bitmap, std::uint32_t tile) const {
    return {bitmap, std::uint64_t{tile} * Shape::tile_m, Shape::tile_m / 64};
  }
  /// Of the warp, of a block.
  [[nodiscard]] __device__ static std::uint64_t first_row(std::uint32_t tile, int block) {
    return std::uint64_t{tile} * Shape::tile_m + threadIdx.x / 128 * (64 * blocks) + 64 * block +
           threadIdx.x / 32 % 4 * warp_rows;
  }
  [[nodiscard]] __device__ std::uint64_t row(std::uint32_t tile, std::uint32_t, int i) const {
    return first_row(tile, i / 2) + threadIdx.x % 32 / 4 + i % 2 * 8;
  }
  [[nodiscard]] __device__ Ahead ahead(std::uint32_t column) const {
    Ahead result;
#pragma unroll
    for (int i = 0; i < tile_n / 32; ++i) {
      const std::uint32_t at = column + 32 * i + threadIdx.x % 32;
      result.scales[i] =
          byte_spike_scale<Sum> * (scales != nullptr && at < n ? __ldg(scales + at) : 1.0f);
    }
    return result;
  }
  __device__ void put(const Sum (&sums)[blocks][tile_n / 2], const Ahead& ahead, std::uint32_t tile,
                      std::uint32_t, std::uint32_t column, std::uint8_t* staging) const {
    const std::uint32_t lane = threadIdx.x % 32;
    float of_sums[tile_n / 4];  // those of columns 8·i + 2·(lane % 4) and the next
#pragma unroll
    for (int i = 0; i < tile_n / 4; ++i) {
      const int at = i / 2 * 8 + i % 2;
      of_sums[i] = __shfl_sync(0xffffffffu, ahead.scales[at / 32], at % 32 + 2 * (lane % 4));
    }
#pragma unroll
    for (int block = 0; block < blocks; ++block) {
      store_rows<tile_n>(
          [&](int i) { return static_cast<float>(sums[block][i]) * of_sums[i / 4 * 2 + i % 2]; },
          TileRows(y, first_row(tile, block), m, column, n),
          staging + threadIdx.x / 32 * staging_bytes, lane);
    }
  }
};

/// Neurons, in large tiles.
template <std::uint32_t steps_at_once>
struct Fire : FireRows<steps_at_once> {
  using Sum = std::int32_t;
  struct Ahead {};
  [[nodiscard]] __device__ Ahead ahead(std::uint32_t) const { return {}; }
  __device__ void put(const std::int32_t (&sums)[2][64], const Ahead&, std::uint32_t tile,
                      std::uint32_t part, std::uint32_t column, std::uint8_t* shared) const {
    FireRows<steps_at_once>::put(sums, tile, part, column, shared);
  }
};

template <class Out, int blocks, int tile_n>
__global__ void __launch_bounds__(hopper_threads, (Shape<blocks, tile_n>::per_sm))
    expand_imma_wgmma(const __grid_constant__ CUtensorMap w_map,
                      const __grid_constant__ Bitmap bitmap, const __grid_constant__ Out out,
                      std::uint32_t n) {
  using Shape = Shape<blocks, tile_n>;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t full_states[Shape::stages];
  __shared__ std::uint64_t empty_states[Shape::stages];
  const Ring ring(full_states, empty_states);
  std::uint8_t* buffers = shared + bytes_to_buffers(shared_address(shared));
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < Shape::stages; ++i) ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();

  const std::uint32_t tiles_m = out.tiles_m();
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(n, tile_n));
  const auto columns =
      static_cast<std::uint32_t>(ceil_div(n, ByteColumns::padding) * ByteColumns::padding);
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  Turn turn(Shape::stages);
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp != consumer_warps) return;
    for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      for (std::uint32_t part = 0; part < out.parts(); ++part) {
        Steps steps = out.steps(bitmap, tile % tiles_m);
        for (std::uint32_t step; (step = steps.next()) < steps.count(); turn.advance()) {
          if (lane == 0) {
            ring.empty.wait(turn.stage, turn.parity ^ 1);
            ring.full.arrive_expecting(turn.stage, Shape::step_bytes);
            copy_box(buffers + turn.stage * Shape::step_bytes, &w_map, 0,
                     step * columns + tile / tiles_m * tile_n, ring.full.at(turn.stage));
          }
          __syncwarp();
        }
      }
    }
    return;
  }

  take_registers<Shape::per_sm == 1 ? 240 : 104>();
  const std::uint64_t described = describe_bits(buffers);
  using Cursor = FourStepCursor<blocks, 1>;
  const auto begin = [&](std::uint32_t tile, std::uint32_t part) {
    return Cursor(bitmap, out.steps(bitmap, tile % tiles_m),
                  [&](int i) { return out.row(tile % tiles_m, part, i); });
  };
  Cursor cursor = begin(blockIdx.x, 0);
  // Where no tile follows, no sums are put away beside products.
  const bool follows = tiles > gridDim.x || out.parts() > 1;
  Apart apart(warp / 4, Shape::per_sm == 1 && follows ? steps_apart : 0);
  std::uint32_t part = 0;
  for (std::uint32_t tile = blockIdx.x; tile < tiles;) {
    typename Out::Sum sums[blocks][tile_n / 2] = {};
    std::uint32_t operands[2][blocks][4];
    std::uint32_t used = Shape::stages;  // buffer of the step before, if any
    const auto release = [&] {
      if (used != Shape::stages && lane == 0) ring.empty.arrive(used);
    };
    for (bool more = true; more;) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        more = more && cursor.step(j) < cursor.count();
        if (!more) continue;
        apart.step();
        ring.full.wait(turn.stage, turn.parity);
        const std::uint64_t b = described + turn.stage * (Shape::step_bytes >> 4);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          cursor.expand_as_bytes(j, lane, half, operands[half]);
          if (half == 1) cursor.advance(j);
          begin_products();
#pragma unroll
          for (int block = 0; block < blocks; ++block) {
            multiply_bytes<tile_n>(sums[block], operands[half][block], b + half * next_256_bits);
          }
          commit_products();
          wait_for_products<1>();
          if (half == 0) release();
        }
        used = turn.stage;
        turn.advance();
      }
    }
    const std::uint32_t column = tile / tiles_m * tile_n;
    // The next tile's first words come while this one's products end and its sums are put away.
    const std::uint32_t next_part = part + 1 < out.parts() ? part + 1 : 0;
    const std::uint32_t next = next_part == 0 ? tile + gridDim.x : tile;
    if (next < tiles) cursor = begin(next, next_part);
    const auto ahead = out.ahead(column);
    wait_for_products<0>();
    release();
#pragma unroll
    for (int block = 0; block < blocks; ++block) keep_in_place(sums[block]);
    out.put(sums, ahead, tile % tiles_m, part, column, buffers + Shape::weights_bytes);
    tile = next;
    part = next_part;
  }
  apart.end();
}

/// Words of a tile's rows by TMA, 1,024 columns of S at a time, in its 128-byte swizzle.
constexpr std::uint32_t box_steps = 16;
constexpr std::uint32_t box_bytes = 128;  // of a row
constexpr std::uint32_t boxes = 2;        // buffers
/// Sums of bytes of 128 still fit into s32.
constexpr std::uint32_t most_box_k = 131071;
/// Of such tiles, of 256 × 128: as many of W as find room beside words, and steps between the
/// warpgroups, in which one writes a tile.
constexpr std::uint32_t box_stages = 16;
constexpr std::uint32_t box_steps_apart = 9;

/// Tiles of 256 × 128 of a bitmap in rows, whose words come by TMA as W does.
template <class Sum, class Y>
__global__ void __launch_bounds__(hopper_threads, 1)
    expand_imma_boxes(const __grid_constant__ CUtensorMap w_map,
                      const __grid_constant__ CUtensorMap words_map,
                      const __grid_constant__ ScaledRows<Y, Sum, 2, 128> out, std::uint32_t steps) {
  constexpr int blocks = 2;
  constexpr int tile_n = 128;
  using Shape = Shape<blocks, tile_n>;
  constexpr std::uint32_t words_bytes = Shape::tile_m * box_bytes;
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t states[2 * (box_stages + boxes)];
  const Ring ring(states, states + box_stages);
  const Ring word_ring(states + 2 * box_stages, states + 2 * box_stages + boxes);
  std::uint8_t* const buffers = shared + bytes_to_buffers(shared_address(shared));
  std::uint8_t* const words = buffers + box_stages * Shape::step_bytes;
  if (threadIdx.x == 0) {
    for (std::uint32_t i = 0; i < box_stages; ++i) ring.init(i, consumer_warps);
    for (std::uint32_t i = 0; i < boxes; ++i) word_ring.init(i, consumer_warps);
    fence_barriers();
  }
  __syncthreads();

  const std::uint32_t tiles_m = out.tiles_m();
  const std::uint32_t tiles = tiles_m * static_cast<std::uint32_t>(ceil_div(out.n, tile_n));
  const std::uint32_t warp = __shfl_sync(~0u, threadIdx.x / 32, 0);  // uniform, the compiler sees
  const std::uint32_t lane = threadIdx.x % 32;
  CountedTurn<box_stages> turn;
  CountedTurn<boxes> word_turn;
  if (warp >= consumer_warps) {
    leave_registers<24>();
    if (warp != consumer_warps || lane != 0) return;
    const auto columns =
        static_cast<std::uint32_t>(ceil_div(out.n, ByteColumns::padding) * ByteColumns::padding);
    for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      for (std::uint32_t step = 0; step < steps; ++step, turn.advance()) {
        if (step % box_steps == 0) {
          const std::uint32_t i = word_turn.stage();
          word_ring.empty.wait(i, word_turn.parity() ^ 1);
          word_ring.full.arrive_expecting(i, words_bytes);
          copy_box(words + i * words_bytes, &words_map, step * 8, tile % tiles_m * Shape::tile_m,
                   word_ring.full.at(i));
          word_turn.advance();
        }
        const std::uint32_t i = turn.stage();
        ring.empty.wait(i, turn.parity() ^ 1);
        ring.full.arrive_expecting(i, Shape::step_bytes);
        copy_box(buffers + i * Shape::step_bytes, &w_map, 0,
                 step * columns + tile / tiles_m * tile_n, ring.full.at(i));
      }
    }
    return;
  }

  take_registers<240>();
  const std::uint32_t described =
      __shfl_sync(~0u, static_cast<std::uint32_t>(describe_bits(buffers)), 0);
  const ByteFactors<Sum> factors(lane);
  const std::uint32_t my_words =
      shared_address(words) +
      (warp / 4 * 64 * blocks + warp % 4 * warp_rows + lane / 4) * box_bytes;
  const std::uint32_t swizzle = lane / 4 * 16;
  // While the second warpgroup has not begun, the first one goes no further than there are buffers
  // for words.
  Apart apart(warp / 4,
              tiles > gridDim.x ? std::min(std::uint32_t{box_steps_apart}, boxes * steps - 1) : 0);
  for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    Sum sums[blocks][tile_n / 2] = {};
    std::uint32_t operands[2][blocks][4];
    const std::uint32_t column = tile / tiles_m * tile_n;
    auto ahead = out.ahead(column);
#pragma unroll 1
    for (std::uint32_t first = 0; first < steps; first += box_steps) {
      word_ring.full.wait(word_turn.stage(), word_turn.parity());
      const std::uint32_t from = my_words + word_turn.stage() * words_bytes;
      const auto load = [&](std::uint32_t step, uint2(&rows)[2 * blocks]) {
        const std::uint32_t at = from + (step * 8 ^ swizzle);
#pragma unroll
        for (int i = 0; i < 2 * blocks; ++i) {
          rows[i] = load_words(at + (i / 2 * 64 + i % 2 * 8) * box_bytes);
        }
      };
      uint2 now[2 * blocks];
      load(0, now);
      const std::uint32_t count = std::min(steps - first, std::uint32_t{box_steps});
#pragma unroll 1
      for (std::uint32_t step = 0; step < count; ++step) {
        uint2 next[2 * blocks];
        load((step + 1) % box_steps, next);
        apart.step();
        ring.full.wait(turn.stage(), turn.parity());
        const std::uint32_t b = described + turn.stage() * (Shape::step_bytes >> 4);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
#pragma unroll
          for (int i = 0; i < 2 * blocks; ++i) {
            factors.expand(half == 0 ? now[i].x : now[i].y, operands[half][i / 2][i % 2],
                           operands[half][i / 2][i % 2 + 2]);
          }
          begin_products();
#pragma unroll
          for (int block = 0; block < blocks; ++block) {
            multiply_bytes<tile_n>(
                sums[block], operands[half][block],
                bytes_descriptor(b + static_cast<std::uint32_t>(half * next_256_bits)));
          }
          commit_products();
          wait_for_products<1>();
          // The products of the step before are done.
          if (half == 0 && first + step != 0 && lane == 0) ring.empty.arrive(turn.previous_stage());
        }
#pragma unroll
        for (int i = 0; i < 2 * blocks; ++i) now[i] = next[i];
        turn.advance();
      }
      __syncwarp();
      if (lane == 0) word_ring.empty.arrive(word_turn.stage());
      word_turn.advance();
    }
    wait_for_products<0>();
    if (lane == 0) ring.empty.arrive(turn.previous_stage());
#pragma unroll
    for (int block = 0; block < blocks; ++block) keep_in_place(sums[block]);
#pragma unroll
    for (float& scale : ahead.scales) scale *= ByteFactors<Sum>::scale / byte_spike_scale<Sum>;
    out.put(sums, ahead, tile % tiles_m, 0, column, words + boxes * words_bytes);
  }
  apart.end();
}

template <int blocks, int tile_n, class Out>
void launch(const CudaContext& context, const Bitmap& bitmap, const ByteColumns& columns,
            std::uint32_t n, const Out& out, std::uint64_t multiprocessors) {
  using Shape = Shape<blocks, tile_n>;
  constexpr int bytes = Shape::weights_bytes + Out::shared_bytes + buffer_alignment;
  const auto kernel = expand_imma_wgmma<Out, blocks, tile_n>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  const std::uint64_t tiles = out.tiles_m() * ceil_div(n, tile_n);
  const CUtensorMap map = map_bytes(columns, tile_n);
  kernel<<<static_cast<unsigned>(std::min(tiles, multiprocessors * Shape::per_sm)), hopper_threads,
           bytes, context.stream>>>(map, bitmap, out, n);
  check_launch();
}

bool come_in_boxes(const Bitmap& bitmap, const WeightView& weights) {
  return !bitmap.params.tiles && bitmap.words_per_row() % 4 == 0 && weights.k <= most_box_k &&
         reinterpret_cast<std::uintptr_t>(bitmap.words.data) % 16 == 0;
}

template <class Sum, class Y>
void launch_boxes(const CudaContext& context, const Bitmap& bitmap, const ByteColumns& columns,
                  const ScaledRows<Y, Sum, 2, 128>& out, std::uint64_t multiprocessors) {
  using Shape = Shape<2, 128>;
  constexpr int bytes = box_stages * Shape::step_bytes + boxes * Shape::tile_m * box_bytes +
                        out.shared_bytes + buffer_alignment;
  const auto kernel = expand_imma_boxes<Sum, Y>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  const std::uint64_t row_bytes = bitmap.words_per_row() * 4;
  const CUtensorMap words_map =
      map_matrix(CU_TENSOR_MAP_DATA_TYPE_UINT8, bitmap.words.data, out.m, row_bytes, row_bytes,
                 Shape::tile_m, box_bytes, CU_TENSOR_MAP_SWIZZLE_128B);
  const std::uint64_t tiles = out.tiles_m() * ceil_div(out.n, 128);
  kernel<<<static_cast<unsigned>(std::min(tiles, multiprocessors)), hopper_threads, bytes,
           context.stream>>>(map_bytes(columns, 128), words_map, out, columns.steps);
  check_launch();
}

/// Fills what the config leaves open: the tiles with the shortest time. Those of 128 × 64 read W
/// twice as often as those of 256 × 128, of which a multiprocessor has nothing to do between two;
/// strips of 64 rows overlap.
ExpandImma choose_tiles(const ExpandImma& config, const Bitmap& bitmap, const WeightView& weights,
                        const OutputView& output, std::uint64_t multiprocessors) {
  struct Option {
    ExpandImma tiles;
    double slowness;
  };
  ExpandImma best;
  double least = 0;
  for (const Option& option : {Option{{256, 128}, 1},
                               {{128, 64}, 1.4},
                               {{64, 256}, 0.6},
                               {{64, 128}, 0.65},
                               {{64, 64}, 0.8}}) {
    const ExpandImma& tiles = option.tiles;
    if (config.tile_m != 0 && config.tile_m != tiles.tile_m) continue;
    if (config.tile_n != 0 && config.tile_n != tiles.tile_n) continue;
    const bool strips = tiles.tile_m == 64;
    if (strips &&
        (bitmap.params.tiles || !tiles.why_invalid(bitmap.layout, weights, output).empty())) {
      continue;
    }
    const std::uint64_t columns = ceil_div(output.n, tiles.tile_n);
    const std::uint64_t rows = ceil_div(output.m, tiles.tile_m);
    // With W in shared memory a block keeps its columns.
    const std::uint64_t share = std::max<std::uint64_t>(multiprocessors / columns, 1);
    const std::uint64_t turns = strips ? ceil_div(rows, share) * ceil_div(columns, multiprocessors)
                                       : ceil_div(rows * columns, multiprocessors);
    const double time = static_cast<double>(turns) * tiles.tile_m * tiles.tile_n * option.slowness;
    if (best.tile_m == 0 || time < least) {
      best = tiles;
      least = time;
    }
  }
  return best.tile_m == 0 ? ExpandImma{256, 128} : best;
}

std::uint64_t count_multiprocessors(const CudaContext& context) {
  int count = 0;
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, context.device));
  return static_cast<std::uint64_t>(count);
}

template <class Y>
void run(const CudaContext& context, const Bitmap& bitmap, const ByteColumns& columns,
         const WeightView& weights, const OutputView& output, const ExpandImma& tiles,
         std::uint64_t multiprocessors) {
  const auto with = [&]<class Sum>(Sum) {
    auto* y = static_cast<Y*>(output.data);
    if (tiles.tile_m == 128) {
      launch<1, 64>(context, bitmap, columns, output.n,
                    ScaledRows<Y, Sum, 1, 64>{y, weights.scales, output.m, output.n},
                    multiprocessors);
      return;
    }
    const ScaledRows<Y, Sum, 2, 128> rows{y, weights.scales, output.m, output.n};
    if (come_in_boxes(bitmap, weights)) {
      launch_boxes<Sum, Y>(context, bitmap, columns, rows, multiprocessors);
    } else {
      launch<2, 128>(context, bitmap, columns, output.n, rows, multiprocessors);
    }
  };
  weights.type == DType::e4m3 ? with(0.0f) : with(std::int32_t{0});
}

}  // namespace

void expand_imma_on_hopper(const CudaContext& context, const Bitmap& bitmap,
                           const ByteColumns& columns, const WeightView& weights,
                           const OutputView& output, const ExpandImma& config) {
  const std::uint64_t multiprocessors = count_multiprocessors(context);
  const ExpandImma tiles = choose_tiles(config, bitmap, weights, output, multiprocessors);
  if (tiles.tile_m == 64 &&
      expand_imma_in_strips(context, bitmap, columns, weights, output, tiles.tile_n)) {
    return;
  }
  if (output.type == DType::f16) {
    run<Half>(context, bitmap, columns, weights, output, tiles, multiprocessors);
  } else if (output.type == DType::bf16) {
    run<Bfloat16>(context, bitmap, columns, weights, output, tiles, multiprocessors);
  } else {
    run<float>(context, bitmap, columns, weights, output, tiles, multiprocessors);
  }
}

void spmm_lif_of_bytes_on_hopper(const CudaContext& context, const Bitmap& bitmap,
                                 const ByteColumns& columns, const WeightView& weights,
                                 const FireTask& task) {
  static_assert(tall::tile_m == Shape<2, 128>::tile_m && tall::tile_n == 128 &&
                tall::consumer_warps == consumer_warps);
  const std::uint64_t multiprocessors = count_multiprocessors(context);
  switch (task.out.shape.timesteps) {
    case 1:
      return launch<2, 128>(context, bitmap, columns, weights.n, Fire<1>{task}, multiprocessors);
    case 2:
      return launch<2, 128>(context, bitmap, columns, weights.n, Fire<2>{task}, multiprocessors);
    default:
      return launch<2, 128>(context, bitmap, columns, weights.n, Fire<4>{task}, multiprocessors);
  }
}

}  // namespace spiketune::cuda
