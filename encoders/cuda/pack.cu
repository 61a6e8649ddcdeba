// Spikes of any storage to bits.
//
// Bytes: the input once, and 1/8 (u8) to 1/32 (f32) of it out; bound by memory.
// A thread loads 16 bytes and turns them into 16/sizeof(element) bits; the lanes that share a word
// merge theirs with shuffles. Rows that do not divide into such pieces go 32 elements a warp, by
// ballot.

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/encoders/cuda/pack.cuh"
#include "spiketune/encoders/pack.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr int threads = pack_threads;

struct PackTask {
  const void* data;
  std::uint32_t* words;  ///< null: count only
  EncodeStatus* status;
  std::uint64_t m;
  std::uint32_t k;
  std::uint32_t words_per_row;
  ValueKind kind;
  RowMap to_source;  ///< wanted row -> row of data
};

/// Rows of whole 32-bit words and 16-byte aligned data: the tensor is one flat run of pieces.
template <DType storage>
__global__ void __launch_bounds__(threads) pack_flat(const PackTask task, std::uint64_t pieces) {
  constexpr int per_piece = 128 / static_cast<int>(bits_of(storage));  // elements in 16 bytes
  constexpr int per_word = per_piece / 4;                              // elements in 4 bytes
  constexpr int unroll = 4;
  const auto* input = static_cast<const uint4*>(task.data);
  std::uint64_t count = 0;
  const std::uint64_t stride = std::uint64_t{gridDim.x} * threads * unroll;
  // `block_begin` is uniform across the block, so every lane takes part in every shuffle.
  for (std::uint64_t block_begin = std::uint64_t{blockIdx.x} * threads * unroll;
       block_begin < pieces; block_begin += stride) {
    uint4 loaded[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint64_t piece = block_begin + u * threads + threadIdx.x;
      loaded[u] = piece < pieces ? __ldcs(input + piece) : uint4{0, 0, 0, 0};
    }
#pragma unroll
    for (int u = 0; u < unroll; ++u) {
      const std::uint64_t piece = block_begin + u * threads + threadIdx.x;
      const std::uint32_t parts[4] = {loaded[u].x, loaded[u].y, loaded[u].z, loaded[u].w};
      if constexpr (per_piece >= 32) {  // bit and u2: a thread has whole words
#pragma unroll
        for (int out = 0; out < per_piece / 32; ++out) {
          std::uint32_t bits = 0;
#pragma unroll
          for (int part = 0; part < 32 / per_word; ++part) {
            const Packed packed =
                pack_word<storage>(parts[out * (32 / per_word) + part], task.kind);
            bits |= packed.bits << (part * per_word);
            if (packed.invalid != 0) {
              report_invalid(task.status, piece * per_piece + out * 32 + part * per_word +
                                              lowest_bit(packed.invalid));
            }
          }
          count += count_bits(bits);
          const std::uint64_t source_word = piece * (per_piece / 32) + out;
          if (piece < pieces && task.words != nullptr) {
            const std::uint64_t row = source_word / task.words_per_row;
            const RowMap to_wanted = task.to_source.inverse();
            task.words[to_wanted.source(row) * task.words_per_row +
                       source_word % task.words_per_row] = bits;
          }
        }
      } else {
        constexpr int lanes = 32 / per_piece;  // that share a word
        std::uint32_t bits = 0;
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          const Packed packed = pack_word<storage>(parts[part], task.kind);
          bits |= packed.bits << (part * per_word);
          if (packed.invalid != 0) {
            report_invalid(task.status,
                           piece * per_piece + part * per_word + lowest_bit(packed.invalid));
          }
        }
        bits <<= threadIdx.x % lanes * per_piece;
#pragma unroll
        for (int lane = 1; lane < lanes; lane *= 2) bits |= __shfl_xor_sync(all_lanes, bits, lane);
        if (threadIdx.x % lanes == 0 && piece < pieces) {
          count += count_bits(bits);
          const std::uint64_t word = piece / lanes;
          if (task.to_source.from == task.to_source.to) {
            task.words[word] = bits;
          } else {
            const RowMap to_wanted = task.to_source.inverse();
            const std::uint64_t row = word / task.words_per_row;
            task.words[to_wanted.source(row) * task.words_per_row + word % task.words_per_row] =
                bits;
          }
        }
      }
    }
  }
  add_count(task.status, count);
}

