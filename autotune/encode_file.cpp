#include "spiketune/autotune/encode_file.hpp"

#include <span>
#include <vector>

#include "spiketune/core/error.hpp"
#include "spiketune/datasets/encoded_io.hpp"
#include "spiketune/encoders/bsr.hpp"
#include "spiketune/encoders/coo.hpp"
#include "spiketune/encoders/csc.hpp"
#include "spiketune/encoders/csr.hpp"

namespace spiketune {
namespace {

std::span<const std::uint32_t> span_of(const Array<std::uint32_t>& array) {
  return {array.data, array.size};
}

AnyArray as_any(const Array<std::uint32_t>& array) {
  return {array.data, DType::u32, array.size};
}

void write(const std::string& path, const MatrixShape& matrix, const Coo& coo) {
  write_scipy_coo(path, matrix, coo.status->nnz, as_any(coo.row_indices), coo.column_indices,
                  coo.values);
}

void write(const std::string& path, const MatrixShape& matrix, const Csr& csr) {
  write_scipy_csr(path, matrix, span_of(csr.row_offsets), csr.column_indices, csr.values);
}

void write(const std::string& path, const MatrixShape& matrix, const Csc& csc) {
  write_scipy_csc(path, matrix, span_of(csc.column_offsets), csc.row_indices, csc.values);
}

/// scipy's blocks are dense: the bits of a pattern become ones and zeros.
void write(const std::string& path, const MatrixShape& matrix, const Bsr& bsr) {
  AnyArray blocks = bsr.values;
  std::vector<std::uint8_t> ones;
  if (bsr.layout.value_type == DType::bit) {
    const std::uint32_t b = bsr.block_size();
    const std::uint64_t count = bsr.block_row_offsets[bsr.block_rows()];
    ones.resize(count * b * b);
    for (std::uint64_t i = 0; i < ones.size(); ++i) {
      const auto row = static_cast<std::uint32_t>(i / b % b);
      const auto column = static_cast<std::uint32_t>(i % b);
      const std::uint32_t bits = bsr.row_bits(i / b / b, row, column / 32 * 32);
      ones[i] = static_cast<std::uint8_t>(bits >> (column % 32) & 1u);
    }
    blocks = {ones.data(), DType::u8, ones.size()};
  }
  write_scipy_bsr(path, matrix, bsr.block_size(), span_of(bsr.block_row_offsets),
                  bsr.block_column_indices, blocks);
}

template <class Format>
EncodedFile encode_and_write(const HostContext& context, const SpikeView& spikes,
                             const typename Format::Params& params, RowOrder order,
                             const std::string& path) {
  EncodeOptions options;
  options.row_order = order;
  const Encoded<Format> encoded = encode_to_fit<Format>(context, spikes, params, options);
  write(path, MatrixShape{spikes.shape, order}, *encoded);
  return {encoded->status->nnz, encoded->bytes(encoded->status->needed)};
}

}  // namespace

EncodedFile write_encoded(const HostContext& context, const SpikeView& spikes,
                          std::string_view format, int block_size, RowOrder order,
                          const std::string& path) {
  if (format == Coo::name) return encode_and_write<Coo>(context, spikes, {}, order, path);
  if (format == Csr::name) return encode_and_write<Csr>(context, spikes, {}, order, path);
  if (format == Csc::name) return encode_and_write<Csc>(context, spikes, {}, order, path);
  if (format == Bsr::name) return encode_and_write<Bsr>(context, spikes, {block_size}, order, path);
  throw Error(ErrorCode::unsupported, "format '" + std::string(format) +
                                          "' has no file that scipy reads; there are coo csr csc "
                                          "bsr");
}

}  // namespace spiketune
