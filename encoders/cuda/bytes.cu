#include "spiketune/encoders/bytes.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"
#include "spiketune/encoders/cuda/pack.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A lane writes an element, so that writes coalesce; the word that holds its bit is shared.
__global__ void write_bytes(const BitRows bits, const ValueSource source, bool pattern,
                            std::uint8_t* values) {
  const std::uint64_t total = bits.m * bits.words_per_row();
  const std::uint64_t warps = std::uint64_t{gridDim.x} * (blockDim.x / 32);
  const std::uint32_t lane = threadIdx.x % 32;
  for (std::uint64_t at = global_warp(); at < total; at += warps) {
    const std::uint64_t row = at / bits.words_per_row();
    const auto w = static_cast<std::uint32_t>(at % bits.words_per_row());
    const std::uint32_t column = 32 * w + lane;
    if (column >= bits.k) continue;
    std::uint8_t value = bits.word(row, w) >> lane & 1u;
    if (value != 0 && !pattern) {
      value = static_cast<std::uint8_t>(
          load_spike(source.data, source.storage, source.k, source.map.source(row), column));
    }
    values[row * bits.k + column] = value;
  }
}

/// A thread counts sixteen bytes at a time; one the bytes after the last sixteen.
__global__ void __launch_bounds__(pack_threads)
    count_bytes(const Array<std::uint8_t> values, ValueKind kind, EncodeStatus* status) {
  const std::uint64_t pieces = values.size / 16;
  const std::uint64_t thread = std::uint64_t{blockIdx.x} * pack_threads + threadIdx.x;
  std::uint64_t count = 0;
  for (std::uint64_t i = thread; i < pieces; i += std::uint64_t{gridDim.x} * pack_threads) {
    const uint4 piece = reinterpret_cast<const uint4*>(values.data)[i];
    const std::uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
    for (std::uint32_t part = 0; part < 4; ++part) {
#pragma unroll
      for (std::uint32_t j = 0; j < 4; ++j) {
        const Packed one = pack_element<DType::u8>(words[part] >> 8 * j & 0xffu, kind);
        count += one.bits;
        if (one.invalid != 0) report_invalid(status, 16 * i + 4 * part + j);
      }
    }
  }
  if (thread == 0) {
    for (std::uint64_t i = 16 * pieces; i < values.size; ++i) {
      const Packed one = pack_element<DType::u8>(values[i], kind);
      count += one.bits;
      if (one.invalid != 0) report_invalid(status, i);
    }
  }
  add_count(status, count);
}

}  // namespace
}  // namespace cuda

void count(const CudaContext& context, const Bytes& bytes) {
  cuda::reset_status(context, bytes.status);
  if (bytes.values.size == 0) return;
  const auto blocks =
      std::min<std::uint64_t>(cuda::resident_blocks(context, cuda::full_blocks_per_sm),
                              ceil_div(bytes.values.size, std::uint64_t{16} * cuda::pack_threads));
  cuda::count_bytes<<<static_cast<unsigned>(blocks), cuda::pack_threads, 0, context.stream>>>(
      bytes.values, bytes.layout.kind, bytes.status);
  cuda::check_launch();
}

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Bytes&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Bytes& bytes,
            Workspace workspace) {
  check_encode(spikes, bytes, Space::device);
  WorkspaceCarver carver(workspace);
  const RowOrder order = bytes.layout.row_order;
  const BitRows bits =
      pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)), bytes.status);
  const auto blocks =
      std::min<std::uint64_t>(1u << 16, cuda::warp_blocks(bits.m * bits.words_per_row()));
  cuda::write_bytes<<<static_cast<unsigned>(blocks), cuda::block_threads, 0, context.stream>>>(
      bits, value_source(spikes, order), bytes.layout.value_type == DType::bit, bytes.values.data);
  cuda::check_launch();
}

template void decode(const CudaContext&, const Bytes&, const MutableSpikeView&);

}  // namespace spiketune
