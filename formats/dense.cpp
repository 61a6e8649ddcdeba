#include "spiketune/formats/dense.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/formats/compressed.hpp"

namespace spiketune {

Dense Dense::plan(const EncodedLayout& layout, const Params& params, std::uint64_t) {
  require(is_floating(params.type), ErrorCode::invalid_argument,
          "dense: type must be f16, bf16 or f32");
  if (is_floating(layout.value_type) && layout.value_type != params.type &&
      params.type != DType::f32) {
    throw Error(ErrorCode::invalid_argument,
                "dense: " + std::string(to_string(params.type)) + " cannot hold graded " +
                    std::string(to_string(layout.value_type)) + " spikes exactly");
  }
  Dense dense;
  dense.layout = layout;
  dense.params = params;
  dense.capacity = max_capacity(layout, params);
  dense.values = {nullptr, params.type, dense.capacity};
  return dense;
}

void Dense::validate(const EncodeStatus& counts) const {
  std::uint64_t nonzeros = 0;
  for (std::uint64_t i = 0; i < values.size; ++i) nonzeros += load_value(values, i) != 0.0f;
  if (nonzeros != counts.nnz) {
    detail::invalid_format(
        name, std::to_string(nonzeros) + " values are nonzero, not " + std::to_string(counts.nnz));
  }
}

}  // namespace spiketune
