// Gradients: the columns of S as rows of bits or slots, dispatch, and dS by plain f32 arithmetic,
// for what Hopper's kernels do not take.

#include "spiketune/kernels/cuda/gradients.cuh"

#include <type_traits>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/dependent_launch.cuh"
#include "spiketune/core/cuda/transpose_bits.cuh"
#include "spiketune/core/error.hpp"
#include "spiketune/core/workspace.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/kernels/cuda/f32_tile.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune {
namespace cuda {
namespace {

constexpr std::uint32_t transpose_warps = 4;

/// Words first .. first + count - 1 of columns 32·w + lane.
template <std::uint32_t count>
__device__ void load_columns(const Bitmap& bitmap, std::uint32_t first, std::uint32_t w,
                             std::uint32_t (&rows)[count]) {
  const std::uint64_t row = std::uint64_t{first} * 32 + threadIdx.x % 32;
#pragma unroll
  for (std::uint32_t i = 0; i < count; ++i) {
    const bool there = w < bitmap.words_per_row() && row + 32 * i < bitmap.layout.m();
    rows[i] = there ? bitmap.words[bitmap.word_index(row + 32 * i, w)] : 0;
  }
#pragma unroll
  for (std::uint32_t i = 0; i < count; ++i) rows[i] = transpose_bits(rows[i]);
}

__device__ void load_columns(const ColumnBits& columns, std::uint32_t first, std::uint32_t w,
                             std::uint32_t k, std::uint32_t (&rows)[2]) {
  const std::uint32_t column = 32 * w + threadIdx.x % 32;
  const std::uint32_t* from = columns.bits + std::uint64_t{column} * columns.words + first;
#pragma unroll
  for (std::uint32_t i = 0; i < 2; ++i) rows[i] = column < k ? from[i] : 0;
}

/// A warp makes words of 256 rows and 32 columns.
__global__ void __launch_bounds__(32 * transpose_warps)
    transpose_bitmap(const __grid_constant__ Bitmap bitmap, const ColumnBits columns) {
  const std::uint32_t w = blockIdx.y * transpose_warps + threadIdx.x / 32;
  if (w >= bitmap.words_per_row()) return;
  std::uint32_t rows[unit_words];
  load_columns(bitmap, blockIdx.x * unit_words, w, rows);
  const std::uint32_t column = 32 * w + threadIdx.x % 32;
  if (column < bitmap.layout.k()) columns.store(column, blockIdx.x * unit_words, rows);
}

/// A warp makes slots of 64 rows and twice 32 columns. Bits may lie where the residual comes.
template <class Source>
__global__ void __launch_bounds__(32 * transpose_warps)
    make_slots(const __grid_constant__ Source source, const ColumnSlots slots, const Parts parts) {
  start_dependents();
  const std::uint64_t thread =
      (std::uint64_t{blockIdx.y} * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x;
  const std::uint64_t threads = std::uint64_t{gridDim.x} * gridDim.y * blockDim.x;
  for (std::uint64_t i = thread; i < parts.count; i += threads) parts.flags[i] = 0;
  const std::uint32_t pair = blockIdx.y * transpose_warps + threadIdx.x / 32;
  const std::uint32_t w = pair / 2 * 4 + pair % 2;
  std::uint32_t rows[2][2];
#pragma unroll
  for (std::uint32_t b = 0; b < 2; ++b) {
    if constexpr (std::is_same_v<Source, Bitmap>) {
      load_columns(source, 2 * blockIdx.x, w + 2 * b, rows[b]);
    } else {
      load_columns(source, 2 * blockIdx.x, w + 2 * b, slots.k, rows[b]);
    }
  }
  slots.store(blockIdx.x, w, rows);
}

__device__ void set_bit(const ColumnBits& columns, std::uint32_t column, std::uint64_t row) {
  atomicOr(columns.bits + std::uint64_t{column} * columns.words + row / 32, 1u << row % 32);
}

/// A warp sets the bits of a row.
__global__ void mark_spikes(const Csr csr, const ColumnBits columns) {
  const std::uint64_t row = (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  if (row >= csr.layout.m()) return;
  const std::uint64_t end = csr.row_offsets[row + 1];
  for (std::uint64_t i = csr.row_offsets[row] + threadIdx.x % 32; i < end; i += 32) {
    set_bit(columns, load_index(csr.column_indices, i), row);
  }
}

/// A block sets the bits of a column.
__global__ void mark_spikes(const Csc csc, const ColumnBits columns) {
  const std::uint32_t end = csc.column_offsets[blockIdx.x + 1];
  for (std::uint32_t i = csc.column_offsets[blockIdx.x] + threadIdx.x; i < end; i += blockDim.x) {
    set_bit(columns, blockIdx.x, load_index(csc.row_indices, i));
  }
}

void make_columns(const CudaContext& context, const Bitmap& bitmap, const ColumnBits& columns) {
  const dim3 grid(static_cast<unsigned>(ceil_div(bitmap.layout.m(), unit_rows)),
                  static_cast<unsigned>(ceil_div(bitmap.words_per_row(), transpose_warps)));
  transpose_bitmap<<<grid, 32 * transpose_warps, 0, context.stream>>>(bitmap, columns);
  check_launch();
}
template <class Format>
void make_columns(const CudaContext& context, const Format& format, const ColumnBits& columns) {
  const std::uint32_t k = format.layout.k();
  fill(context, columns.bits, 0, std::uint64_t{k} * columns.words * 4);
  const auto blocks =
      std::is_same_v<Format, Csc> ? std::uint64_t{k} : ceil_div(format.layout.m(), 8);
  mark_spikes<<<static_cast<unsigned>(blocks), 256, 0, context.stream>>>(format, columns);
  check_launch();
}

template <class Source>
void launch_slots(const CudaContext& context, const Source& source, const ColumnSlots& slots,
                  const Parts& parts) {
  // Whole tiles: a block has the four pairs of words of one.
  static_assert(transpose_warps == ColumnSlots::tile_columns / 64);
  const dim3 grid(slots.words / 2,
                  static_cast<unsigned>(ceil_div(slots.k, ColumnSlots::tile_columns)));
  make_slots<<<grid, 32 * transpose_warps, 0, context.stream>>>(source, slots, parts);
  check_launch();
}
void make_columns(const CudaContext& context, const Bitmap& bitmap, const ColumnSlots& slots,
                  const Parts& parts) {
  launch_slots(context, bitmap, slots, parts);
}
template <class Format>
void make_columns(const CudaContext& context, const Format& format, const ColumnSlots& slots,
                  const Parts& parts) {
  const ColumnBits columns{slots.residual, slots.words};
  make_columns(context, format, columns);
  launch_slots(context, columns, slots, parts);
}

bool aligned(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
}

bool is_hopper(const CudaContext& context) {
  int major = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, context.device));
  return major == 9;
}

/// What lies in the workspace of weight_gradient().
struct Scratch {
  Scratch(WorkspaceCarver& carver, const CudaContext& context, const EncodedLayout& layout,
          const GradientView& gradient)
      : sparse(is_hopper(context) && gradient.type != DType::f32 && gradient.n % 8 == 0 &&
               gradient.m > 0 && gradient.m < 1u << 31) {
    const std::uint64_t k = layout.k();
    const auto words = static_cast<std::uint32_t>(
        sparse ? ceil_div(layout.m(), unit_rows) * unit_words : ceil_div(layout.m(), 32));
    auto* bits = carver.take<std::uint32_t>(k * words);
    columns = {bits, words};
    status = carver.take<EncodeStatus>(1);
    if (!sparse) return;
    const std::uint64_t tiles = ceil_div(k, ColumnSlots::tile_columns);
    slots = {carver.take<std::uint32_t>(tiles * (words / unit_words) * ColumnSlots::unit_size),
             bits, words, layout.k()};
    const std::uint64_t count = count_parts(context, layout.k(), gradient);
    parts = {carver.take<float>(count * part_size), carver.take<std::uint32_t>(count), count};
  }
  bool sparse;
  ColumnBits columns{};
  EncodeStatus* status = nullptr;
  ColumnSlots slots{};
  Parts parts{};
};

/// Columns of S as a bitmap of Sᵀ.
Bitmap transposed_bitmap(const EncodedLayout& layout, const Scratch& scratch) {
  EncodedLayout transposed = layout;
  transposed.shape = {1, layout.k(), static_cast<std::uint32_t>(layout.m())};
  transposed.row_order = RowOrder::time_major;
  Bitmap bitmap = Bitmap::plan(transposed, {});
  bitmap.words.data = scratch.columns.bits;
  bitmap.status = scratch.status;
  return bitmap;
}

void multiply_bitmap(const CudaContext& context, const Bitmap& bitmap, const GradientView& gradient,
                     const OutputView& result) {
  const WeightView dy{gradient.data, gradient.type, static_cast<std::uint32_t>(gradient.m),
                      gradient.n, Space::device};
  if (const Expand expand; expand.why_invalid(bitmap.layout, dy, result).empty()) {
    return spmm(context, bitmap, dy, result, expand, {});
  }
  for (const RowGather& gather : RowGather::all()) {
    if (!gather.why_invalid(bitmap.layout, dy, result).empty()) continue;
    return spmm(context, bitmap, dy, result, gather, {});
  }
}

using f32_tile::depth;
using f32_tile::per_thread;
using f32_tile::side;
using f32_tile::tile;

/// Whether the mask has a bit among 64 rows and columns. All threads of the block call.
__device__ bool any_bit(const SurrogateView& surrogate, std::uint64_t row0, std::uint32_t column0,
                        std::uint64_t m, std::uint32_t k) {
  const std::uint32_t thread = threadIdx.y * side + threadIdx.x;
  const std::uint64_t row = row0 + thread / 2;
  const std::uint32_t word = column0 / 32 + thread % 2;
  const std::uint64_t words = ceil_div(k, 32);
  const bool any = thread < 2 * tile && row < m && word < words &&
                   (surrogate.mask[row * words + word] & low_mask(k - 32 * word)) != 0;
  return __syncthreads_or(any) != 0;
}

template <class W, class Y>
__global__ void __launch_bounds__(side* side)
    spike_gradient_tiles(const W* __restrict__ dy, const W* __restrict__ w,
                         const SurrogateView surrogate, Y* __restrict__ ds, std::uint64_t m,
                         std::uint32_t k, std::uint32_t n) {
  __shared__ float dy_tile[depth][tile + 1];
  __shared__ float w_tile[depth][tile + 1];
  const std::uint64_t row0 = std::uint64_t{blockIdx.x} * tile;
  const int thread = static_cast<int>(threadIdx.y * side + threadIdx.x);
  const AnyArray values{const_cast<void*>(surrogate.values), surrogate.type, m * k};
  for (std::uint32_t column0 = blockIdx.y * tile; column0 < k; column0 += gridDim.y * tile) {
    f32_tile::Sums sums = {};
    const bool any = any_bit(surrogate, row0, column0, m, k);
    for (std::uint32_t n0 = 0; any && n0 < n; n0 += depth) {
      for (int i = thread; i < tile * depth; i += side * side) {
        const std::uint32_t at = n0 + i % depth;
        const std::uint64_t row = row0 + i / depth;
        const std::uint32_t column = column0 + i / depth;
        dy_tile[i % depth][i / depth] = row < m && at < n ? to_float(dy[row * n + at]) : 0;
        w_tile[i % depth][i / depth] =
            column < k && at < n ? to_float(w[std::uint64_t{column} * n + at]) : 0;
      }
      __syncthreads();
      f32_tile::multiply(dy_tile, w_tile, sums);
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < per_thread; ++i) {
#pragma unroll
      for (int j = 0; j < per_thread; ++j) {
        const std::uint64_t row = row0 + threadIdx.y + i * side;
        const std::uint32_t column = column0 + threadIdx.x + j * side;
        if (row >= m || column >= k) continue;
        const bool set =
            (surrogate.mask[row * ceil_div(k, 32) + column / 32] >> column % 32 & 1u) != 0;
        float out = set ? sums[i][j] : 0.0f;
        if (set && values.data != nullptr) out *= load_value(values, row * k + column);
        ds[row * k + column] = from_float<Y>(out);
      }
    }
  }
}

}  // namespace
}  // namespace cuda

