#include "spiketune/encoders/cvs.hpp"

#include "spiketune/encoders/cuda/decode.cuh"
#include "spiketune/encoders/cuda/tile.cuh"
#include "spiketune/encoders/values.hpp"

namespace spiketune {
namespace cuda {
namespace {

/// A unit is a vector: a column in which some row of the group has a spike.
struct EmitCvs {
  static constexpr bool each_spike = false;
  Cvs cvs;
  ValueSource source;

  __device__ const std::uint32_t* units(const TileBits& bits, std::uint32_t* scratch) const {
    return unite_rows(bits, cvs.vector(), 1, scratch, [](std::uint32_t any) { return any; });
  }
  __device__ std::uint32_t mask(const TileBits& bits, std::uint32_t unit) const {
    const std::uint32_t v = cvs.vector();
    const std::uint32_t first = group_of(unit) * v;
    const std::uint32_t rows = std::min(v, bits.rows - first);
    const std::uint32_t column = column_of(unit);
    const std::uint32_t* word = bits.words + first * bits.words_per_row + column / 32;
    std::uint32_t spikes = 0;
#pragma unroll 4
    for (std::uint32_t r = 0; r < rows; ++r) {
      spikes |= (word[r * bits.words_per_row] >> (column % 32) & 1u) << r;
    }
    return spikes;
  }
  __device__ void store(const TileBits& bits, const std::uint32_t* staged, std::uint64_t first,
                        std::uint32_t count) const {
    const std::uint32_t v = cvs.vector();
    const std::uint32_t first_column = 32 * bits.first_word;
    store_units(
        staged, first, count, cvs.capacity, cvs.values.type == DType::bit,
        [&](std::uint64_t at, std::uint32_t unit) {
          const std::uint32_t column = first_column + column_of(unit);
          const std::uint32_t spikes = mask(bits, unit);
          store_index(cvs.column_indices, at, column);
          cvs.store_mask(at, spikes);
          if (cvs.values.type == DType::bit) return;
          for (std::uint32_t r = 0; r < v; ++r) {
            copy_or_clear(source, cvs.values, at * v + r, bits.first_row + group_of(unit) * v + r,
                          column, (spikes >> r & 1u) != 0);
          }
        },
        [&](std::uint64_t at, const uint4& units) {
          store_columns(cvs.column_indices, at, units, first_column);
          const std::uint32_t masks[4] = {mask(bits, units.x), mask(bits, units.y),
                                          mask(bits, units.z), mask(bits, units.w)};
          if (cvs.masks.type == DType::u8) {
            cvs.masks.as<std::uint32_t>()[at / 4] =
                masks[0] | masks[1] << 8 | masks[2] << 16 | masks[3] << 24;
          } else {
            cvs.masks.as<uint2>()[at / 4] = {masks[0] | masks[1] << 16, masks[2] | masks[3] << 16};
          }
        });
  }
};

TileTask plan_cvs(const SpikeView& spikes, const Cvs& cvs) {
  return plan_tiles(spikes, cvs.layout.row_order, cvs.vector());
}

}  // namespace
}  // namespace cuda

std::size_t encode_workspace_bytes(const CudaContext&, const SpikeView& spikes, const Cvs& cvs) {
  WorkspaceCarver carver;
  carver.take<std::uint64_t>(cuda::plan_cvs(spikes, cvs).tiles);
  return carver.bytes();
}

void encode(const CudaContext& context, const SpikeView& spikes, const Cvs& cvs,
            Workspace workspace) {
  check_encode(spikes, cvs, Space::device);
  WorkspaceCarver carver(workspace);
  const cuda::TileTask task = cuda::plan_cvs(spikes, cvs);
  auto* states = carver.take<std::uint64_t>(task.tiles);
  cuda::run_tiles(context, spikes.storage, task,
                  cuda::EmitCvs{cvs, value_source(spikes, cvs.layout.row_order)},
                  cvs.vector_offsets.data, cvs.status, states);
}

template void decode(const CudaContext&, const Cvs&, const MutableSpikeView&);

}  // namespace spiketune
