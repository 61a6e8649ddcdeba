// Y = S·W with S a bitmap, or bytes, and all rows of W of a block's tile_n columns in shared
// memory, for Hopper: where K is small, W is read once, not M / tile_m times. Warpgroups take
// strips of 64 rows on their own: while one waits for words or writes its sums, the tensor cores
// have the others' products.

#include <cuda.h>

#include <algorithm>
#include <type_traits>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/sm90/expand.cuh"
#include "spiketune/kernels/cuda/sm90/ring.cuh"
#include "spiketune/kernels/cuda/sm90/tile.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr std::uint32_t strip_rows = 64;
constexpr std::uint32_t most_steps = 28;
/// Warpgroups of a block, as many as registers allow.
template <int tile_n>
inline constexpr int groups = tile_n == 64 ? 6 : 3;
/// Of few warpgroups, each makes one set of operands while another is read.
template <int tile_n>
inline constexpr int operand_sets = tile_n == 64 ? 1 : 2;

template <class Format, int tile_n>
using StripCursor = std::conditional_t<std::is_same_v<Format, Bytes>,
                                       ByteCursor<tile_n == 64 ? 2 : 4>, FourStepCursor<1, 2>>;
/// Halves of a step of which a set has the operands: bytes on their way take registers.
template <class Format>
inline constexpr int halves = std::is_same_v<Format, Bytes> ? 1 : 2;

/// Blocks of a grid are `share` for each tile_n columns.
template <class W, class Y, int tile_n, class Format>
__global__ void __launch_bounds__(128 * groups<tile_n>, 1)
    expand_strips(const __grid_constant__ CUtensorMap w_map, const __grid_constant__ Format spikes,
                  Y* __restrict__ y, std::uint32_t n, std::uint32_t share) {
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint64_t states[most_steps];
  const CopyBarriers full(states);
  std::uint8_t* buffers = shared + bytes_to_buffers(shared_address(shared));
  const std::uint32_t steps = step_count(spikes);
  const std::uint32_t column = blockIdx.x / share * tile_n;
  if (threadIdx.x == 0) {
    for (std::uint32_t step = 0; step < steps; ++step) full.init(step, 1);
    fence_barriers();
    for (std::uint32_t step = 0; step < steps; ++step) {
      full.arrive_expecting(step, stage_bytes<tile_n>);
      copy_weights<tile_n>(spikes, buffers + step * stage_bytes<tile_n>, w_map, column, step,
                           full.at(step));
    }
  }
  const std::uint64_t m = spikes.layout.m();
  const auto strips = static_cast<std::uint32_t>(ceil_div(m, strip_rows));
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t strip_step = share * groups<tile_n>;
  // Each block gets one before any warpgroup gets its second.
  std::uint32_t strip = blockIdx.x % share + threadIdx.x / 128 * share;
  using Cursor = StripCursor<Format, tile_n>;
  const auto begin = [&](std::uint32_t at) {
    const std::uint64_t row = std::uint64_t{at} * strip_rows;
    return Cursor(spikes, row, 0, 1);
  };
  Cursor cursor = begin(strip < strips ? strip : 0);
  __syncthreads();
  const std::uint64_t described = describe_rows(buffers);
  for (; strip < strips; strip += strip_step) {
    float sums[tile_n / 2] = {};
    constexpr int at_once = halves<Format>;
    constexpr int sets = operand_sets<tile_n>;
    std::uint32_t operands[sets][1][2 * at_once][4];
    const auto multiply_step = [&](int j) {
      const std::uint32_t step = cursor.step(j);
#pragma unroll
      for (int half = 0; half < 2; half += at_once) {
        auto& set = operands[(at_once == 1 ? half : j) % sets];
        if constexpr (sets == 1) {  // others' products run
          full.wait(step, 0);
          wait_for_products<0>();
        }
        cursor.template expand<at_once>(j, lane, half, set);
        if (half + at_once == 2) cursor.advance(j);
        if constexpr (sets == 2) full.wait(step, 0);
        begin_products();
        const std::uint64_t b =
            described + step * (stage_bytes<tile_n> >> 4) + 2 * half * sixteen_rows;
#pragma unroll
        for (int part = 0; part < 2 * at_once; ++part) {
          multiply<W, tile_n>(sums, set[0][part], b + part * sixteen_rows);
        }
        commit_products();
        if constexpr (sets == 2) wait_for_products<1>();
      }
    };
    for (bool more = true; more;) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        more = more && cursor.step(j) < cursor.count();
        if (more) multiply_step(j);
      }
    }
    // The next strip's first words come while this one's products end and its sums are written,
    // where there are registers for both.
    constexpr bool early = operand_sets < tile_n >> 1;
    const std::uint64_t row =
        std::uint64_t{strip} * strip_rows + threadIdx.x / 32 % 4 * 16 + lane / 4;
    const std::uint32_t next = strip + strip_step;
    if (early && next < strips) cursor = begin(next);
    wait_for_products<0>();
    keep_in_place(sums);
#pragma unroll
    for (int below = 0; below < 2; ++below) {
      const std::uint64_t at = row + 8 * below;
      store_row<tile_n>(sums + 2 * below, at < m ? y + at * n : nullptr, column, n, lane);
    }
    if (!early && next < strips) cursor = begin(next);
  }
}

template <class W, class Y, int tile_n, class Format>
void launch(const CudaContext& context, const Format& spikes, const WeightView& weights,
            const OutputView& output) {
  const auto bytes = static_cast<int>(step_count(spikes) * stage_bytes<tile_n> + buffer_alignment);
  const auto kernel = expand_strips<W, Y, tile_n, Format>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, context.device));
  const auto columns = static_cast<std::uint32_t>(ceil_div(output.n, tile_n));
  const std::uint64_t strips = ceil_div(output.m, strip_rows);
  const auto share = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      strips, std::max<std::uint32_t>(1, static_cast<std::uint32_t>(multiprocessors) / columns)));
  kernel<<<columns * share, 128 * groups<tile_n>, bytes, context.stream>>>(
      map_weights(spikes, weights), spikes, static_cast<Y*>(output.data), output.n, share);
  check_launch();
}

}  // namespace

template <class Format>
void expand_resident(const CudaContext& context, const Format& spikes, const WeightView& weights,
                     const OutputView& output, int tile_n) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      tile_n == 128 ? launch<W, Y, 128>(context, spikes, weights, output)
                    : launch<W, Y, 64>(context, spikes, weights, output);
    }
  });
}

template void expand_resident(const CudaContext&, const Bitmap&, const WeightView&,
                              const OutputView&, int);
template void expand_resident(const CudaContext&, const Bytes&, const WeightView&,
                              const OutputView&, int);

}  // namespace spiketune::cuda
