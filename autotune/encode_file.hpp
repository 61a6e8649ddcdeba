#pragma once
/// \file
/// Spikes to files of an encoding that scipy.sparse.load_npz reads.

#include <cstdint>
#include <string>
#include <string_view>

#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"

namespace spiketune {

struct EncodedFile {
  std::uint64_t nnz = 0;
  std::uint64_t bytes = 0;  ///< of the encoding in memory, not of the file
};

/// Encodes host spikes with rows in `order` as coo, csr, csc or bsr and writes the file.
/// \param block_size   of bsr: 8, 16, 32 or 64
/// Throws Error(unsupported) for other formats, and as encode_to_fit and write_scipy_* do.
EncodedFile write_encoded(const HostContext& context, const SpikeView& spikes,
                          std::string_view format, int block_size, RowOrder order,
                          const std::string& path);

}  // namespace spiketune
