#include "spiketune/kernels/cuda/weight_columns.cuh"

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/half.hpp"

namespace spiketune::cuda {
namespace {

constexpr std::uint32_t side = 32;  // of a tile that is turned in shared memory
constexpr std::uint32_t rows_at_once = 8;

__device__ std::uint8_t as_byte(const WeightView& weights, std::uint64_t i, DType type) {
  if (weights.type == type) return static_cast<const std::uint8_t*>(weights.data)[i];
  const int value = load_integer(weights.data, weights.type, i);
  return type == DType::s8 ? static_cast<std::uint8_t>(value)
                           : to_e4m3(static_cast<float>(value)).bits;
}

__global__ void __launch_bounds__(side* rows_at_once)
    turn_tiles(const WeightView weights, DType type, std::uint64_t column_bytes, std::uint8_t* to) {
  __shared__ std::uint8_t tile[side][side + 1];
  const std::uint32_t n0 = blockIdx.x * side;
  for (std::uint64_t k0 = std::uint64_t{blockIdx.y} * side; k0 < column_bytes;
       k0 += std::uint64_t{gridDim.y} * side) {
    for (std::uint32_t i = threadIdx.y; i < side; i += rows_at_once) {
      const std::uint64_t k = k0 + i;
      const std::uint32_t n = n0 + threadIdx.x;
      const bool there = k < weights.k && n < weights.n;
      tile[i][threadIdx.x] = there ? as_byte(weights, k * weights.n + n, type) : std::uint8_t{0};
    }
    __syncthreads();
    for (std::uint32_t i = threadIdx.y; i < side; i += rows_at_once) {
      const std::uint64_t k = k0 + threadIdx.x;
      const std::uint32_t n = n0 + i;
      if (k < column_bytes && n < weights.n) to[n * column_bytes + k] = tile[threadIdx.x][i];
    }
    __syncthreads();
  }
}

}  // namespace

void put_by_column(const CudaContext& context, const WeightView& weights, DType type,
                   std::uint64_t column_bytes, void* to) {
  if (column_bytes == 0 || weights.n == 0) return;
  const dim3 grid(
      static_cast<unsigned>(ceil_div(weights.n, side)),
      static_cast<unsigned>(std::min<std::uint64_t>(ceil_div(column_bytes, side), 65535)));
  turn_tiles<<<grid, dim3(side, rows_at_once), 0, context.stream>>>(weights, type, column_bytes,
                                                                    static_cast<std::uint8_t*>(to));
  check_launch();
}

}  // namespace spiketune::cuda
