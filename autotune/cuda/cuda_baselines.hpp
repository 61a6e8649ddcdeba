#pragma once
/// \file
/// What the plugins of NVIDIA's libraries share, and the lists that add_cuda_baselines() joins.
/// Libraries are initialised by plan(), never by listing plugins.

#include <string>
#include <vector>

#include "spiketune/autotune/fields.hpp"
#include "spiketune/autotune/plugin.hpp"
#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {

void add_cublaslt_baselines(Registry& registry);             ///< dense
void add_cublaslt_eight_bits_baselines(Registry& registry);  ///< dense, of bytes
void add_cusparse_baselines(Registry& registry);             ///< csr, coo
void add_cusparse_block_baselines(Registry& registry);       ///< bsr, ell
void add_cusparselt_baselines(Registry& registry);           ///< two_four

/// A library's format, whose values have W's type.
class CudaBaseline : public FormatPlugin {
 public:
  std::string backend() const override { return std::string(CudaContext::name); }
  bool baseline() const override { return true; }
  std::string why_unavailable() const override { return cuda_unavailable_reason(); }
};

/// Parameters of a format whose values have the type of W.
struct ValueType {
  DType type = DType::f16;  ///< f16, bf16 or f32

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("type", self.type);
  }
  bool operator==(const ValueType&) const = default;
};

/// Throws Error(unsupported) where values of that type cannot hold the spikes exactly.
inline void check_value_type(const EncodedLayout& layout, DType type) {
  const bool holds =
      !is_floating(layout.value_type) || layout.value_type == type || type == DType::f32;
  if (holds) return;
  throw Error(ErrorCode::unsupported, "values of type " + std::string(to_string(type)) +
                                          " cannot hold graded " +
                                          std::string(to_string(layout.value_type)) + " spikes");
}

/// Throws Error(invalid_argument) unless W has the type of the values.
inline void check_weight_type(DType values, const WeightView& weights) {
  if (weights.type == values) return;
  throw Error(ErrorCode::invalid_argument, "the spikes were encoded for W of type " +
                                               std::string(to_string(values)) + ", not " +
                                               std::string(to_string(weights.type)));
}

}  // namespace spiketune
