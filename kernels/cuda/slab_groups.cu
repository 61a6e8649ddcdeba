// Y = S·W with S a binary Csr, W in slabs of shared memory, and the tensor cores as adders.
//
// An ldmatrix collects 32 pieces of 16 bytes of the rows of W that four rows of S name, and one mma
// with ones in the right places adds their 256 elements in f32: two instructions in place of four
// loads, eight conversions and eight additions of each lane.
//
//   matrix i of ldmatrix: 8 rows, which are pieces of W, of 8 elements. Transposed it is an operand
//   A, elements × pieces, and B says which pieces to add up: D[element][piece].
//
// Bound by shared memory: nnz·N elements of two bytes at 128 bytes a cycle. The eight pieces of a
// matrix lie in all banks: they are those of a row of 64 columns, or of 32 columns in the first
// half of a line and 32 in the second. slab_plan.cuh makes the lists that see to it, while the slab
// is on its way.

#include "spiketune/kernels/cuda/slab_groups.cuh"

#include <cuda_pipeline_primitives.h>

#include <algorithm>
#include <type_traits>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/cuda/slab_plan.cuh"
#include "spiketune/kernels/cuda/types.cuh"

namespace spiketune::cuda {
namespace {

template <int pieces>
inline constexpr int gather_threads = pieces == 8 ? 1024 : 768;

/// Hides from the compiler where a value comes from, so that it keeps the value in a register
/// instead of computing it anew in each round.
__device__ inline void keep(std::uint32_t& value) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+r"(value));
#endif
}
template <class T>
__device__ void keep(const T*& pointer) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+l"(pointer));
#endif
}

template <class T>
__device__ const T* advance(const T* base, std::uint32_t count, std::uint32_t bytes) {
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(base) +
                                    std::uint64_t{count} * bytes);
}

/// Elements of an operand: one or zero each.
template <class W>
__device__ std::uint32_t ones(bool low, bool high) {
  constexpr std::uint32_t one = std::is_same_v<W, Half> ? 0x3c00 : 0x3f80;
  return (low ? one : 0) | (high ? one << 16 : 0);
}

template <class W, int pieces>
__device__ void load_slab(uint4* to, const Slab<pieces>& slab, const W* w, std::uint32_t k,
                          std::uint32_t n, std::uint32_t first_column) {
  const std::uint32_t piece = threadIdx.x % pieces;
  const std::uint32_t column = first_column + piece * 8;
  for (std::uint32_t row = threadIdx.x / pieces; row < slab.resident_rows();
       row += blockDim.x / pieces) {
    const std::uint32_t half = row < slab.lines ? 0 : 1;
    uint4* const at = to + (row - half * slab.lines) * 8 + half * pieces + piece;
    if (row < k && column < n) {
      __pipeline_memcpy_async(at, w + std::uint64_t{row} * n + column, 16);
    } else {
      *at = {0, 0, 0, 0};
    }
  }
  if (threadIdx.x < 8) to[slab.lines * 8 + threadIdx.x] = {0, 0, 0, 0};
  __pipeline_commit();
}

/// The sums of a group, in the registers of a warp. Lane 4·e + i has element e of pieces 2·i and
/// 2·i + 1 of eight. Those of 64 columns are of one row: row j's are at[j / 2][2·(j % 2)] and the
/// next. Those of 32 columns are of two: pieces 0 to 3 of row j, 4 to 7 of row j + 2.
template <class W, int pieces>
class Sums {
 public:
  float at[pieces / 4][4] = {};

  struct Operands {
    std::uint32_t low, high;  ///< B: which pieces to add up
    std::uint32_t far[4];     ///< A: a far spike's elements in the order of the sums

    __device__ explicit Operands(std::uint32_t lane) {
      const std::uint32_t k = lane % 4 * 2;
      const std::uint32_t n = lane / 4;
      const std::uint32_t same = ones<W>(k % pieces == n % pieces, (k + 1) % pieces == n % pieces);
      low = pieces == 8 || n < 4 ? same : 0;
      high = pieces == 8 || n >= 4 ? same : 0;
#pragma unroll
      for (std::uint32_t i = 0; i < 4; ++i) {
        const std::uint32_t element = n + i % 2 * 8;
        far[i] = ones<W>(element == 2 * k + i / 2 * 2, element == 2 * k + i / 2 * 2 + 1);
      }
      keep(low);
      keep(high);
      if constexpr (pieces == 4) {
        for (int i = 0; i < 4; ++i) keep(far[i]);
      }
    }
  };

