#pragma once
/// \file
/// From run-time element types of W and Y to the five pairs that products are compiled for.

#include "spiketune/core/dtype.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/half.hpp"

namespace spiketune::cuda {

/// `count` neighbouring elements, moved as one access of up to 16 bytes.
template <class T, int count>
struct alignas(sizeof(T) * count > 16 ? 16 : sizeof(T) * count) Vector {
  T at[count];
};

/// Calls run.operator()<W, Y>() for W in {f32, f16, bf16}, Y in {f32, W}.
template <class Run>
void with_types(DType weights, DType output, Run&& run) {
  if (weights == DType::f32) {
    run.template operator()<float, float>();
  } else if (weights == DType::f16) {
    if (output == DType::f32) {
      run.template operator()<Half, float>();
    } else {
      run.template operator()<Half, Half>();
    }
  } else if (weights == DType::bf16) {
    if (output == DType::f32) {
      run.template operator()<Bfloat16, float>();
    } else {
      run.template operator()<Bfloat16, Bfloat16>();
    }
  } else {
    throw Error(ErrorCode::invalid_argument, "W must be f32, f16 or bf16");
  }
}

}  // namespace spiketune::cuda
