#pragma once
/// \file
/// Recorded spikes: from files of any kind that is read (readers/readers.hpp) to spike tensors, and
/// back to .npy and .npz.

#include <cstdint>
#include <string>
#include <vector>

#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/datasets/events.hpp"
#include "spiketune/datasets/readers/recording.hpp"
#include "spiketune/datasets/to_spikes.hpp"

namespace spiketune {

struct LoadOptions : ArrayOptions {
  std::string member;  ///< of a file with several; empty: "spikes", or else its only member
  EventOptions events;
};

/// The spikes of a file, whose kind is told by its content or its ending; `path` may end in the
/// member, as in "trace.h5:/layer1/spikes". An .npz with a member `shape` other than that of the
/// array is packed, little unless `packing` says big, and had that shape before. Events are counted
/// in time steps (bin_events): a row is one whole frame, [C, H, W] laid flat, or one position of it
/// where the window is larger than 1 x 1. Throws Error(io), Error(parse) or Error(unsupported) as
/// read_recording() does, and as bin_events() and to_spikes() do.
/// \param how   where not null, gets how events were binned and what was left out; empty for arrays
[[nodiscard]] SpikeTensor load_spikes(const std::string& path, const LoadOptions& options = {},
                                      std::string* how = nullptr);
/// The same for what a reader made of a file.
[[nodiscard]] SpikeTensor to_spikes(Recording recording, const LoadOptions& options,
                                    std::string* how = nullptr);

/// Writes [T, rows, K]. As .npy: b1 for binary spikes, u1 for graded2, f2 (from f16) or f4. As .npz
/// (by the path's ending): the member `spikes` holds the same or, of binary spikes, bits packed
/// along K, least significant first, with the member `shape`; load_spikes reads all of them back.
/// Host memory. Throws Error(io), and Error(invalid_value) for spikes not of their kind.
void save_spikes(const std::string& path, const SpikeView& spikes);

/// A recorded layer: what comes in, and the weights it meets.
struct LayerTrace {
  SpikeTensor spikes;  ///< u8, binary; im2col done where the layer is a convolution
  std::vector<std::uint16_t> weights_f16;  ///< [K, N] row-major, f16 bit patterns
  std::uint32_t n = 0;
  std::vector<float> bias;  ///< [N], or empty
  bool convolution = false;
  Window window;
  std::vector<std::uint64_t> recorded_shape;  ///< [T, images, C, H, W] or [T, images, K]
  std::uint32_t images = 0;                   ///< of which this trace holds so many
};

/// Reads an .npz with the members
///   spikes   u1, np.packbits(bitorder="little") along the last axis
///   shape    integers, before packing: [T, images, C, H, W] or [T, images, K]
///   weight   f2, convolution [N, C, kernel_h, kernel_w] or fully connected [N, K]; after a
///            convolution K may be C·H·W
///   bias     f2 or f4 [N], optional
///   stride, padding   one integer each, optional (1 and 0)
/// Keeps the first `max_images` images (0: all). Throws as load_spikes does.
[[nodiscard]] LayerTrace load_layer(const std::string& path, std::uint32_t max_images = 0,
                                    RowOrder row_order = RowOrder::time_major);

}  // namespace spiketune