  /// Adds what ldmatrix collected for entry `entry`.
  __device__ void add(const Operands& operands, const std::uint32_t (&loaded)[4], int entry) {
    mma_m16n8k16<W>(at[pieces == 8 ? entry % 2 : 0], loaded, operands.low, operands.high);
  }

  /// Adds the sums of far spikes, which come as: lane 4·e + i has of row i element e of pieces
  /// 0, 2, 1 and 3.
  __device__ void add_far(const float (&far)[4], std::uint32_t lane) {
    const bool odd = lane % 2 != 0;
    const float other0 = __shfl_xor_sync(~0u, odd ? far[0] : far[1], 1);
    const float other1 = __shfl_xor_sync(~0u, odd ? far[2] : far[3], 1);
    at[0][0] += odd ? other0 : far[0];
    at[0][1] += odd ? other1 : far[2];
    at[0][2] += odd ? far[1] : other0;
    at[0][3] += odd ? far[3] : other1;
  }
};

/// Lane 4·e + i has element e of pieces 2·i and 2·i + 1: stores elements 2·i and 2·i + 1 of
/// piece e.
template <class Y>
__device__ void store_pair(const Y* to, bool inside, float low, float high) {
  if constexpr (sizeof(Y) == 2) {
    const std::uint32_t both =
        transpose_8x8(from_float<Y>(low).bits | std::uint32_t{from_float<Y>(high).bits} << 16);
    if (inside) __stcg(reinterpret_cast<unsigned*>(const_cast<Y*>(to)), both);
  } else {
    const std::uint32_t a = __float_as_uint(low);
    const std::uint32_t b = __float_as_uint(high);
    const std::uint32_t lower = transpose_8x8(__byte_perm(a, b, 0x5410));
    const std::uint32_t upper = transpose_8x8(__byte_perm(a, b, 0x7632));
    const uint2 both = {__byte_perm(lower, upper, 0x5410), __byte_perm(lower, upper, 0x7632)};
    if (inside) __stcg(reinterpret_cast<uint2*>(const_cast<Y*>(to)), both);
  }
}

__device__ inline Group load_group(const Group* groups, std::uint32_t index, std::uint32_t end) {
  Group group = {};
  if (index < end) {
    *reinterpret_cast<uint4*>(&group) = __ldcg(reinterpret_cast<const uint4*>(groups + index));
  }
  return group;
}

/// Eight columns of a list.
struct Batch {
  uint4 pairs;

  template <int i>
  [[nodiscard]] __device__ std::uint32_t column() const {
    const std::uint32_t pair = i < 2 ? pairs.x : i < 4 ? pairs.y : i < 6 ? pairs.z : pairs.w;
    return __byte_perm(pair, 0, i % 2 == 0 ? 0x4410 : 0x4432);
  }
};