template <class Format>
std::size_t weight_gradient_workspace_bytes(const CudaContext& context, const Format& spikes,
                                            const GradientView& gradient) {
  WorkspaceCarver carver;
  cuda::Scratch(carver, context, spikes.layout, gradient);
  return carver.bytes();
}

template <class Format>
void weight_gradient(const CudaContext& context, const Format& spikes, const GradientView& gradient,
                     const OutputView& result, Workspace workspace) {
  check_weight_gradient(spikes, gradient, result, Space::device);
  require(spikes.layout.value_type == DType::bit, ErrorCode::invalid_argument,
          "weight_gradient: spikes must be binary");
  require(cuda::aligned(gradient.data) && cuda::aligned(result.data), ErrorCode::invalid_argument,
          "weight_gradient: dY and dW must be aligned to 16 bytes");
  if (result.bytes() == 0) return;
  if (gradient.m == 0) return fill(context, result.data, 0, result.bytes());
  WorkspaceCarver carver(workspace);
  const cuda::Scratch scratch(carver, context, spikes.layout, gradient);
  if (scratch.sparse) {
    cuda::make_columns(context, spikes, scratch.slots, scratch.parts);
    cuda::weight_gradient_on_hopper(context, scratch.slots, gradient, result, scratch.parts);
  } else {
    cuda::make_columns(context, spikes, scratch.columns);
    cuda::multiply_bitmap(context, cuda::transposed_bitmap(spikes.layout, scratch), gradient,
                          result);
  }
}

