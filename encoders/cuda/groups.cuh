#pragma once
/// \file
/// One-pass encoders of groups of rows, as column vectors and blocks: strips for batches.cuh.
///
///   global --16 bytes of each of eight rows--> registers of a lane --Emit--> shared memory
///
/// A strip is a run of whole groups, or some columns of one. Its rows come in octets: eight rows,
/// one below the other, so that a lane has bits of all of them at once.

#include "spiketune/encoders/cuda/batches.cuh"

namespace spiketune::cuda {

/// Words of the packed rows of a strip, at most: a group may be more than fits in a strip of rows.
template <DType storage>
inline constexpr std::uint32_t group_words = std::max(strip_words<storage>, 128u);

template <DType storage>
struct alignas(16) GroupSlot {
  std::uint32_t words[group_words<storage>];  ///< what an Emit keeps of the rows
  /// Of a lane: bit i of the low half tells whether its i-th place has a unit; the high half is how
  /// many units there are before.
  std::uint32_t units[32];
};

/// Places of units that a lane owns, at most.
inline constexpr std::uint32_t most_places = 16;

/// Storages of which a lane packs octets.
template <DType storage>
inline constexpr bool packs_octets = bits_of(storage) >= 8;

template <DType storage>
struct alignas(64) GroupCrewMember {  // of whole lines two blocks would have room, of these three
  /// Input of the next strip: [8 rows][lane], or its packed rows.
  uint4 raw[packs_octets<storage> ? 256 : group_words<storage> / 4];
  GroupSlot<storage> slots[strip_slots];
  std::uint16_t staged[32 * most_places + 8];
};

/// Eight rows of eight bits to eight columns of them: bit 8·r + c goes to 8·c + r (Warren, Hacker's
/// Delight, 7-3).
__device__ inline void transpose_8x8(std::uint32_t& low, std::uint32_t& high) {
  const auto swap = [](std::uint32_t& x, int distance, std::uint32_t mask) {
    const std::uint32_t differs = (x ^ x >> distance) & mask;
    x ^= differs ^ differs << distance;
  };
  swap(low, 7, 0x00aa00aau);
  swap(high, 7, 0x00aa00aau);
  swap(low, 14, 0x0000ccccu);
  swap(high, 14, 0x0000ccccu);
  const std::uint32_t differs = (low ^ high << 4) & 0xf0f0f0f0u;
  low ^= differs;
  high ^= differs >> 4;
}

/// The columns of 16-byte pieces of eight rows: bit r of byte c tells a spike of row r.
template <DType storage>
struct OctetMasks {
  static constexpr std::uint32_t count = 32 / bits_of(storage);
  std::uint32_t words[count];
  std::uint32_t invalid;  ///< zero: all elements are of their kind

