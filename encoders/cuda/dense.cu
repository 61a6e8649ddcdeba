#include "spiketune/encoders/dense.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/expand.cuh"
#include "spiketune/encoders/cuda/pack.cuh"

namespace spiketune {
namespace cuda {
namespace {

inline constexpr std::uint32_t piece_elements = 8;

/// Eight neighbouring elements as they lie in memory.
template <DType storage>
struct alignas(std::min<std::size_t>(bits_of(storage), 16)) Piece {
  std::uint8_t bytes[bits_of(storage)];

  /// Bit pattern of element i.
  __device__ std::uint32_t at(std::uint32_t i) const {
    if constexpr (storage == DType::bit) {
      return bytes[0] >> i & 1u;
    } else if constexpr (storage == DType::u2) {
      return bytes[i / 4] >> 2 * (i % 4) & 3u;
    } else if constexpr (storage == DType::u8) {
      return bytes[i];
    } else if constexpr (storage == DType::f32) {
      return reinterpret_cast<const std::uint32_t*>(bytes)[i];
    } else {
      return reinterpret_cast<const std::uint16_t*>(bytes)[i];
    }
  }
};

struct CastTask {
  const void* data;
  EncodeStatus* status;
  std::uint64_t pieces;  ///< of eight elements
  std::uint32_t pieces_per_row;
  std::uint64_t row_bytes;  ///< of data
  ValueKind kind;
  RowMap to_wanted;  ///< row of data -> wanted row
  bool padded;       ///< rows of data have unused bytes at their ends

