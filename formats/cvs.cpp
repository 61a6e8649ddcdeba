#include "spiketune/formats/cvs.hpp"

#include <algorithm>
#include <cmath>

#include "spiketune/core/bits.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/formats/compressed.hpp"

namespace spiketune {
namespace {

void check_params(const Cvs::Params& params) {
  if (params.vector != 4 && params.vector != 8 && params.vector != 16) {
    throw Error(ErrorCode::invalid_argument,
                "cvs: vector is " + std::to_string(params.vector) + ", not 4, 8 or 16");
  }
}

/// `rows` of the vector are rows of the matrix.
void validate_vector(const Cvs& cvs, std::uint64_t i, std::uint32_t rows) {
  const std::uint32_t mask = cvs.mask(i);
  const auto fail = [&](const std::string& what) {
    detail::invalid_format(Cvs::name, "vector " + std::to_string(i) + " " + what);
  };
  if (mask == 0) fail("is empty");
  if ((mask & ~low_mask(rows)) != 0) fail("has a spike below the last row");
  if (cvs.values.type == DType::bit) return;
  for (std::uint32_t r = 0; r < cvs.vector(); ++r) {
    const float value = load_value(cvs.values, i * cvs.vector() + r);
    if (std::isnan(value) || (value != 0.0f) != ((mask >> r & 1u) != 0)) {
      fail("has a value that is not that of a spike, or none where there is one");
    }
  }
}

}  // namespace

Cvs Cvs::plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
  check_params(params);
  detail::check_offset_range(name, capacity);
  Cvs cvs;
  cvs.layout = layout;
  cvs.params = params;
  cvs.capacity = capacity;
  cvs.vector_offsets = {nullptr, cvs.groups() + 1};
  cvs.column_indices = {nullptr, index_type(layout.k()), capacity};
  cvs.masks = {nullptr, params.vector == 16 ? DType::u16 : DType::u8, capacity};
  cvs.values = detail::plan_values(layout.value_type, capacity * cvs.vector());
  return cvs;
}

std::uint64_t Cvs::bound(const EncodedLayout& layout, const Params& params, double density) {
  const double occupied = 1.0 - std::pow(1.0 - std::clamp(density, 0.0, 1.0), params.vector);
  return likely_entries(max_capacity(layout, params), occupied);
}

std::uint64_t Cvs::max_capacity(const EncodedLayout& layout, const Params& params) {
  check_params(params);
  return ceil_div(layout.m(), static_cast<std::uint64_t>(params.vector)) * layout.k();
}

std::uint64_t Cvs::bytes(std::uint64_t stored) const {
  return vector_offsets.bytes() +
         stored * ((bits_of(column_indices.type) + bits_of(masks.type)) / 8 +
                   (values.type == DType::bit ? 0 : vector() * bits_of(values.type) / 8));
}

void Cvs::validate(const EncodeStatus& counts) const {
  if (counts.needed > capacity) detail::invalid_format(name, "there are more vectors than fit");
  detail::validate_segments(name, vector_offsets, column_indices, counts.needed, layout.k());
  std::uint64_t total = 0;
  for (std::uint64_t group = 0; group < groups(); ++group) {
    const auto rows = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(vector(), layout.m() - group * vector()));
    for (std::uint64_t i = vector_offsets[group]; i < vector_offsets[group + 1]; ++i) {
      validate_vector(*this, i, rows);
      total += count_bits(mask(i));
    }
  }
  if (total != counts.nnz) {
    detail::invalid_format(name, "the vectors hold " + std::to_string(total) + " spikes, not " +
                                     std::to_string(counts.nnz));
  }
}

}  // namespace spiketune