  /// rows(r): the piece of row r.
  template <class Rows>
  __device__ OctetMasks(Rows&& rows, ValueKind kind) : words{}, invalid(0) {
    if constexpr (storage == DType::u8) {
      if (kind == ValueKind::binary) {  // bytes of 0 and 1 become bits of a byte
#pragma unroll
        for (std::uint32_t r = 8; r-- > 0;) {
          const uint4 row = rows(r);
          words[0] = 2 * words[0] + row.x;
          words[1] = 2 * words[1] + row.y;
          words[2] = 2 * words[2] + row.z;
          words[3] = 2 * words[3] + row.w;
          invalid |= (row.x | row.y | row.z | row.w) & 0xfefefefeu;
        }
        return;
      }
    }
    constexpr std::uint32_t bytes = (count + 1) / 2;
    std::uint32_t halves[bytes][2] = {};
#pragma unroll
    for (std::uint32_t r = 0; r < 8; ++r) {
      const auto packed = pack_piece<storage>(rows(r), kind);
      invalid |= packed.invalid;
#pragma unroll
      for (std::uint32_t i = 0; i < bytes; ++i) {
        halves[i][r / 4] |= (packed.bits >> (8 * i) & 0xffu) << (8 * (r % 4));
      }
    }
#pragma unroll
    for (std::uint32_t i = 0; i < bytes; ++i) {
      transpose_8x8(halves[i][0], halves[i][1]);
      words[2 * i] = halves[i][0];
      if constexpr (count > 1) words[2 * i + 1] = halves[i][1];
    }
  }
  /// to[0 .. count - 1] = the words; aligned to them.
  __device__ void store(std::uint32_t* to) const {
    if constexpr (count == 4) {
      *reinterpret_cast<uint4*>(to) = {words[0], words[1], words[2], words[3]};
    } else if constexpr (count == 2) {
      *reinterpret_cast<uint2*>(to) = {words[0], words[1]};
    } else {
      *to = words[0];
    }
  }
};

/// A strip by groups: its rows are groups, so that a unit's place is found as that of a bit of a
/// Strip of rows.
__device__ inline Strip by_groups(const TileTask& task, const Strip& strip) {
  Strip groups = strip;
  const auto shift = static_cast<std::uint32_t>(31 - __clz(static_cast<int>(task.rows_per_group)));
  groups.rows = (strip.rows + task.rows_per_group - 1) >> shift;
  if (strip.words_per_row != task.part_words) groups.per_row = Divisor(strip.words_per_row);
  return groups;
}

/// The octet of a lane, and its 16-byte piece of each row.
template <DType storage>
struct LaneOctet {
  static constexpr std::uint32_t word_pieces = bits_of(storage) / 4;
  std::uint32_t octet;
  std::uint32_t piece;
  std::uint32_t pieces;  ///< of a row
  std::uint32_t rows;    ///< that there are

  __device__ LaneOctet(const TileTask& task, const Strip& strip)
      : pieces(strip.words_per_row * word_pieces) {
    const std::uint32_t lane = threadIdx.x % 32;
    octet = by_groups(task, strip).per_row.quotient(lane / word_pieces);
    piece = lane - octet * pieces;
    rows = 8 * octet < strip.rows ? std::min(8u, strip.rows - 8 * octet) : 0;
  }
};

/// An Emit of groups:
///
///   static constexpr bool keeps_rows     what it keeps are packed rows: [row][words_per_row]
///   places<storage>()                    of units that a lane owns, neighbours in a group
///   keep_octet<storage>(rows, at, words) keeps a lane's octet, rows(r); nonzero where invalid
///   keep_rows(strip, rows, words)        keeps packed rows; only where not keeps_rows
///   units<storage>(task, strip, words, tally)  bits of the places of a lane
///   store<storage>(task, strip, slot, staged, first, count)   writes staged units
template <DType storage, bool quick, class EmitGroups>
struct GroupStrips {
  using Emit = EmitGroups;
  using Member = GroupCrewMember<storage>;
  using Slot = GroupSlot<storage>;
  static constexpr bool waits_in_row = false;
  static constexpr int blocks_per_sm = quick ? 3 : 2;

