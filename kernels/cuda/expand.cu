// Y = S·W with S a bitmap, or bytes, on the tensor cores: dispatch, and what blocks before Hopper
// do with sums.

#include <algorithm>
#include <vector>

#include "spiketune/core/cuda/device.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/kernels/cuda/expand.cuh"
#include "spiketune/kernels/cuda/expand_mma.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune {
namespace cuda {
namespace {

template <class Y>
struct StoreRows {
  Y* y;
  std::uint64_t m;
  std::uint32_t n;

  [[nodiscard]] std::uint64_t tiles_m() const { return ceil_div(m, mma::tile_m); }
  [[nodiscard]] __device__ static constexpr std::uint32_t parts() { return 1; }
  template <class Format>
  [[nodiscard]] __device__ static auto steps(const Format& spikes) {
    return steps_of(spikes, std::uint64_t{blockIdx.x} * mma::tile_m, mma::tile_m / 64);
  }
  [[nodiscard]] __device__ static std::uint64_t row(std::uint32_t, int below) {
    return std::uint64_t{blockIdx.x} * mma::tile_m + threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 +
           8 * below;
  }
  __device__ void put(const mma::Sums& sums, std::uint32_t, std::uint32_t first_column) const {
#pragma unroll
    for (std::uint32_t i = 0; i < mma::tile_n / 8; ++i) {
      const std::uint32_t column = first_column + 8 * i + threadIdx.x % 4 * 2;
      if (column >= n) continue;
#pragma unroll
      for (int below = 0; below < 2; ++below) {
        const std::uint64_t at = row(0, below);
        if (at >= m) continue;
        const Vector<Y, 2> out = {{from_float<Y>(sums[i][2 * below] * spike_scale),
                                   from_float<Y>(sums[i][2 * below + 1] * spike_scale)}};
        *reinterpret_cast<Vector<Y, 2>*>(y + at * n + column) = out;
      }
    }
  }
};

/// Whether parts of K may be better than all of it: if it is small, they are over before they have
/// begun; of a bitmap in tiles the whole skips what is empty.
bool may_split(const Bitmap& bitmap) {
  return bitmap.layout.k() >= 2048 && !bitmap.params.tiles && bitmap.words_per_row() % 2 == 0;
}
bool may_split(const Bytes&) {
  return false;
}

/// Elements of Y that the busiest multiprocessor makes with those tiles.
double busiest(const OutputView& output, const Expand& tiles, int multiprocessors) {
  const std::uint64_t columns = ceil_div(output.n, tiles.tile_n);
  const std::uint64_t rows = ceil_div(output.m, tiles.tile_m);
  // With W in shared memory a block keeps its columns.
  const std::uint64_t share = std::max<std::uint64_t>(multiprocessors / columns, 1);
  const std::uint64_t turns = tiles.tile_m == 64
                                  ? ceil_div(rows, share) * ceil_div(columns, multiprocessors)
                                  : ceil_div(rows * columns * tiles.split, multiprocessors);
  return static_cast<double>(turns) * tiles.tile_m * tiles.tile_n / tiles.split;
}

struct Option {
  Expand tiles;
  double slowness;
};
std::vector<Option> options(const Bitmap&) {
  return {{{256, 128, 1}, 1},   {{128, 128, 1}, 1.1}, {{256, 64, 1}, 1.1}, {{128, 64, 1}, 1.4},
          {{64, 128, 1}, 1.08}, {{64, 64, 1}, 1.3},   {{256, 64, 2}, 1.3}};
}
std::vector<Option> options(const Bytes&) {
  return {{{128, 128, 1}, 1}, {{128, 64, 1}, 1.4}, {{64, 128, 1}, 1.1}, {{64, 64, 1}, 1.4}};
}

/// Fills what the config leaves open: the tiles with the shortest time, if small ones are a little
/// slower for their size.
template <class Format>
Expand choose_tiles(const Expand& config, const Format& spikes, const OutputView& output,
                    int multiprocessors) {
  Expand best;
  double least = 0;
  for (const Option& option : options(spikes)) {
    const Expand& tiles = option.tiles;
    if (config.tile_m != 0 && config.tile_m != tiles.tile_m) continue;
    if (config.tile_n != 0 && config.tile_n != tiles.tile_n) continue;
    if (config.split != 0 && config.split != tiles.split) continue;
    if (tiles.tile_m == 64 && !Expand::holds_weights(spikes.layout.k(), tiles.tile_n)) continue;
    if (tiles.split > 1 && config.split == 0 && !may_split(spikes)) continue;
    const double time = busiest(output, tiles, multiprocessors) * option.slowness;
    if (best.tile_m == 0 || time < least) {
      best = tiles;
      least = time;
    }
  }
  return best.tile_m == 0 ? config : best;
}

template <class Format>
void multiply(const CudaContext& context, const Format& spikes, const WeightView& weights,
              const OutputView& output, const Expand& config) {
  if (output.m == 0 || output.n == 0) return;
  if (attribute(context, cudaDevAttrComputeCapabilityMajor) == 9) {
    expand_on_hopper(
        context, spikes, weights, output,
        choose_tiles(config, spikes, output, attribute(context, cudaDevAttrMultiProcessorCount)));
    return;
  }
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      mma::launch<W>(context, spikes, weights,
                     StoreRows<Y>{static_cast<Y*>(output.data), output.m, output.n});
    }
  });
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
  cuda::multiply(context, bytes, weights, output, {config.tile_m, config.tile_n, 1});
}

}  // namespace spiketune
