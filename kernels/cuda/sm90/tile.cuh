#pragma once
/// \file
/// What products by wgmma share: maps of matrices for TMA, and the way from sums to rows of Y.

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/mma.cuh"
#include "spiketune/kernels/cuda/sm90/wgmma.cuh"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::cuda {

/// at[j] of lane `part` of four becomes at[part] of lane j.
__device__ inline void transpose_in_fours(std::uint32_t (&at)[4], std::uint32_t part) {
#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    const bool upper = (part & step) != 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if ((j & step) != 0) continue;
      // The lane without the bit gives the element with it, and the other way round.
      std::uint32_t& low = at[j];
      std::uint32_t& high = at[j | step];
      const std::uint32_t got = __shfl_xor_sync(0xffffffffu, upper ? low : high, step);
      low = upper ? got : low;
      high = upper ? high : got;
    }
  }
}

/// Writes a row of a tile, times `scale`. A lane has sums[4·i] and sums[4·i + 1] for columns
/// 8·i + 2·(lane % 4) and the next. All lanes call; a row that is not there is null.
template <int tile_n, class Y>
__device__ void store_row(const float* sums, Y* row, std::uint32_t column, std::uint32_t n,
                          std::uint32_t lane, float scale = spike_scale) {
  const std::uint32_t part = lane % 4;
  if constexpr (sizeof(Y) == 2) {
    // Four lanes exchange: each then has 8 neighbouring columns, 16 bytes.
#pragma unroll
    for (int i = 0; i < tile_n / 8; i += 4) {
      std::uint32_t pairs[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float* sum = sums + 4 * (i + j);
        pairs[j] = from_float<Y>(sum[0] * scale).bits |
                   std::uint32_t{from_float<Y>(sum[1] * scale).bits} << 16;
      }
      transpose_in_fours(pairs, part);
      const std::uint32_t at = column + 8 * (i + part);
      if (row != nullptr && at < n) {
        *reinterpret_cast<uint4*>(row + at) = {pairs[0], pairs[1], pairs[2], pairs[3]};
      }
    }
  } else {
#pragma unroll
    for (int i = 0; i < tile_n / 8; ++i) {
      const std::uint32_t at = column + 8 * i + 2 * part;
      if (row != nullptr && at < n) {
        *reinterpret_cast<float2*>(row + at) = {sums[4 * i] * scale, sums[4 * i + 1] * scale};
      }
    }
  }
}

/// Lets the second warpgroup of two begin `steps` steps after the first one: then one's products
/// run while the other writes its sums. Both have as many steps, call step() at each and end()
/// after the last.
class Apart {
 public:
  static constexpr std::uint32_t barrier = 1;
  static constexpr std::uint32_t threads = 256;

  __device__ Apart(std::uint32_t group, std::uint32_t steps)
      : first_(group == 0), steps_(group == 0 ? steps + 1 : 1), left_(steps_) {}
  __device__ void step() {
    if (left_ != 0 && --left_ == 0) meet();
  }
  /// Had the first warpgroup no more steps than that, the second one still waits, if it has any.
  __device__ void end() {
    if (first_ && left_ != 0 && left_ != steps_) meet();
  }

 private:
  __device__ void meet() const {
    first_ ? tell_others(barrier, threads) : wait_for_others(barrier, threads);
  }

  bool first_;
  std::uint32_t steps_;
  std::uint32_t left_;
};

/// Rows of Y that a warp writes at a time, and the shared memory through which they leave.
inline constexpr std::uint32_t warp_rows = 16;
inline constexpr std::uint32_t staging_bytes = warp_rows * 128;

/// Where a warp's rows of a tile go: `left` of them are there.
template <class Y>
struct TileRows {
  Y* first;  ///< of the first row, the tile's first column
  std::uint64_t left;
  std::uint32_t columns;  ///< from the tile's first one on
  std::uint32_t n;        ///< from a row to the next

  __device__ TileRows(Y* y, std::uint64_t row, std::uint64_t m, std::uint32_t column,
                      std::uint32_t width)
      : first(y + row * width + column),
        left(row < m ? m - row : 0),
        columns(column < width ? width - column : 0),
        n(width) {}
};

