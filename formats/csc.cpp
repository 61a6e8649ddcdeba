#include "spiketune/formats/csc.hpp"

#include "spiketune/formats/compressed.hpp"

namespace spiketune {

Csc Csc::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  detail::check_offset_range(name, capacity);
  Csc csc;
  csc.layout = layout;
  csc.params = params;
  csc.capacity = capacity;
  csc.column_offsets = {nullptr, std::uint64_t{layout.k()} + 1};
  csc.row_indices = {nullptr, index_type(static_cast<std::uint32_t>(layout.m())), capacity};
  csc.values = detail::plan_values(layout.value_type, capacity);
  return csc;
}

std::uint64_t Csc::bound(const EncodedLayout& layout, const Params&, double density) {
  return likely_entries(layout.shape.elements(), density);
}

std::uint64_t Csc::bytes(std::uint64_t stored) const {
  return column_offsets.bytes() + stored * bits_of(row_indices.type) / 8 +
         (values.type == DType::bit ? 0 : stored * bits_of(values.type) / 8);
}

void Csc::validate(const EncodeStatus& counts) const {
  if (counts.nnz > capacity) {
    detail::invalid_format(name, "more nonzeros are counted than fit");
  }
  detail::validate_segments(name, column_offsets, row_indices, counts.nnz, layout.m());
  detail::validate_values(name, values, counts.nnz);
}

}  // namespace spiketune
