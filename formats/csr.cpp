#include "spiketune/formats/csr.hpp"

#include "spiketune/formats/compressed.hpp"

namespace spiketune {

Csr Csr::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  detail::check_offset_range(name, capacity);
  Csr csr;
  csr.layout = layout;
  csr.params = params;
  csr.capacity = capacity;
  csr.row_offsets = {nullptr, layout.m() + 1};
  csr.column_indices = {nullptr, index_type(layout.k()), capacity};
  csr.values = detail::plan_values(layout.value_type, capacity);
  return csr;
}

std::uint64_t Csr::bound(const EncodedLayout& layout, const Params&, double density) {
  return likely_entries(layout.shape.elements(), density);
}

std::uint64_t Csr::bytes(std::uint64_t stored) const {
  return row_offsets.bytes() + stored * bits_of(column_indices.type) / 8 +
         (values.type == DType::bit ? 0 : stored * bits_of(values.type) / 8);
}

void Csr::validate(const EncodeStatus& counts) const {
  detail::validate_segments(name, row_offsets, column_indices, counts.nnz, layout.k());
  detail::validate_values(name, values, counts.nnz);
}

}  // namespace spiketune
