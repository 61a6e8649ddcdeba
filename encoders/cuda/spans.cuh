#pragma once
/// \file
/// Encoders of packed rows that follow one another: spikes are counted, then written.
///
///   bits --popcount--> spikes of the chunks of a span, and of the span
///   spikes of all spans before --sum--> position; bits --expanded--> the chunk's part
///
/// Bits are a small part of what an encoder of bytes would read, and mostly still in L2 when they
/// are read again, so that counting all before writing any costs less than blocks that tell each
/// other their counts: nothing is reset, no block waits for another. A warp counts, and later
/// writes, a chunk of neighbouring strips; a block has a span, of one chunk for each of its warps.
/// Bytes: the bits twice, and the encoding once. Bound by instructions where spikes are few, by
/// memory where they are many.

#include "spiketune/encoders/cuda/strips.cuh"

namespace spiketune::cuda {

/// Chunks of a span: a warp has one.
inline constexpr std::uint32_t span_chunks = strip_warps;

/// Where counts of a task's chunks and spans are.
struct Spans {
  std::uint32_t chunk_strips;  ///< of a chunk
  std::uint32_t count;         ///< spans
  std::uint32_t* spikes;       ///< [count] of spans, then [count][span_chunks] of chunks

  [[nodiscard]] __device__ std::uint32_t& chunk(std::uint32_t span, std::uint32_t warp) const {
    return spikes[count + span * span_chunks + warp];
  }
};

/// As many spans as all blocks of a device at once, or a few times that.
inline Spans plan_spans(const TileTask& task) {
  constexpr std::uint64_t most = 2048;
  Spans spans{};
  const std::uint64_t chunks = ceil_div(task.tiles, span_chunks);
  spans.chunk_strips = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, chunks / 1024));
  if (ceil_div(chunks, spans.chunk_strips) > most) {
    spans.chunk_strips = static_cast<std::uint32_t>(ceil_div(chunks, most));
  }
  spans.count = static_cast<std::uint32_t>(ceil_div(chunks, spans.chunk_strips));
  return spans;
}

/// Words of 32 bits of the workspace.
inline std::uint64_t span_words(const TileTask& task) {
  return std::uint64_t{plan_spans(task).count} * (1 + span_chunks);
}

/// Strips of a chunk: first .. end - 1.
struct Chunk {
  std::uint32_t first;
  std::uint32_t end;

  __device__ Chunk(const TileTask& task, const Spans& spans, std::uint32_t span) {
    const auto strips = static_cast<std::uint32_t>(task.tiles);
    first = (span * span_chunks + threadIdx.x / 32) * spans.chunk_strips;
    end = first + spans.chunk_strips < strips ? first + spans.chunk_strips : strips;
  }
};

/// Counts the spikes of a span in each block. `fresh`: resets the status as well.
template <bool quick>
__global__ void __launch_bounds__(strip_threads)
    count_spans(const __grid_constant__ TileTask task, const __grid_constant__ Spans spans,
                bool fresh) {
  constexpr DType storage = DType::bit;
  constexpr std::uint32_t owned = owned_words<storage>;
  constexpr std::uint32_t ahead = quick ? 4 : 1;  // strips at a time
  __shared__ alignas(16) std::uint32_t words[quick ? 1 : span_chunks][strip_words<storage>];
  __shared__ std::uint32_t of_chunks[span_chunks];
  start_dependents();
  const std::uint32_t span = blockIdx.x;
  const std::uint32_t warp = threadIdx.x / 32;
  const std::uint32_t lane = threadIdx.x % 32;
  if (fresh && span == 0 && threadIdx.x == 0) {
    *task.status = {0, 0, 0, EncodeStatus::none_invalid};
  }
  const Chunk chunk(task, spans, span);
  std::uint32_t spikes = 0;
  for (std::uint32_t strip = chunk.first; strip < chunk.end; strip += ahead) {
    if constexpr (quick) {
      uint4 pieces[ahead][lane_pieces<storage>];
#pragma unroll
      for (std::uint32_t s = 0; s < ahead; ++s) {
        const Strip here(task, strip + s < chunk.end ? strip + s : no_strip, nullptr);
        fetch_pieces<storage>(task, here, [&](std::uint32_t i, const uint4* from, bool there) {
          pieces[s][i] = there ? *from : uint4{0, 0, 0, 0};
        });
      }
#pragma unroll
      for (std::uint32_t s = 0; s < ahead; ++s) {
        for (const uint4& piece : pieces[s]) {
          spikes +=
              count_bits(piece.x) + count_bits(piece.y) + count_bits(piece.z) + count_bits(piece.w);
        }
      }
    } else {
      pack_any_strip<storage>(task, Strip(task, strip, nullptr), words[warp]);
      __syncwarp();
      std::uint32_t own[owned];
      load_words<owned>(words[warp] + lane * owned, own);
      for (const std::uint32_t word : own) spikes += count_bits(word);
      __syncwarp();
    }
  }
  spikes = warp_sum(spikes);
  if (lane == 0) of_chunks[warp] = spans.chunk(span, warp) = spikes;
  __syncthreads();
  if (threadIdx.x != 0) return;
  std::uint32_t all = 0;
  for (const std::uint32_t of : of_chunks) all += of;
  spans.spikes[span] = all;
}

