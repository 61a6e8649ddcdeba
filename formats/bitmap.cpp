#include "spiketune/formats/bitmap.hpp"

#include "spiketune/formats/compressed.hpp"

namespace spiketune {

std::uint64_t Bitmap::max_capacity(const EncodedLayout& layout, const Params& params) {
  return params.tiles
             ? ceil_div(layout.m(), tile_size) * ceil_div(layout.k(), tile_size) * 2 * tile_size
             : layout.m() * ceil_div(layout.k(), 32);
}

Bitmap Bitmap::plan(const EncodedLayout& layout, const Params& params, std::uint64_t) {
  Bitmap bitmap;
  bitmap.layout = layout;
  bitmap.params = params;
  bitmap.capacity = max_capacity(layout, params);
  bitmap.words = {nullptr, bitmap.capacity};
  bitmap.occupied = {nullptr, params.tiles ? bitmap.capacity / (2 * tile_size) : 0};
  bitmap.values = detail::plan_values(layout.value_type, layout.shape.elements());
  return bitmap;
}

std::uint64_t Bitmap::bytes(std::uint64_t) const {
  return words.bytes() + occupied.bytes() + (values.type == DType::bit ? 0 : values.bytes());
}

void Bitmap::validate(const EncodeStatus& counts) const {
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < words.size; ++i) total += count_bits(words[i]);
  if (total != counts.nnz) {
    detail::invalid_format(
        name, std::to_string(total) + " bits are set, not " + std::to_string(counts.nnz));
  }
  std::uint64_t inside = 0;
  for (std::uint64_t row = 0; row < layout.m(); ++row) {
    for_each_in_row(*this, row, [&](std::uint32_t column, float value) {
      if (column < layout.k() && value != 0.0f && value == value) ++inside;
    });
  }
  if (inside != total) detail::invalid_format(name, "a padding bit is set, or a value is zero");
  for (std::uint64_t tile = 0; tile < occupied.size; ++tile) {
    std::uint32_t any = 0;
    for (std::uint32_t i = 0; i < 2 * tile_size; ++i) any |= words[tile * 2 * tile_size + i];
    if ((any != 0) != (occupied[tile] == 1)) {
      detail::invalid_format(name, "occupied[" + std::to_string(tile) + "] is wrong");
    }
  }
}

}  // namespace spiketune
