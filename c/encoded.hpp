#pragma once
/// \file
/// Any format on the host or a CUDA device, by name, with its arrays: what the bindings of other
/// languages share.

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "memory.hpp"
#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/encoders/im2col.hpp"
#include "spiketune/formats/format.hpp"
#include "spiketune/kernels/gradients.hpp"
#include "spiketune/kernels/quantize.hpp"
#include "spiketune/kernels/spmm.hpp"
#include "spiketune/kernels/spmm_lif.hpp"

namespace spiketune::bindings {

struct NamedArray {
  std::string name;
  AnyArray array;  ///< as long as what was stored, not as the capacity
};

/// Of room for any spikes that is made without asking how many there are.
inline constexpr std::uint64_t most_unasked_bytes = 64 << 20;

struct EncodeRequest {
  RowOrder row_order = RowOrder::time_major;
  std::optional<std::uint64_t> capacity;
  std::optional<double> density;
  /// Read the counters, and encode again where the room was too small. Unset: only where room for
  /// any spikes would be more than most_unasked_bytes, or another layout.
  std::optional<bool> wait = true;
  bool wide_indices = false;  ///< column indices of 32 bits, of Csr and Coo
};

/// W in s8 or s4 in the memory of a context, and in the order in which products of bitmaps read it.
struct PreparedWeights {
  Context context;
  QuantisedWeights weights;
  Buffer prepared;  ///< workspace of prepare_spmm_lif(), which is that of ExpandImma
};

/// Throws what quantize() throws. Waits for a device.
[[nodiscard]] PreparedWeights quantize_any(const Context& context, const WeightView& weights,
                                           DType type);

class AnyEncoded {
 public:
  virtual ~AnyEncoded() = default;
  [[nodiscard]] virtual std::string format() const = 0;
  [[nodiscard]] virtual nlohmann::json params() const = 0;
  [[nodiscard]] virtual const EncodedLayout& layout() const = 0;
  [[nodiscard]] virtual const Context& context() const = 0;
  [[nodiscard]] virtual const Block& storage() const = 0;
  /// Waits for the encoder the first time. Throws Error(overflow), Error(invalid_value).
  [[nodiscard]] virtual const EncodeStatus& status() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes() const = 0;
  /// Waits as status() does, to know how long they are.
  [[nodiscard]] virtual const std::vector<NamedArray>& arrays() const = 0;
  virtual void decode(const Context& context, const MutableSpikeView& spikes) const = 0;
  /// Y = S·W, or Y = Sᵀ·W for `transposed`, which Csc alone has. `prepared`: of PreparedWeights, if
  /// W is.
  virtual void spmm(const Context& context, const WeightView& weights, const OutputView& output,
                    bool transposed, const Allocate& allocate, Workspace prepared = {}) const = 0;
  /// dW = Sᵀ·dY, of Bitmap, Csr and Csc.
  virtual void weight_gradient(const Context& context, const GradientView& gradient,
                               const OutputView& result, const Allocate& allocate) const = 0;
  /// The bitmap [T, rows, N] that neurons fire into, of a Bitmap. Its counts are taken when
  /// status() asks for them.
  [[nodiscard]] virtual std::unique_ptr<AnyEncoded> spmm_lif(
      const Context& context, const WeightView& weights, const LifInput& input,
      const LifParams& params, const LifState& state, RowOrder row_order, const Allocate& allocate,
      Workspace prepared = {}) const = 0;
  /// The windows of a Bitmap of images, channels last, as a bitmap; counted as spmm_lif()'s.
  [[nodiscard]] virtual std::unique_ptr<AnyEncoded> im2col(const Context& context,
                                                           const Convolution& convolution,
                                                           const Allocate& allocate) const = 0;
};

/// Names of the formats that encode() knows.
[[nodiscard]] std::vector<std::string> format_names();

/// \param params   fields of the format's Params; null: its defaults
/// Throws Error(invalid_argument) for an unknown format, else what encode_to_fit() throws.
[[nodiscard]] std::unique_ptr<AnyEncoded> encode_any(
    const std::string& format, const nlohmann::json& params, const Context& context,
    const SpikeView& spikes, const EncodeRequest& request, const Allocate& allocate);

}  // namespace spiketune::bindings