/// Of a warp, in shared memory.
struct alignas(16) SpanMember {
  StripMemory<DType::bit> bits;
  std::uint16_t staged[strip_window<DType::bit> + 8];
};

/// Units before the chunk of this warp. All threads of a block call, once.
__device__ inline std::uint64_t units_before_chunk(const Spans& spans, std::uint32_t span) {
  __shared__ std::uint64_t of_warps[span_chunks];
  const std::uint32_t warp = threadIdx.x / 32;
  std::uint64_t sum = 0;
#pragma unroll 4
  for (std::uint32_t before = threadIdx.x; before < span; before += strip_threads) {
    sum += spans.spikes[before];
  }
  const std::uint32_t low = warp_sum(static_cast<std::uint32_t>(sum) & 0xffffffu);
  const std::uint32_t high = warp_sum(static_cast<std::uint32_t>(sum >> 24));
  if (threadIdx.x % 32 == 0) of_warps[warp] = (std::uint64_t{high} << 24) + low;
  __syncthreads();
  std::uint64_t units = 0;
#pragma unroll
  for (std::uint32_t other = 0; other < span_chunks; ++other) {
    units += of_warps[other] + (other < warp ? spans.chunk(span, other) : 0);
  }
  return units;
}

/// Writes the units of a span in each block.
template <bool quick, class Emit>
__global__ void __launch_bounds__(strip_threads, 4)
    write_spans(const __grid_constant__ TileTask task, const __grid_constant__ Emit emit,
                const __grid_constant__ Spans spans) {
  constexpr DType storage = DType::bit;
  constexpr std::uint32_t owned = owned_words<storage>;
  extern __shared__ uint4 shared[];
  SpanMember& mine = reinterpret_cast<SpanMember*>(shared)[threadIdx.x / 32];
  std::uint32_t* words = mine.bits.words;
  const std::uint32_t lane = threadIdx.x % 32;
  const std::uint32_t span = spans.count - 1 - blockIdx.x;  // what was read last is likely in L2
  const Chunk chunk(task, spans, span);
  RegisterPieces<storage> pieces;
  Strip strip(task, chunk.first, nullptr);
  if constexpr (quick) pieces.load(task, strip);
  wait_for_primary();  // that is, for the counts
  std::uint64_t first = units_before_chunk(spans, span);
  for (std::uint32_t index = chunk.first; index < chunk.end; ++index) {
    pack_strip<storage, quick>(task, strip, pieces, words);
    __syncwarp();
    const Strip here = strip;
    if (index + 1 < chunk.end) {
      strip = Strip(task, index + 1, nullptr);
      if constexpr (quick) pieces.load(task, strip);
    }
    std::uint32_t own[owned];
    load_words<owned>(words + lane * owned, own);
    std::uint32_t count = 0;
#pragma unroll
    for (std::uint32_t i = 0; i < owned; ++i) count += count_bits(own[i]);
    const std::uint32_t before = warp_exclusive_sum(count);
    mine.bits.before[lane] = before;
    const std::uint32_t total = __shfl_sync(all_lanes, before + count, 31);
    __syncwarp();
    const StripUnits<storage> units{total, &mine.bits, mine.staged};
    store_offsets<storage>(task, here, units, first);
    emit.template store<storage, quick>(here, units, first);
    __syncwarp();  // the words are packed anew
    first += total;
  }
  const bool last = span + 1 == spans.count && threadIdx.x == strip_threads - 1;
  if (last) tell_total(task, Emit::each_spike, first);
}

/// Encodes bits. `fresh`: the status is reset, which reset_tiles() has done else.
template <class Emit>
void launch_spans(const CudaContext& context, const TileTask& task, const Emit& emit, bool fresh) {
  Spans spans = plan_spans(task);
  if (spans.count == 0) return;
  spans.spikes = reinterpret_cast<std::uint32_t*>(task.states);
  const bool quick = is_quick(task) && emit.is_pattern();
  const auto count = quick ? count_spans<true> : count_spans<false>;
  count<<<spans.count, strip_threads, 0, context.stream>>>(task, spans, fresh);
  check_launch();
  const auto write = quick ? write_spans<true, Emit> : write_spans<false, Emit>;
  const std::size_t bytes = span_chunks * sizeof(SpanMember);
  allow_shared(write, bytes);
  launch_dependent(context, write, spans.count, strip_threads, bytes, task, emit, spans);
}

}  // namespace spiketune::cuda