  static __device__ void init(Member&) {}
  static __device__ void load(const TileTask& task, const Strip& strip, Member& mine) {
    if constexpr (quick && !packs_octets<storage>) {
      const std::uint32_t row_pieces = task.k / (128 / bits_of(storage));
      const uint4* input = static_cast<const uint4*>(task.data) + strip.first_row * row_pieces +
                           strip.first_word / 4;
      const std::uint32_t there = strip.rows * strip.words_per_row / 4;
      const Strip groups = by_groups(task, strip);
      const std::uint32_t pieces = groups.rows * task.rows_per_group * strip.words_per_row / 4;
      for (std::uint32_t i = threadIdx.x % 32; i < pieces; i += 32) {
        if (i < there) {
          const std::uint32_t row = groups.per_row.quotient(4 * i);
          copy_piece_async(mine.raw + i, input + std::uint64_t{row} * row_pieces +
                                             (i - row * (strip.words_per_row / 4)));
        } else {
          mine.raw[i] = {0, 0, 0, 0};
        }
      }
      __pipeline_commit();
    } else if constexpr (quick) {
      constexpr std::uint32_t elements = 128 / bits_of(storage);
      const LaneOctet<storage> at(task, strip);
      const std::uint32_t row_pieces = task.k / elements;
      const uint4* input = static_cast<const uint4*>(task.data) +
                           (strip.first_row + 8 * at.octet) * row_pieces +
                           (strip.first_word * at.word_pieces + at.piece);
      uint4* raw = mine.raw + threadIdx.x % 32;
      if (at.rows == 8) {
#pragma unroll
        for (std::uint32_t r = 0; r < 8; ++r) {
          copy_piece_async(raw + 32 * r, input + r * row_pieces);
        }
      } else {
#pragma unroll
        for (std::uint32_t r = 0; r < 8; ++r) {
          if (r < at.rows) {
            copy_piece_async(raw + 32 * r, input + r * row_pieces);
          } else {
            raw[32 * r] = {0, 0, 0, 0};
          }
        }
      }
      __pipeline_commit();
    }
  }
  static __device__ void pack(const TileTask& task, const Strip& strip, Member& mine, Slot& slot,
                              const Emit& emit, std::uint32_t) {
    if constexpr (quick && !packs_octets<storage>) {
      __pipeline_wait_prior(0);
      __syncwarp();
      if constexpr (Emit::keeps_rows) {
        const std::uint32_t pieces =
            by_groups(task, strip).rows * task.rows_per_group * strip.words_per_row / 4;
        for (std::uint32_t i = threadIdx.x % 32; i < pieces; i += 32) {
          reinterpret_cast<uint4*>(slot.words)[i] = mine.raw[i];
        }
      } else {
        emit.keep_rows(strip, reinterpret_cast<const std::uint32_t*>(mine.raw), slot.words);
      }
      __syncwarp();  // the next strip's rows come where these are
    } else if constexpr (quick) {
      __pipeline_wait_prior(0);
      const uint4* raw = mine.raw + threadIdx.x % 32;
      const LaneOctet<storage> at(task, strip);
      const std::uint32_t invalid = emit.template keep_octet<storage>(
          [&](std::uint32_t r) { return raw[32 * r]; }, at, slot.words);
      if (invalid != 0) report_octet(task, strip, at, raw);
    } else {
      pack_rows(task, strip, mine, slot, emit);
    }
  }
  static __device__ std::uint32_t count(const TileTask& task, const Strip& strip, Slot& slot,
                                        const Emit& emit, Tally* tally) {
    const std::uint32_t units = emit.template units<storage>(task, strip, slot.words, tally);
    slot.units[threadIdx.x % 32] = units;
    return count_bits(units);
  }
  static __device__ void keep(Slot& slot, std::uint32_t before) {
    slot.units[threadIdx.x % 32] |= before << 16;
  }
  static __device__ void store(const TileTask& task, const Strip& strip, Member& mine,
                               const Slot& slot, const Emit& emit, std::uint32_t total,
                               std::uint64_t first) {
    const std::uint32_t lane = threadIdx.x % 32;
    const std::uint32_t places = emit.template places<storage>();
    const Strip groups = by_groups(task, strip);
    if (strip.first_word == 0) {
      const std::uint32_t group_lanes = emit.group_places(groups) / places;
      for (std::uint32_t group = lane; group < groups.rows; group += 32) {
        task.offsets[strip.first_group + group] =
            static_cast<std::uint32_t>(first) + (slot.units[group * group_lanes] >> 16);
      }
    }
    if (first >= emit.capacity()) return __syncwarp();  // the slot is packed anew
    const std::uint32_t units = slot.units[lane] & 0xffffu;
    const SharedHalves to =
        SharedHalves(mine.staged) + static_cast<std::int32_t>(first % 8 + (slot.units[lane] >> 16));
    __syncwarp();
    store_bits(to, units, count_bits(units), lane * places);
    __syncwarp();
    emit.template store<storage, quick>(
        groups, slot, mine.staged, first,
        static_cast<std::uint32_t>(std::min<std::uint64_t>(total, emit.capacity() - first)));
    __syncwarp();
  }

