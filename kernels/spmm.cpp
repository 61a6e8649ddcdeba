#include "spiketune/kernels/spmm.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune {

std::string why_not_types(DType weights, DType output) {
  if (!is_floating(weights) && !is_quantised(weights))
    return "W must be f32, f16, bf16, s8, s4 or e4m3";
  if (is_quantised(weights)) return is_floating(output) ? "" : "Y must be f32, f16 or bf16";
  return output == DType::f32 || output == weights ? "" : "Y must be f32 or of W's type";
}

void check_spmm(const FormatBase& format, const WeightView& weights, const OutputView& output,
                Space space) {
  const auto fail = [](const std::string& why) {
    throw Error(ErrorCode::invalid_argument, "spmm: " + why);
  };
  if (weights.k != format.layout.k()) {
    fail("W has " + std::to_string(weights.k) + " rows, but K is " +
         std::to_string(format.layout.k()));
  }
  if (output.m != format.layout.m() || output.n != weights.n) {
    fail("Y is " + std::to_string(output.m) + " x " + std::to_string(output.n) + ", not " +
         std::to_string(format.layout.m()) + " x " + std::to_string(weights.n));
  }
  if (const std::string why = why_not_types(weights.type, output.type); !why.empty()) fail(why);
  if (weights.space != space || output.space != space) {
    fail("W and Y must be in the memory of the context");
  }
  if ((weights.data == nullptr && weights.bytes() != 0) ||
      (output.data == nullptr && output.bytes() != 0)) {
    fail("W or Y is null");
  }
  if (format.status == nullptr) fail("the format has no memory");
}

}  // namespace spiketune