void spike_gradient(const CudaContext& context, const GradientView& gradient,
                    const WeightView& weights, const SurrogateView& surrogate,
                    const OutputView& result) {
  check_spike_gradient(gradient, weights, surrogate, result, Space::device);
  if (result.bytes() == 0) return;
  if (gradient.n == 0) return fill(context, result.data, 0, result.bytes());
  if (cuda::is_hopper(context) && weights.type != DType::f32 && weights.n % 8 == 0 &&
      weights.k % 8 == 0 && result.m < 1u << 31 && cuda::aligned(gradient.data) &&
      cuda::aligned(weights.data) && cuda::aligned(surrogate.values) &&
      cuda::aligned(result.data)) {
    return cuda::spike_gradient_on_hopper(context, gradient, weights, surrogate, result);
  }
  const dim3 block(cuda::side, cuda::side);
  const dim3 grid = cuda::f32_tile::grid(result.m, result.n);
  cuda::with_types(weights.type, result.type, [&]<class W, class Y>() {
    cuda::spike_gradient_tiles<<<grid, block, 0, context.stream>>>(
        static_cast<const W*>(gradient.data), static_cast<const W*>(weights.data), surrogate,
        static_cast<Y*>(result.data), result.m, weights.k, weights.n);
  });
  cuda::check_launch();
}

template std::size_t weight_gradient_workspace_bytes(const CudaContext&, const Bitmap&,
                                                     const GradientView&);
template std::size_t weight_gradient_workspace_bytes(const CudaContext&, const Csr&,
                                                     const GradientView&);
template std::size_t weight_gradient_workspace_bytes(const CudaContext&, const Csc&,
                                                     const GradientView&);
template void weight_gradient(const CudaContext&, const Bitmap&, const GradientView&,
                              const OutputView&, Workspace);
template void weight_gradient(const CudaContext&, const Csr&, const GradientView&,
                              const OutputView&, Workspace);
template void weight_gradient(const CudaContext&, const Csc&, const GradientView&,
                              const OutputView&, Workspace);

}  // namespace spiketune
