#pragma once
/// \file
/// What products by wgmma share: maps of matrices for TMA, and the way from sums to rows of Y.

#include <cuda.h>

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

/// A matrix of `rows` rows of `columns` elements, `row_bytes` from one to the next, for TMA: boxes
/// of box_columns × box_rows, zeros beyond the matrix.
inline CUtensorMap map_matrix(CUtensorMapDataType type, const void* data, std::uint64_t rows,
                              std::uint64_t columns, std::uint64_t row_bytes,
                              std::uint32_t box_rows, std::uint32_t box_columns,
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
  const cuuint64_t sizes[2] = {columns, rows};
  const cuuint64_t strides[1] = {row_bytes};
  const cuuint32_t box[2] = {box_columns, box_rows};
  const cuuint32_t steps[2] = {1, 1};
  const CUresult result =
      encode(&map, type, 2, const_cast<void*>(data), sizes, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error(ErrorCode::cuda,
                "cuTensorMapEncodeTiled failed with error " + std::to_string(result));
  }
  return map;
}

/// W [K, N] for boxes of 64 × 64, zeros beyond it.
inline CUtensorMap map_weights(const WeightView& weights) {
  return map_matrix(weights.type == DType::f16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                               : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                    weights.data, weights.k, weights.n, std::uint64_t{weights.n} * 2, 64, 64,
                    CU_TENSOR_MAP_SWIZZLE_128B);
}

}  // namespace spiketune::cuda
