#pragma once
/// \file
/// Recorded spikes: from .npy and .npz files to spike tensors, and back.

#include <cstdint>
#include <string>
#include <vector>

#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/datasets/to_spikes.hpp"

namespace spiketune {

struct LoadOptions : ArrayOptions {
  std::string member;  ///< of an .npz; empty: "spikes", or else its only member
};

/// The spikes of a .npy or .npz file, told apart by their content. An .npz with a member `shape`
/// other than that of the array is packed, little unless `packing` says big, and had that shape
/// before. Throws Error(io), Error(parse) or Error(unsupported) as read_npy does, and as to_spikes
/// does.
[[nodiscard]] SpikeTensor load_spikes(const std::string& path, const LoadOptions& options = {});

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
