#include "spiketune/autotune/cuda/library_blocks.hpp"

#include <algorithm>

#include "spiketune/core/buffer.hpp"
#include "spiketune/encoders/cuda/expand.cuh"

namespace spiketune::cuda {
namespace {

constexpr std::uint64_t most_thread_blocks = 1u << 16;

/// Thread blocks for `warps` warps that each may take several turns.
unsigned turns(std::uint64_t warps) {
  return static_cast<unsigned>(
      std::clamp<std::uint64_t>(ceil_div(warps, block_threads / 32), 1, most_thread_blocks));
}

__device__ std::uint64_t warps_of_grid() {
  return std::uint64_t{gridDim.x} * (blockDim.x / 32);
}

__global__ void reduce_widest(const Bsr bsr, std::uint32_t* widest) {
  const std::uint64_t threads = std::uint64_t{gridDim.x} * blockDim.x;
  std::uint32_t most = 0;
  for (std::uint64_t row = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
       row < bsr.block_rows(); row += threads) {
    const std::uint32_t count = bsr.block_row_offsets[row + 1] - bsr.block_row_offsets[row];
    most = std::max(most, count);
  }
  if (most != 0) atomicMax(widest, most);
}

/// Writes a stored block, neighbouring lanes neighbouring columns. Row r begins at
/// to + r · row_stride.
template <class T>
__device__ void write_block(const Bsr& bsr, std::uint64_t block, T* to, std::uint64_t row_stride) {
  const std::uint32_t b = bsr.block_size();
  for (std::uint32_t i = threadIdx.x % 32; i < b * b; i += 32) {
    const std::uint32_t r = i / b;
    const std::uint32_t c = i % b;
    const bool spike = (bsr.row_bits(block, r, c / 32 * 32) >> (c % 32) & 1u) != 0;
    const float value = spike ? load_value(bsr.values, block * b * b + i) : 0.0f;
    to[r * row_stride + c] = from_float<T>(value);
  }
}

template <class T>
__device__ void write_zeros(std::uint32_t b, T* to, std::uint64_t row_stride) {
  for (std::uint32_t i = threadIdx.x % 32; i < b * b; i += 32) {
    to[i / b * row_stride + i % b] = from_float<T>(0.0f);
  }
}

/// A warp to each block.
template <class T>
__global__ void expand_block_csr(const Bsr bsr, std::uint64_t blocks, std::int32_t* columns,
                                 T* values) {
  const std::uint64_t area = std::uint64_t{bsr.block_size()} * bsr.block_size();
  for (std::uint64_t block = global_warp(); block < blocks; block += warps_of_grid()) {
    if (threadIdx.x % 32 == 0) {
      columns[block] = static_cast<std::int32_t>(load_index(bsr.block_column_indices, block));
    }
    write_block(bsr, block, values + block * area, bsr.block_size());
  }
}

/// The `rank`-th block column, counted from 0, that is not among `count` ascending ones from
/// `begin` on: before the i-th of those there are column(i) − i others, which never decreases.
__device__ std::uint32_t missing_column(const AnyArray& columns, std::uint64_t begin,
                                        std::uint32_t count, std::uint32_t rank) {
  std::uint32_t low = 0;
  std::uint32_t high = count;
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    if (load_index(columns, begin + middle) - middle <= rank) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return rank + low;
}

/// A warp to each slot of each block row.
template <class T>
__global__ void expand_blocked_ell(const Bsr bsr, std::uint32_t width, std::int32_t* columns,
                                   T* values) {
  const std::uint32_t b = bsr.block_size();
  const std::uint64_t row_stride = std::uint64_t{width} * b;
  const std::uint64_t slots = bsr.block_rows() * width;
  for (std::uint64_t at = global_warp(); at < slots; at += warps_of_grid()) {
    const std::uint64_t block_row = at / width;
    const auto slot = static_cast<std::uint32_t>(at % width);
    const std::uint64_t begin = bsr.block_row_offsets[block_row];
    const auto count = static_cast<std::uint32_t>(bsr.block_row_offsets[block_row + 1] - begin);
    T* to = values + block_row * b * row_stride + std::uint64_t{slot} * b;
    std::uint32_t column = 0;
    if (slot < count) {
      column = load_index(bsr.block_column_indices, begin + slot);
      write_block(bsr, begin + slot, to, row_stride);
    } else {
      column = missing_column(bsr.block_column_indices, begin, count, slot - count);
      write_zeros(b, to, row_stride);
    }
    if (threadIdx.x % 32 == 0) columns[at] = static_cast<std::int32_t>(column);
  }
}

/// Calls run(T*) with the values as what they are.
template <class Run>
void with_type(DType type, void* values, Run&& run) {
  switch (type) {
    case DType::f16:
      run(static_cast<Half*>(values));
      break;
    case DType::bf16:
      run(static_cast<Bfloat16*>(values));
      break;
    default:
      run(static_cast<float*>(values));
  }
}

}  // namespace

void find_widest_row(const CudaContext& context, const Bsr& bsr, std::uint32_t* widest) {
  fill(context, widest, 0, sizeof *widest);
  if (bsr.block_rows() == 0) return;
  reduce_widest<<<turns(ceil_div(bsr.block_rows(), 32)), block_threads, 0, context.stream>>>(
      bsr, widest);
  check_launch();
}

void widen_block_csr(const CudaContext& context, const Bsr& bsr, std::uint64_t blocks, DType type,
                     std::int32_t* columns, void* values) {
  if (blocks == 0) return;
  with_type(type, values, [&](auto* out) {
    expand_block_csr<<<turns(blocks), block_threads, 0, context.stream>>>(bsr, blocks, columns,
                                                                          out);
  });
  check_launch();
}

void widen_blocked_ell(const CudaContext& context, const Bsr& bsr, std::uint32_t width, DType type,
                       std::int32_t* columns, void* values) {
  const std::uint64_t slots = bsr.block_rows() * width;
  if (slots == 0) return;
  with_type(type, values, [&](auto* out) {
    expand_blocked_ell<<<turns(slots), block_threads, 0, context.stream>>>(bsr, width, columns,
                                                                           out);
  });
  check_launch();
}

}  // namespace spiketune::cuda