/// blockIdx.x: slab, blockIdx.y: part of the groups. Warps take the groups of their block one after
/// another; the first batch of a group is loaded one group ahead, its description two.
template <class W, class Y, int pieces>
__global__ void __launch_bounds__(gather_threads<pieces>, 1)
    gather_groups(const GroupPlan plan, const Slab<pieces> slab, const W* __restrict__ w,
                  Y* __restrict__ y, std::uint32_t m, std::uint32_t k, std::uint32_t n,
                  std::uint32_t groups_per_block) {
  extern __shared__ uint4 lines[];
  __shared__ std::uint32_t next_group;
  const std::uint32_t first_column = blockIdx.x * pieces * 8;
  load_slab<W, pieces>(lines, slab, w, k, n, first_column);
  wait_for_primary();

  std::uint32_t lane = threadIdx.x % 32;
  keep(lane);
  const std::uint32_t warps = blockDim.x / 32;
  const std::uint32_t begin = blockIdx.y * groups_per_block;
  const std::uint32_t all = plan.windows * window_groups;
  std::uint32_t end = all - begin < groups_per_block ? all : begin + groups_per_block;
  keep(end);
  // Lane 8·i + j reads row j of matrix i: a piece of one of the halves of a line.
  const char* piece = reinterpret_cast<const char*>(lines) + lane % 8 * 16 -
                      std::size_t{lane % 8 / pieces} * slab.lines * line_bytes;
  const uint4* near_list = plan.lists + lane / pieces;
  const uint4* far_list = plan.lists + lane / 8;
  keep(near_list);
  keep(far_list);
  constexpr std::uint32_t batch_bytes = Slab<pieces>::lists * sizeof(uint4);
  const auto load_batch = [](const uint4* list, std::uint32_t batch) {
    return Batch{__ldcg(advance(list, batch, batch_bytes))};
  };
  // A far spike is four elements of its row's 32 for each of eight lanes.
  const std::uint32_t far_column = first_column + lane % 8 * 4;
  const W* far_weights = w + (far_column < n ? far_column : 0);
  keep(far_weights);
  const std::uint32_t column = first_column + lane / 4 % pieces * 8 + lane % 4 * 2;
  const Y* out = y + column;
  keep(out);
  std::uint32_t rows_to_store = column < n ? m : 0;
  keep(rows_to_store);
  const typename Sums<W, pieces>::Operands operands(lane);

  if (threadIdx.x == 0) next_group = begin + 3 * warps;
  std::uint32_t index = begin + threadIdx.x / 32;
  std::uint32_t index1 = index + warps;
  std::uint32_t index2 = index1 + warps;
  Group group = load_group(plan.groups, index, end);
  Group group1 = load_group(plan.groups, index1, end);
  Batch batch = load_batch(near_list, group.batch);
  __pipeline_wait_prior(0);
  __syncthreads();
  while (index < end) {
    const Group group2 = load_group(plan.groups, index2, end);
    const Batch batch1 = load_batch(near_list, group1.batch);
    // Not atomicAdd(), which would be turned into a sum over the warp first.
    std::uint32_t index3 = lane == 0 ? atomicInc(&next_group, ~0u) : 0;
    Batch far_batch = {};
    if (pieces == 4 && group.far_entries != 0) far_batch = load_batch(far_list, group.far_batch);

    Sums<W, pieces> sums;
    const auto load = [&](std::uint32_t(&loaded)[4], std::uint32_t line) {
      load_transposed(loaded, piece + line * line_bytes);
    };
    std::uint32_t loaded[4][4];
    std::uint32_t entries = group.entries;
    for (std::uint32_t at = group.batch + 1; entries >= batch_entries; ++at) {
      const Batch now = batch;
      if (entries > batch_entries) batch = load_batch(near_list, at);
      load(loaded[0], now.template column<0>());
      load(loaded[1], now.template column<1>());
      load(loaded[2], now.template column<2>());
      load(loaded[3], now.template column<3>());
      sums.add(operands, loaded[0], 0);
      sums.add(operands, loaded[1], 1);
      load(loaded[0], now.template column<4>());
      load(loaded[1], now.template column<5>());
      sums.add(operands, loaded[2], 2);
      sums.add(operands, loaded[3], 3);
      load(loaded[2], now.template column<6>());
      load(loaded[3], now.template column<7>());
      sums.add(operands, loaded[0], 4);
      sums.add(operands, loaded[1], 5);
      sums.add(operands, loaded[2], 6);
      sums.add(operands, loaded[3], 7);
      entries -= batch_entries;
    }
    for (; entries >= 2; entries -= 2) {
      load(loaded[0], batch.template column<0>());
      load(loaded[1], batch.template column<1>());
      sums.add(operands, loaded[0], 0);
      sums.add(operands, loaded[1], 1);
      batch.pairs = {batch.pairs.y, batch.pairs.z, batch.pairs.w, 0};
    }
    if (pieces == 4 && entries != 0) {
      load(loaded[0], batch.template column<0>());
      sums.add(operands, loaded[0], 0);
    }

    if constexpr (pieces == 4) {
      if (group.far_entries != 0) {
        const auto fetch = [&](std::uint32_t row) {
          uint2 elements = {0, 0};
          if (row != no_column) {
            elements = __ldg(reinterpret_cast<const uint2*>(
                advance(far_weights, row, n * static_cast<std::uint32_t>(sizeof(W)))));
          }
          return elements;
        };
        float far[4] = {};
        const auto add = [&](const uint2& elements) {
          mma_m16n8k16<W>(far, operands.far, elements.x, elements.y);
        };
        std::uint32_t left = group.far_entries;
        for (std::uint32_t at = group.far_batch + 1;; ++at) {
          const uint2 a = fetch(far_batch.template column<0>());
          const uint2 b = fetch(far_batch.template column<1>());
          const uint2 c = fetch(far_batch.template column<2>());
          const uint2 d = fetch(far_batch.template column<3>());
          if (left > 4) {
            const uint2 e = fetch(far_batch.template column<4>());
            const uint2 f = fetch(far_batch.template column<5>());
            const uint2 g = fetch(far_batch.template column<6>());
            const uint2 h = fetch(far_batch.template column<7>());
            add(e);
            add(f);
            add(g);
            add(h);
          }
          add(a);
          add(b);
          add(c);
          add(d);
          if (left <= batch_entries) break;
          left -= batch_entries;
          far_batch = load_batch(far_list, at);
        }
        sums.add_far(far, lane);
      }
    }

    const std::uint32_t first_row = index / window_groups * window_rows;
    const auto store = [&](std::uint32_t row_in_window, float low, float high) {
      const std::uint32_t row = first_row + row_in_window;
      store_pair(advance(out, row, n * static_cast<std::uint32_t>(sizeof(Y))), row < rows_to_store,
                 low, high);
    };
    if constexpr (pieces == 4) {
      store(lane < 16 ? group.rows[0] : group.rows[2], sums.at[0][0], sums.at[0][1]);
      store(lane < 16 ? group.rows[1] : group.rows[3], sums.at[0][2], sums.at[0][3]);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        store(group.rows[i], sums.at[i / 2][i % 2 * 2], sums.at[i / 2][i % 2 * 2 + 1]);
      }
    }

    index3 = __shfl_sync(~0u, index3, 0);
    index = index1;
    index1 = index2;
    index2 = index3;
    group = group1;
    group1 = group2;
    batch = batch1;
  }
}

