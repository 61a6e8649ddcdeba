#pragma once
/// \file
/// Any format on the host, with its arrays, for Python.

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/formats/format.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune::python {

struct NamedArray {
  std::string name;
  AnyArray array;  ///< as long as what was stored, not as the capacity
};

class AnyEncoded {
 public:
  virtual ~AnyEncoded() = default;
  [[nodiscard]] virtual std::string format() const = 0;
  [[nodiscard]] virtual nlohmann::json params() const = 0;
  [[nodiscard]] virtual const EncodedLayout& layout() const = 0;
  [[nodiscard]] virtual EncodeStatus status() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes() const = 0;
  [[nodiscard]] virtual const std::vector<NamedArray>& arrays() const = 0;
  virtual void decode(const MutableSpikeView& spikes) const = 0;
  virtual void spmm(const WeightView& weights, const OutputView& output) const = 0;
};

/// Names of the formats that encode() knows.
[[nodiscard]] std::vector<std::string> format_names();

/// \param params   fields of the format's Params; null: its defaults
/// Throws Error(invalid_argument) for an unknown format, else what encode_to_fit() throws.
[[nodiscard]] std::unique_ptr<AnyEncoded> encode_any(const std::string& format,
                                                     const nlohmann::json& params,
                                                     const SpikeView& spikes, RowOrder row_order);

}  // namespace spiketune::python