 private:
  /// Finds the invalid elements of an octet.
  static __device__ void report_octet(const TileTask& task, const Strip& strip,
                                      const LaneOctet<storage>& at, const uint4* raw) {
    constexpr std::uint32_t elements = 32 / bits_of(storage);  // of a word
    const std::uint64_t first =
        (strip.first_row + 8 * at.octet) * task.k + 32 * strip.first_word + 4 * elements * at.piece;
    const auto* words = reinterpret_cast<const std::uint32_t*>(raw);
#pragma unroll 1
    for (std::uint32_t i = 0; i < 4 * at.rows; ++i) {
      const std::uint32_t invalid =
          pack_word<storage>(words[i / 4 * 128 + i % 4], ValueKind::binary).invalid;
      if (invalid == 0) continue;
      report_invalid(task.status, first + std::uint64_t{i / 4} * task.k + i % 4 * elements +
                                      lowest_bit(invalid));
    }
  }
  /// Packs rows of any task.
  static __device__ void pack_rows(const TileTask& task, const Strip& strip, Member& mine,
                                   Slot& slot, const Emit& emit) {
    std::uint32_t* words = slot.words;
    if constexpr (!Emit::keeps_rows) words = reinterpret_cast<std::uint32_t*>(mine.raw);
    const std::uint32_t end = by_groups(task, strip).rows * task.rows_per_group;
    const std::uint32_t together = strip_words<storage> / strip.words_per_row;
    for (std::uint32_t row = 0; row < end; row += together) {
      Strip part = strip;
      part.first_row += row;
      part.rows = row < strip.rows ? std::min(together, strip.rows - row) : 0;
      pack_any_strip<storage>(task, part, words + row * strip.words_per_row);
    }
    if constexpr (!Emit::keeps_rows) {
      __syncwarp();
      emit.keep_rows(strip, words, slot.words);
      __syncwarp();
    }
  }
};

/// How groups of `rows` rows are cut into strips of up to `words` words.
inline TileTask plan_groups(const SpikeView& spikes, RowOrder order, std::uint32_t rows,
                            std::uint32_t words) {
  const std::uint32_t whole = std::max(rows, 8u);
  const std::uint32_t most = most_places * rows;
  TileTask task = plan_tiles(spikes, order, whole, std::min(words, most));
  if (task.parts > 1 && whole != rows) {  // units of a group are together: a strip has one
    return plan_tiles(spikes, order, rows, std::min(words * rows / whole, most));
  }
  task.groups_per_tile *= whole / rows;
  task.rows_per_group = rows;
  return task;
}

/// As run_strips().
template <class Emit>
void run_groups(const CudaContext& context, DType storage, TileTask task, const Emit& emit,
                std::uint32_t* offsets, EncodeStatus* status, std::uint64_t* states) {
  check_strips(task);
  task.offsets = offsets;
  task.status = status;
  task.states = states;
  reset_tiles(context, task, batch_states(task));
  const bool quick = task.wide && task.kind == ValueKind::binary && task.map.from == task.map.to &&
                     task.rows_per_tile * task.part_words <= 32 * owned_words_of(storage) &&
                     (storage != DType::bit || task.part_words % 4 == 0);
  with_storage(storage, [&]<DType type>() {
    if constexpr (packs_octets<type> || type == DType::bit) {
      if (quick && emit.is_pattern()) {
        return launch_strips<GroupStrips<type, true, Emit>>(context, task, emit);
      }
    }
    launch_strips<GroupStrips<type, false, Emit>>(context, task, emit);
  });
}

}  // namespace spiketune::cuda
