// Y = S·W with S a binary Csr and W in slabs of 64 columns of shared memory, straight from the rows
// of S: where slabs are few, lists as those of slab_plan.cuh would be read too seldom to be worth
// making. A warp takes four rows. Eight lanes load eight columns of each, and shuffles hand them to
// the lanes that read those rows of W.

#include <algorithm>

#include "spiketune/kernels/cuda/slab_groups.cuh"
#include "spiketune/kernels/cuda/slab_sums.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

constexpr int rows_threads = 1024;

/// blockIdx.x: slab, blockIdx.y: part of the rows. Columns are loaded four rows of the warp ahead,
/// offsets eight.
template <class W, class Y>
__global__ void __launch_bounds__(rows_threads, 1)
    gather_rows(const __grid_constant__ Csr csr, const Slab slab, const W* __restrict__ w,
                Y* __restrict__ y, std::uint32_t m, std::uint32_t n, std::uint32_t rows_per_block) {
  extern __shared__ uint4 lines[];
  const std::uint32_t first_column = blockIdx.x * 64;
  load_slab(lines, slab, w, n, first_column);

  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t part = lane % 8;
  const char* const piece = reinterpret_cast<const char*>(lines) + part * 16;
  // Matrix lane / 8 of ldmatrix takes row matrix % 2, or 2 more, and spike matrix / 2, or 2 more.
  std::uint32_t source = lane / 8 % 2 * 8 + lane / 16;
  keep(source);
  const typename Sums<W>::Operand operand(lane);
  const std::uint32_t column = first_column + lane / 4 * 8 + lane % 4 * 2;

  const std::uint32_t end_row =
      m - blockIdx.y * rows_per_block < rows_per_block ? m : (blockIdx.y + 1) * rows_per_block;
  constexpr std::uint32_t stride = rows_threads / 32 * group_rows;
  std::uint32_t first_row = blockIdx.y * rows_per_block + threadIdx.x / 32 * group_rows;
  // The lane's columns of its row: from `at` on, every eighth.
  struct Range {
    std::uint32_t at, end;
  };
  const auto load_range = [&](std::uint32_t row) {
    return row < end_row ? Range{csr.row_offsets[row] + part, csr.row_offsets[row + 1]}
                         : Range{part, 0};
  };
  const auto* indices = csr.column_indices.as<std::uint16_t>();
  const auto load_column = [&](const Range& range, std::uint32_t ahead) -> std::uint32_t {
    return range.at + ahead < range.end ? indices[range.at + ahead] : slab.lines;
  };
  Range range = load_range(first_row + lane / 8);
  Range range1 = load_range(first_row + stride + lane / 8);
  std::uint32_t columns = load_column(range, 0);
  std::uint32_t more_columns = load_column(range, 8);
  __pipeline_wait_prior(0);
  __syncthreads();
  for (; first_row < end_row; first_row += stride) {
    const std::uint32_t columns1 = load_column(range1, 0);
    const std::uint32_t more_columns1 = load_column(range1, 8);
    const Range range2 = load_range(first_row + 2 * stride + lane / 8);
    std::uint32_t longest = __reduce_max_sync(~0u, range.end + part - range.at);
    Sums<W> sums;
    while (longest != 0) {
#pragma unroll
      for (std::uint32_t i = 0; i < 8; i += 2) {
        if (i >= longest) break;
        std::uint32_t loaded[2][4];
#pragma unroll
        for (std::uint32_t j = 0; j < 2; ++j) {
          const std::uint32_t line = __shfl_sync(~0u, columns, source + i + 16 * j);
          load_transposed(loaded[j], piece + line * line_bytes);
        }
        sums.add(operand, loaded[0], 0);
        sums.add(operand, loaded[1], 1);
      }
      if (longest <= 8) break;
      longest -= 8;
      range.at += 8;
      columns = more_columns;
      more_columns = load_column(range, 8);
    }
    const Y* out = y + std::uint64_t{first_row} * n + column;
#pragma unroll
    for (std::uint32_t i = 0; i < group_rows; ++i) {
      store_pair(out + std::uint64_t{i} * n, column < n && first_row + i < end_row,
                 sums.at[i / 2][i % 2 * 2], sums.at[i / 2][i % 2 * 2 + 1]);
    }
    range = range1;
    range1 = range2;
    columns = columns1;
    more_columns = more_columns1;
  }
}

template <class W, class Y>
void launch(const CudaContext& context, const Csr& csr, const WeightView& weights,
            const OutputView& output) {
  const Slab slab{weights.k};
  const std::uint64_t slabs = ceil_div(output.n, 64);
  const auto multiprocessors =
      static_cast<std::uint64_t>(attribute(context, cudaDevAttrMultiProcessorCount));
  constexpr std::uint64_t least_rows = 8 * group_rows;  // for which a slab is worth its load
  const std::uint64_t parts =
      std::clamp<std::uint64_t>(multiprocessors / slabs, 1, ceil_div(output.m, least_rows));
  const std::uint64_t rows = ceil_div(ceil_div(output.m, parts), group_rows) * group_rows;
  const dim3 grid(static_cast<unsigned>(slabs), static_cast<unsigned>(ceil_div(output.m, rows)));
  auto* kernel = gather_rows<W, Y>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(slab.bytes())));
  kernel<<<grid, rows_threads, slab.bytes(), context.stream>>>(
      csr, slab, static_cast<const W*>(weights.data), static_cast<Y*>(output.data),
      static_cast<std::uint32_t>(output.m), output.n, static_cast<std::uint32_t>(rows));
  check_launch();
}

}  // namespace

bool wide_slab_fits(const CudaContext& context, std::uint32_t k) {
  return k <= most_lines(context);
}

void slab_rows(const CudaContext& context, const Csr& csr, const WeightView& weights,
               const OutputView& output) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) launch<W, Y>(context, csr, weights, output);
  });
}

}  // namespace spiketune::cuda