/// Any K and alignment: a warp makes one word by ballot.
template <DType storage>
__global__ void __launch_bounds__(threads) pack_ragged(const PackTask task) {
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint64_t total = task.m * task.words_per_row;
  const std::uint64_t warps = std::uint64_t{gridDim.x} * (threads / 32);
  std::uint64_t count = 0;
  for (std::uint64_t at = std::uint64_t{blockIdx.x} * (threads / 32) + threadIdx.x / 32; at < total;
       at += warps) {
    const std::uint64_t row = at / task.words_per_row;
    const auto k = static_cast<std::uint32_t>(at % task.words_per_row) * 32 + lane;
    const std::uint64_t source = task.to_source.source(row);
    Packed packed;
    if (k < task.k)
      packed =
          pack_element<storage>(load_pattern<storage>(task.data, task.k, source, k), task.kind);
    if (packed.invalid != 0) report_invalid(task.status, source * task.k + k);
    const std::uint32_t bits = __ballot_sync(all_lanes, packed.bits != 0);
    if (lane == 0) {
      count += count_bits(bits);
      if (task.words != nullptr) task.words[at] = bits;
    }
  }
  add_count(task.status, count);
}

template <DType storage>
void launch_pack(const CudaContext& context, const PackTask& task) {
  const unsigned most = resident_blocks(context);
  const bool flat = task.k % 32 == 0 && row_bytes(storage, task.k) % 16 == 0 &&
                    reinterpret_cast<std::uintptr_t>(task.data) % 16 == 0;
  if (flat) {
    const std::uint64_t pieces = task.m * row_bytes(storage, task.k) / 16;
    const auto blocks = std::min<std::uint64_t>(most, ceil_div(pieces, threads * 4));
    pack_flat<storage><<<static_cast<unsigned>(blocks), threads, 0, context.stream>>>(task, pieces);
  } else {
    const auto blocks =
        std::min<std::uint64_t>(most, ceil_div(task.m * task.words_per_row, threads / 32));
    pack_ragged<storage><<<static_cast<unsigned>(blocks), threads, 0, context.stream>>>(task);
  }
  check_launch();
}

void pack_rows(const CudaContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status) {
  check_space(spikes, Space::device);
  reset_status(context, status);
  const SpikeShape& shape = spikes.shape;
  if (shape.elements() == 0) return;
  const PackTask task{spikes.data, words,
                      status,      shape.m(),
                      shape.k,     static_cast<std::uint32_t>(ceil_div(shape.k, 32)),
                      spikes.kind, {shape.timesteps, shape.rows, spikes.row_order, order}};
  with_storage(spikes.storage, [&]<DType storage>() { launch_pack<storage>(context, task); });
}

}  // namespace
}  // namespace cuda

BitRows pack(const CudaContext& context, const SpikeView& spikes, RowOrder order,
             std::uint32_t* words, EncodeStatus* status) {
  const SpikeShape& shape = spikes.shape;
  const bool packed = spikes.storage == DType::bit;
  cuda::pack_rows(context, spikes, order, packed ? nullptr : words, status);
  return {packed ? static_cast<const std::uint32_t*>(spikes.data) : words,
          shape.m(),
          shape.k,
          {shape.timesteps, shape.rows, packed ? spikes.row_order : order, order}};
}

void pack_into(const CudaContext& context, const SpikeView& spikes, RowOrder order,
               std::uint32_t* words, EncodeStatus* status) {
  cuda::pack_rows(context, spikes, order, words, status);
}

}  // namespace spiketune
