// Y = S·W with S a bitmap in tiles of 256 × 128, for Hopper: those of expand.cu that large products
// take. Sums leave through shared memory.

#include "spiketune/kernels/cuda/sm90/expand_tall.cuh"

#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

template <class Y>
struct StoreRows {
  static constexpr std::uint32_t shared_bytes = tall::consumer_warps * staging_bytes;

  static constexpr std::uint32_t positions = tall::tile_m;
  static constexpr std::uint32_t at_once = 1;

  Y* y;
  std::uint64_t m;
  std::uint32_t n;

  [[nodiscard]] SPIKETUNE_HD std::uint32_t tiles_m() const {
    return static_cast<std::uint32_t>(ceil_div(m, tall::tile_m));
  }
  [[nodiscard]] __device__ static constexpr std::uint32_t parts() { return 1; }
  [[nodiscard]] __device__ static Steps steps(const Bitmap& bitmap, std::uint32_t tile) {
    return {bitmap, std::uint64_t{tile} * tall::tile_m, tall::tile_m / 64};
  }
  /// The lane's warp's 16 rows of a block of 64.
  [[nodiscard]] __device__ static std::uint64_t warp_row(std::uint32_t tile, int block) {
    return std::uint64_t{tile} * tall::tile_m + threadIdx.x / 128 * (64 * tall::blocks) +
           64 * block + threadIdx.x / 32 % 4 * warp_rows;
  }
  [[nodiscard]] __device__ static std::uint64_t row(std::uint32_t tile, std::uint32_t, int i) {
    return warp_row(tile, i / 2) + threadIdx.x % 32 / 4 + i % 2 * 8;
  }
  [[nodiscard]] tall::Rows rows() const { return {m, 1, 1, m}; }
  [[nodiscard]] __device__ static constexpr std::uint32_t row_in_tile(std::uint32_t warp,
                                                                      std::uint32_t lane, int i) {
    return warp / 4 * (64 * tall::blocks) + i / 2 * 64 + warp % 4 * warp_rows + i % 2 * 8 +
           lane / 4;
  }
  __device__ void put(const tall::Sums& sums, std::uint32_t tile, std::uint32_t,
                      std::uint32_t column, std::uint8_t* shared) const {
#pragma unroll
    for (int block = 0; block < tall::blocks; ++block) {
      store_rows<tall::tile_n>([&](int i) { return sums[block][i] * spike_scale; },
                               TileRows(y, warp_row(tile, block), m, column, n),
                               shared + threadIdx.x / 32 * staging_bytes, threadIdx.x % 32);
    }
  }
};

}  // namespace

void expand_tall(const CudaContext& context, const Bitmap& bitmap, const WeightView& weights,
                 const OutputView& output) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      tall::launch<W>(context, bitmap, weights,
                      StoreRows<Y>{static_cast<Y*>(output.data), output.m, output.n});
    }
  });
}

}  // namespace spiketune::cuda