/// Puts four matrices of 8 × 8 elements of two bytes into shared memory; lane i gives the address
/// of row i % 8 of matrix i / 8. (PTX ISA, stmatrix.)
__device__ inline void store_matrices(std::uint8_t* to, const std::uint32_t (&pairs)[4]) {
#if SPIKETUNE_SM90
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(to)),
      "r"(pairs[0]), "r"(pairs[1]), "r"(pairs[2]), "r"(pairs[3])
      : "memory");
#endif
}

/// Where 16 bytes of 64 columns of a warp's rows are in shared memory: each row has them at other
/// places, TMA's 128-byte swizzle, so that no two lanes that read or write together want the same
/// banks.
[[nodiscard]] __device__ inline std::uint8_t* staging_place(std::uint8_t* staging,
                                                            std::uint32_t row,
                                                            std::uint32_t piece) {
  return staging + row * 128 + (piece ^ row % 8) * 16;
}

/// Puts 8·pieces columns of 16 rows there, from 16 bytes `first` on. A lane has value(4·i) and
/// value(4·i + 1) of row lane / 4 for columns 8·i + 2·(lane % 4) and the next, and value(4·i + 2)
/// and value(4·i + 3) of the row 8 below.
template <class Y, int pieces, class Value>
__device__ void stage_columns(const Value& value, int first, std::uint8_t* staging,
                              std::uint32_t lane) {
#pragma unroll
  for (int i = 0; i < pieces; i += 2) {
    std::uint32_t pairs[4];
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const int at = 4 * i + 2 * q;
      pairs[q] = from_float<Y>(value(at)).bits | std::uint32_t{from_float<Y>(value(at + 1)).bits}
                                                     << 16;
    }
    store_matrices(staging_place(staging, lane % 16, first + i + lane / 16), pairs);
  }
}

/// Writes 16 rows of a tile. A lane has value(4·i) and value(4·i + 1) of row lane / 4 for columns
/// 8·i + 2·(lane % 4) and the next, and value(4·i + 2) and value(4·i + 3) of the row 8 below. All
/// lanes of the warp call.
template <int tile_n, class Y, class Value>
__device__ void store_rows(const Value& value, const TileRows<Y>& rows, std::uint8_t* staging,
                           std::uint32_t lane) {
  if constexpr (sizeof(Y) == 2) {
    const std::uint32_t row = lane / 8;
    const std::uint32_t piece = lane % 8;
    Y* to = rows.first + std::uint64_t{row} * rows.n + 8 * piece;
#pragma unroll
    for (int i = 0; i < tile_n / 8; i += 8) {
      stage_columns<Y, 8>([&](int at) { return value(4 * i + at); }, 0, staging, lane);
      __syncwarp();
#pragma unroll
      for (std::uint32_t below = 0; below < warp_rows; below += 4) {
        const uint4 got =
            *reinterpret_cast<const uint4*>(staging_place(staging, row + below, piece));
        if (row + below < rows.left && 8 * (i + piece) < rows.columns) {
          *reinterpret_cast<uint4*>(to + std::uint64_t{below} * rows.n + 8 * i) = got;
        }
      }
      __syncwarp();
    }
  } else {
    Y* to = rows.first + std::uint64_t{lane / 4} * rows.n + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < tile_n / 8; ++i) {
#pragma unroll
      for (std::uint32_t below = 0; below < 2; ++below) {
        if (lane / 4 + 8 * below < rows.left && 8 * i < rows.columns) {
          *reinterpret_cast<float2*>(to + std::uint64_t{8 * below} * rows.n + 8 * i) = {
              value(4 * i + 2 * below), value(4 * i + 2 * below + 1)};
        }
      }
    }
  }
}

/// Dimensions of a tensor for TMA, at most five, the innermost first.
struct TensorSide {
  std::uint64_t size;
  std::uint64_t bytes;  ///< from one to the next; of the innermost, an element's
  std::uint32_t box;
};

/// A tensor for TMA: boxes of `box` elements of each side, zeros beyond it.
template <std::size_t rank>
CUtensorMap map_tensor(CUtensorMapDataType type, const void* data, const TensorSide (&sides)[rank],
                       CUtensorMapSwizzle swizzle) {
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                           cudaEnableDefault, &found));
#else
    check(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &found));