int attribute(const CudaContext& context, cudaDeviceAttr which) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, context.device));
  return value;
}

/// A block has 2 KB beside its lines, so that a block of plan_groups() can run beside it.
std::uint32_t most_lines(const CudaContext& context) {
  constexpr int beside = 2048;
  return static_cast<std::uint32_t>(
      (attribute(context, cudaDevAttrMaxSharedMemoryPerBlockOptin) - beside) / line_bytes - 1);
}

template <int pieces>
Slab<pieces> slab_for(const CudaContext& context, std::uint32_t k) {
  const auto lines = static_cast<std::uint32_t>(ceil_div(k, Slab<pieces>::halves));
  return {std::min(lines, most_lines(context))};
}

template <class W, class Y, int pieces>
void launch(const CudaContext& context, const Csr& csr, const WeightView& weights,
            const OutputView& output, Workspace workspace) {
  const Slab<pieces> slab = slab_for<pieces>(context, weights.k);
  WorkspaceCarver carver(workspace);
  const GroupPlan plan = carve_plan(carver, csr, slab);
  auto* make_plan = plan_groups<pieces>;
  // With the split of shared memory and L1 that the product needs, both can share a multiprocessor.
  check(cudaFuncSetAttribute(make_plan, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared));
  make_plan<<<plan.windows, 32 * plan_warps, 0, context.stream>>>(csr, plan, slab, output.m);
  check_launch();

  const std::uint64_t slabs = ceil_div(output.n, 8 * pieces);
  const std::uint64_t groups = std::uint64_t{plan.windows} * window_groups;
  const auto multiprocessors =
      static_cast<std::uint64_t>(attribute(context, cudaDevAttrMultiProcessorCount));
  const std::uint64_t parts = std::clamp<std::uint64_t>(multiprocessors / slabs, 1, plan.windows);
  const auto groups_per_block = static_cast<std::uint32_t>(ceil_div(groups, parts));
  const dim3 grid(static_cast<unsigned>(slabs),
                  static_cast<unsigned>(ceil_div(groups, groups_per_block)));
  auto* kernel = gather_groups<W, Y, pieces>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(slab.bytes())));
  launch_dependent(context, kernel, grid, gather_threads<pieces>, slab.bytes(), plan, slab,
                   static_cast<const W*>(weights.data), static_cast<Y*>(output.data),
                   static_cast<std::uint32_t>(output.m), weights.k, output.n, groups_per_block);
  check_launch();
}

}  // namespace

bool wide_slab_fits(const CudaContext& context, std::uint32_t k) {
  return k <= most_lines(context);
}

std::size_t slab_groups_workspace_bytes(const CudaContext& context, const Csr& csr, int columns) {
  WorkspaceCarver carver;
  if (columns == 64) {
    carve_plan(carver, csr, slab_for<8>(context, csr.layout.k()));
  } else {
    carve_plan(carver, csr, slab_for<4>(context, csr.layout.k()));
  }
  return carver.bytes();
}

void slab_groups(const CudaContext& context, const Csr& csr, const WeightView& weights,
                 const OutputView& output, int columns, Workspace workspace) {
  with_types(weights.type, output.type, [&]<class W, class Y>() {
    if constexpr (sizeof(W) == 2) {
      if (columns == 64) {
        launch<W, Y, 8>(context, csr, weights, output, workspace);
      } else {
        launch<W, Y, 4>(context, csr, weights, output, workspace);
      }
    }
  });
}

}  // namespace spiketune::cuda
