#include "spiketune/formats/coo.hpp"

#include "spiketune/core/error.hpp"
#include "spiketune/formats/compressed.hpp"

namespace spiketune {

Coo Coo::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  detail::check_addressable(name, capacity);
  Coo coo;
  coo.layout = layout;
  coo.params = params;
  coo.capacity = capacity;
  coo.row_indices = {nullptr, capacity};
  coo.column_indices = {nullptr, index_type(layout.k()), capacity};
  coo.values = detail::plan_values(layout.value_type, capacity);
  return coo;
}

std::uint64_t Coo::bound(const EncodedLayout& layout, const Params&, double density) {
  return likely_entries(layout.shape.elements(), density);
}

std::uint64_t Coo::bytes(std::uint64_t stored) const {
  return stored * (sizeof(std::uint32_t) + bits_of(column_indices.type) / 8 +
                   (values.type == DType::bit ? 0 : bits_of(values.type) / 8));
}

void Coo::validate(const EncodeStatus& counts) const {
  if (counts.nnz > capacity) {
    detail::invalid_format(name, "more nonzeros are counted than fit");
  }
  detail::validate_coordinates(name, layout, row_indices, column_indices, counts.nnz);
  detail::validate_values(name, values, counts.nnz);
}

namespace detail {

void check_addressable(std::string_view name, std::uint64_t entries) {
  if (entries >> 56 != 0) {
    throw Error(ErrorCode::unsupported,
                std::string(name) + ": no memory holds " + std::to_string(entries) + " entries");
  }
}

void validate_coordinates(std::string_view name, const EncodedLayout& layout,
                          const Array<std::uint32_t>& row_indices, const AnyArray& column_indices,
                          std::uint64_t stored) {
  for (std::uint64_t i = 0; i < stored; ++i) {
    const std::uint32_t row = row_indices[i];
    const std::uint32_t column = load_index(column_indices, i);
    if (row >= layout.m() || column >= layout.k()) {
      invalid_format(name, "coordinates " + std::to_string(i) + " are out of range");
    }
    if (i == 0) continue;
    const std::uint32_t row_before = row_indices[i - 1];
    if (row < row_before || (row == row_before && column <= load_index(column_indices, i - 1))) {
      invalid_format(name, "coordinates " + std::to_string(i) + " do not ascend");
    }
  }
}

}  // namespace detail

}  // namespace spiketune
