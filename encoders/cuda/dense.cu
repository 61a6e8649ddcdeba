#include "spiketune/encoders/dense.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"

namespace spiketune {
namespace cuda {
namespace {

/// A lane writes an element, so that writes coalesce; the word that holds its bit is shared.
template <class T>
__global__ void cast(const BitRows bits, const ValueSource source, bool pattern, T* values) {
  const std::uint64_t total = bits.m * bits.words_per_row();
  const std::uint64_t warps = std::uint64_t{gridDim.x} * (blockDim.x / 32);
  const std::uint32_t lane = threadIdx.x % 32;
  for (std::uint64_t at = global_warp(); at < total; at += warps) {
    const std::uint64_t row = at / bits.words_per_row();
    const auto w = static_cast<std::uint32_t>(at % bits.words_per_row());
    const std::uint32_t column = 32 * w + lane;
    if (column >= bits.k) continue;
    float value = static_cast<float>(bits.word(row, w) >> lane & 1u);
    if (value != 0.0f && !pattern) {
      value = load_spike(source.data, source.storage, source.k, source.map.source(row), column);
    }
    values[row * bits.k + column] = from_float<T>(value);
  }
}

template <class T>
void launch_cast(const CudaContext& context, const BitRows& bits, const ValueSource& source,
                 const Dense& dense) {
  const auto blocks = std::min<std::uint64_t>(1u << 16, warp_blocks(bits.m * bits.words_per_row()));
  cast<<<static_cast<unsigned>(blocks), block_threads, 0, context.stream>>>(
      bits, source, dense.layout.value_type == DType::bit, dense.values.as<T>());
  check_launch();
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Dense&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Dense& dense,
            Workspace workspace) {
  check_encode(spikes, dense, Space::device);
  WorkspaceCarver carver(workspace);
  const RowOrder order = dense.layout.row_order;
  const BitRows bits =
      pack(context, spikes, order, carver.take<std::uint32_t>(packed_words(spikes)), dense.status);
  const ValueSource source = value_source(spikes, order);
  switch (dense.params.type) {
    case DType::f16:
      cuda::launch_cast<Half>(context, bits, source, dense);
      break;
    case DType::bf16:
      cuda::launch_cast<Bfloat16>(context, bits, source, dense);
      break;
    default:
      cuda::launch_cast<float>(context, bits, source, dense);
  }
}

template void decode(const CudaContext&, const Dense&, const MutableSpikeView&);

}  // namespace spiketune