  template <DType storage>
  __device__ const Piece<storage>* piece(std::uint64_t i) const {
    if (!padded) return static_cast<const Piece<storage>*>(data) + i;
    const std::uint64_t row = i / pieces_per_row;
    const auto* begin = static_cast<const std::byte*>(data) + row * row_bytes;
    return reinterpret_cast<const Piece<storage>*>(begin) + (i - row * pieces_per_row);
  }
  /// Where piece i goes.
  __device__ std::uint64_t wanted(std::uint64_t i) const {
    if (to_wanted.from == to_wanted.to) return i;
    const std::uint64_t row = i / pieces_per_row;
    return to_wanted.source(row) * pieces_per_row + (i - row * pieces_per_row);
  }
};

/// An element by its bit pattern. Negative zero becomes zero.
template <DType storage>
__device__ float value_of(std::uint32_t pattern) {
  if constexpr (storage == DType::f16) {
    return to_float(Half{static_cast<std::uint16_t>(pattern)}) + 0.0f;
  } else if constexpr (storage == DType::bf16) {
    return to_float(Bfloat16{static_cast<std::uint16_t>(pattern)}) + 0.0f;
  } else if constexpr (storage == DType::f32) {
    return __uint_as_float(pattern) + 0.0f;
  } else {
    return static_cast<float>(pattern);
  }
}

/// Whole pieces, aligned: a thread casts eight elements at a time.
template <DType storage, class T>
__global__ void __launch_bounds__(pack_threads) cast_wide(const CastTask task, T* values) {
  struct alignas(16) Out {
    T at[piece_elements];
  };
  constexpr int unroll = bits_of(storage) > 8 ? 2 : 4;
  const std::uint64_t stride = std::uint64_t{gridDim.x} * pack_threads * unroll;
  std::uint64_t count = 0;
  for (std::uint64_t begin = std::uint64_t{blockIdx.x} * pack_threads * unroll + threadIdx.x;
       begin < task.pieces; begin += stride) {
    Piece<storage> in[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint64_t piece = begin + u * pack_threads;
      if (piece < task.pieces) in[u] = *task.piece<storage>(piece);
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint64_t piece = begin + u * pack_threads;
      if (piece >= task.pieces) continue;
      Out out;
      Packed packed;
#pragma unroll
      for (std::uint32_t i = 0; i < piece_elements; ++i) {
        const std::uint32_t pattern = in[u].at(i);
        const Packed one = pack_element<storage>(pattern, task.kind);
        packed.bits |= one.bits << i;
        packed.invalid |= one.invalid << i;
        out.at[i] = from_float<T>(value_of<storage>(pattern));
      }
      count += count_bits(packed.bits);
      if (packed.invalid != 0) {
        report_invalid(task.status, piece * piece_elements + lowest_bit(packed.invalid));
      }
      reinterpret_cast<Out*>(values)[task.wanted(piece)] = out;
    }
  }
  add_count(task.status, count);
}

/// Any K and alignment, from bits. A lane writes an element, so that writes coalesce; the word that
/// holds its bit is shared.
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

/// Rows of whole pieces, or rows that follow one another without a gap and stay where they are.
bool is_wide(const SpikeView& spikes, const Dense& dense) {
  const SpikeShape& shape = spikes.shape;
  const bool one_run =
      spikes.row_order == dense.layout.row_order && shape.elements() % piece_elements == 0 &&
      row_bytes(spikes.storage, shape.k) * 8 == std::uint64_t{shape.k} * bits_of(spikes.storage);
  return (shape.k % piece_elements == 0 || one_run) &&
         reinterpret_cast<std::uintptr_t>(spikes.data) % 16 == 0;
}

template <class T>
void launch_wide(const CudaContext& context, const SpikeView& spikes, const Dense& dense) {
  reset_status(context, dense.status);
  const SpikeShape& shape = spikes.shape;
  const CastTask task{
      spikes.data,
      dense.status,
      shape.elements() / piece_elements,
      shape.k / piece_elements,
      row_bytes(spikes.storage, shape.k),
      spikes.kind,
      {shape.timesteps, shape.rows, dense.layout.row_order, spikes.row_order},
      row_bytes(spikes.storage, shape.k) * 8 != std::uint64_t{shape.k} * bits_of(spikes.storage)};
  if (task.pieces == 0) return;
  const auto blocks = std::min<std::uint64_t>(resident_blocks(context, full_blocks_per_sm),
                                              ceil_div(task.pieces, std::uint64_t{pack_threads}));
  with_storage(spikes.storage, [&]<DType storage>() {
    cast_wide<storage, T><<<static_cast<unsigned>(blocks), pack_threads, 0, context.stream>>>(
        task, dense.values.as<T>());
  });
  check_launch();
}

template <class T>
void launch_cast(const CudaContext& context, const SpikeView& spikes, const Dense& dense,
                 std::uint32_t* words) {
  if (is_wide(spikes, dense)) return launch_wide<T>(context, spikes, dense);
  const RowOrder order = dense.layout.row_order;
  const BitRows bits = pack(context, spikes, order, words, dense.status);
  const ValueSource source = value_source(spikes, order);
  const auto blocks = std::min<std::uint64_t>(1u << 16, warp_blocks(bits.m * bits.words_per_row()));
  cast<<<static_cast<unsigned>(blocks), block_threads, 0, context.stream>>>(
      bits, source, dense.layout.value_type == DType::bit, dense.values.as<T>());
  check_launch();
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes,
                                   const Dense& dense) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(cuda::is_wide(spikes, dense) ? 0 : packed_words(spikes));
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Dense& dense,
            Workspace workspace) {
  check_encode(spikes, dense, Space::device);
  WorkspaceCarver carver(workspace);
  auto* words = carver.take<std::uint32_t>(cuda::is_wide(spikes, dense) ? 0 : packed_words(spikes));
  switch (dense.params.type) {
    case DType::f16:
      return cuda::launch_cast<Half>(context, spikes, dense, words);
    case DType::bf16:
      return cuda::launch_cast<Bfloat16>(context, spikes, dense, words);
    default:
      return cuda::launch_cast<float>(context, spikes, dense, words);
  }
}

template void decode(const CudaContext&, const Dense&, const MutableSpikeView&);

}  // namespace spiketune