#endif
    require(function != nullptr && found == cudaDriverEntryPointSuccess, ErrorCode::unsupported,
            "the CUDA driver has no cuTensorMapEncodeTiled: driver 525 or later is needed");
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  CUtensorMap map{};
  cuuint64_t sizes[rank];
  cuuint64_t strides[rank];
  cuuint32_t box[rank];
  cuuint32_t steps[rank];
  for (std::size_t i = 0; i < rank; ++i) {
    sizes[i] = sides[i].size;
    strides[i] = sides[i].bytes;
    box[i] = sides[i].box;
    steps[i] = 1;
  }
  const CUresult result =
      encode(&map, type, rank, const_cast<void*>(data), sizes, strides + 1, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error(ErrorCode::cuda,
                "cuTensorMapEncodeTiled failed with error " + std::to_string(result));
  }
  return map;
}

/// A matrix of `rows` rows of `columns` elements, `row_bytes` from one to the next, for TMA: boxes
/// of box_columns × box_rows, zeros beyond the matrix.
inline CUtensorMap map_matrix(CUtensorMapDataType type, const void* data, std::uint64_t rows,
                              std::uint64_t columns, std::uint64_t row_bytes,
                              std::uint32_t box_rows, std::uint32_t box_columns,
                              CUtensorMapSwizzle swizzle) {
  return map_tensor(type, data, {{columns, 0, box_columns}, {rows, row_bytes, box_rows}}, swizzle);
}

inline CUtensorMapDataType map_type(const WeightView& weights) {
  return weights.type == DType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                    : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
}

/// W [K, N] for boxes of 64 × 64, zeros beyond it.
inline CUtensorMap map_weights(const WeightView& weights) {
  return map_matrix(map_type(weights), weights.data, weights.k, weights.n,
                    std::uint64_t{weights.n} * 2, 64, 64, CU_TENSOR_MAP_SWIZZLE_128B);
}

/// The same with rows of each box at place_of_row(): a box is at (column, 0, row / 16, 0). K is a
/// multiple of 16.
inline CUtensorMap map_weights_for_bytes(const WeightView& weights) {
  const std::uint64_t row = std::uint64_t{weights.n} * 2;
  return map_tensor(
      map_type(weights), weights.data,
      {{weights.n, 2, 64}, {2, row, 2}, {weights.k / 16, 16 * row, 4}, {8, 2 * row, 8}},
      CU_TENSOR_MAP_SWIZZLE_128B);
}

/// Copies 64 rows of tile_n columns of a map_weights() to shared memory, 64 columns after 64.
/// One thread calls.
template <int tile_n>
__device__ void copy_rows(std::uint8_t* to, const CUtensorMap& map, std::uint32_t column,
                          std::uint32_t row, std::uint32_t barrier) {
#pragma unroll
  for (int part = 0; part < tile_n / 64; ++part) {
    copy_box(to + part * 8192, &map, column + 64 * part, row, barrier);
  }
}

/// Y in two bytes for boxes of a warp's rows and 64 columns, as send_rows() sends them.
inline CUtensorMap map_rows_out(const OutputView& output) {
  return map_matrix(output.type == DType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                              : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                    output.data, output.m, output.n, std::uint64_t{output.n} * 2, warp_rows, 64,
                    CU_TENSOR_MAP_SWIZZLE_128B);
}

/// Sends 16 rows of a tile from (column, row) on, of Y in two bytes, by TMA, through tile_n / 64
/// times staging_bytes at a multiple of the swizzle's 1024, which has been read
/// (wait_until_read()). `value` as for store_rows(). All lanes of the warp call.
template <int tile_n, class Y, class Value>
__device__ void send_rows(const Value& value, const CUtensorMap& y_map, std::uint32_t column,
                          std::uint32_t row, std::uint32_t n, std::uint8_t* staging,
                          std::uint32_t lane) {
#pragma unroll
  for (int part = 0; part < tile_n / 64; ++part) {
    stage_columns<Y, 8>([&](int at) { return value(32 * part + at); }, 0,
                        staging + part * staging_bytes, lane);
  }
  fence_shared_writes();
  __syncwarp();
  if (lane == 0) {
#pragma unroll
    for (int part = 0; part < tile_n / 64; ++part) {
      if (column + 64 * part >= n) break;
      copy_box_out(&y_map, column + 64 * part, row, staging + part * staging_bytes);
    }
    commit_copies();
  }
}

}  // namespace spiketune::cuda
