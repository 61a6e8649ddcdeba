#pragma once
/// \file
/// A format as the autotuner sees it: its encoder and its kernels, type-erased.
///
/// Built-in formats become plugins through autotune/adapt.hpp, each a name in
/// autotune/builtin_formats.hpp. A format of your own does the same in a shared library:
///
///   extern "C" int spiketune_plugin_abi() { return spiketune::plugin_abi; }
///   extern "C" void spiketune_register(spiketune::Registry& registry) {
///     registry.add(spiketune::adapt<Mine, spiketune::HostContext>());
///   }
///
/// See docs/adding-a-format.md and examples/plugin/.

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spiketune/core/context.hpp"
#include "spiketune/formats/format.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

/// Changes whenever anything that a plugin sees does.
inline constexpr int plugin_abi = 3;

struct KernelInfo {
  std::string name;                     ///< "row_gather", "cublaslt.heuristic"
  std::vector<nlohmann::json> configs;  ///< default first; never empty
};

/// One format planned for one layout, with memory. Bound calls enqueue on the context and return;
/// they stay valid while the encoding and the memory they were bound to live.
class AnyEncoding {
 public:
  virtual ~AnyEncoding() = default;

  [[nodiscard]] virtual std::function<void()> bind_encode(const SpikeView& spikes) = 0;
  /// Throws Error(invalid_argument) where the kernel cannot run it.
  [[nodiscard]] virtual std::function<void()> bind_spmm(std::string_view kernel,
                                                        const nlohmann::json& config,
                                                        const WeightView& weights,
                                                        const OutputView& output) = 0;
  /// The last encode left the spikes where they were, which are the encoding: it enqueued nothing,
  /// and is not timed but counted as 0.
  [[nodiscard]] virtual bool views() const { return false; }
  /// Enqueues a copy of the counters to pinned host memory (allocate_pinned()).
  virtual void post_status(EncodeStatus* to) = 0;
  /// Counters of the last encode. Synchronises, as do the two below.
  [[nodiscard]] virtual EncodeStatus status() = 0;
  virtual void decode(const MutableSpikeView& spikes) = 0;
  /// Throws Error(invalid_value) where the encoding breaks the format's rules.
  virtual void validate() = 0;

  [[nodiscard]] virtual std::uint64_t capacity() const = 0;
  /// Bytes that an encoding of `stored` units of capacity occupies.
  [[nodiscard]] virtual std::uint64_t bytes(std::uint64_t stored) const = 0;
};

class FormatPlugin {
 public:
  virtual ~FormatPlugin() = default;

  [[nodiscard]] virtual std::string name() const = 0;     ///< "csr"
  [[nodiscard]] virtual std::string backend() const = 0;  ///< "host" or "cuda"
  /// Somebody else's library, measured for comparison.
  [[nodiscard]] virtual bool baseline() const { return false; }
  /// May drop spikes (EncodeStatus::lost says how many).
  [[nodiscard]] virtual bool lossy() const { return false; }
  /// Its encode waits for the device, so it can be neither captured nor queued ahead.
  [[nodiscard]] virtual bool synchronous() const { return false; }
  /// Why it cannot run here and what would help; empty where it can.
  [[nodiscard]] virtual std::string why_unavailable() const { return ""; }

  [[nodiscard]] virtual std::vector<KernelInfo> kernels() const = 0;
  /// Parameters of the format worth trying, default first.
  [[nodiscard]] virtual std::vector<nlohmann::json> params(const EncodedLayout& layout,
                                                           DType weights) const = 0;
  /// `capacity`, or what `density` makes likely. Throws Error.
  [[nodiscard]] virtual std::unique_ptr<AnyEncoding> plan(
      const Context& context, const EncodedLayout& layout, const nlohmann::json& params,
      double density, std::optional<std::uint64_t> capacity) const = 0;
  /// Why this kernel cannot run such a product; empty where it can.
  [[nodiscard]] virtual std::string why_invalid(std::string_view kernel,
                                                const nlohmann::json& config,
                                                const EncodedLayout& layout,
                                                const WeightView& weights,
                                                const OutputView& output) const = 0;
};

/// An ordered list of plugins. There is no global one: whoever needs one makes it.
class Registry {
 public:
  void add(std::unique_ptr<FormatPlugin> plugin) { plugins_.push_back(std::move(plugin)); }
  [[nodiscard]] const std::vector<std::unique_ptr<FormatPlugin>>& plugins() const {
    return plugins_;
  }

 private:
  std::vector<std::unique_ptr<FormatPlugin>> plugins_;
};

void add_host_formats(Registry& registry);
void add_host_baselines(Registry& registry);
/// Defined in the `cuda` component.
void add_cuda_formats(Registry& registry);
void add_cuda_baselines(Registry& registry);

/// Opens a shared library and lets it add its formats; it stays loaded. Throws Error(io) where it
/// cannot be opened, Error(unsupported) where it was built for another plugin_abi.
void load_plugin(const std::string& path, Registry& registry);

}  // namespace spiketune
