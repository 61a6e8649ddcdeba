#pragma once
/// \file
/// The interface that all encoders share.
///
/// For each format F, `encoders/<f>.hpp` declares
///
///   std::size_t encode_workspace_bytes(const ContextT&, const SpikeView&, const F&);
///   void encode(const ContextT&, const SpikeView& spikes, const F& format, Workspace);
///
/// for HostContext and CudaContext. `format` is planned and bound. Rows are reordered on the way
/// where format.layout.row_order differs from the spikes'. Nothing is allocated, nothing waits for
/// the device, nothing is thrown for what the spikes contain: read *format.status for that
/// (check_status throws). On overflow status->needed is exact and nothing is written out of bounds.
///
///     template <class F> void decode(const ContextT&, const F&, const MutableSpikeView& spikes);
///
/// writes every element of `spikes`, whose storage must hold the values and whose row order may be
/// either. Decoding what was encoded gives back every bit, but for −0.0, which becomes 0.

#include <cstdint>
#include <optional>

#include "spiketune/core/buffer.hpp"
#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune {

template <class Format>
void decode(const HostContext& context, const Format& format, const MutableSpikeView& spikes);
template <class Format>
void decode(const CudaContext& context, const Format& format, const MutableSpikeView& spikes);

/// Throws Error(invalid_argument) where `spikes` cannot receive the format's values.
void check_decode(const FormatBase& format, const MutableSpikeView& spikes, Space space);

struct EncodeOptions {
  RowOrder row_order = RowOrder::time_major;
  double density = 0.1;  ///< first guess; a wrong one costs a second encode, not correctness
  std::optional<std::uint64_t> capacity;  ///< instead of the guess
};

/// Plans, allocates and encodes; when the capacity was too small, allocates what is needed and
/// encodes again. The convenient form: it allocates and waits, so not for graphs.
/// Throws Error(invalid_value) for bad spikes.
template <class Format, class ContextT>
[[nodiscard]] Encoded<Format> encode_to_fit(const ContextT& context, const SpikeView& spikes,
                                            const typename Format::Params& params = {},
                                            const EncodeOptions& options = {}) {
  const EncodedLayout layout = layout_of(spikes, options.row_order);
  std::uint64_t capacity =
      options.capacity.value_or(Format::bound(layout, params, options.density));
  for (;;) {
    Encoded<Format> result(context, Format::plan(layout, params, capacity));
    const Buffer workspace = allocate(context, encode_workspace_bytes(context, spikes, *result));
    encode(context, spikes, *result, workspace.workspace());
    const EncodeStatus status = read_status(context, *result);
    const bool overflow = status.needed > result->capacity;
    if (overflow && status.first_invalid == EncodeStatus::none_invalid &&
        status.needed > capacity) {
      capacity = status.needed;
      continue;
    }
    check_status(status, *result, Format::name, spikes.row_order);
    return result;
  }
}

}  // namespace spiketune
