#include "spiketune/autotune/format_sizes.hpp"

#include <exception>
#include <optional>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

std::uint64_t encoded_bytes(const HostContext& context, const FormatPlugin& plugin,
                            const nlohmann::json& params, const SpikeView& spikes, RowOrder order,
                            double density) {
  std::optional<std::uint64_t> capacity;
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto encoding = plugin.plan(context, layout_of(spikes, order), params, density, capacity);
    encoding->bind_encode(spikes)();
    const EncodeStatus status = encoding->status();
    if (status.needed <= encoding->capacity()) return encoding->bytes(status.needed);
    capacity = status.needed;
  }
  throw Error(ErrorCode::overflow, "it overflows every capacity");
}

}  // namespace

std::vector<FormatSize> format_sizes(const HostContext& context, const Registry& registry,
                                     const SpikeView& spikes, RowOrder order, double density,
                                     DType weights) {
  std::vector<FormatSize> sizes;
  for (const auto& plugin : registry.plugins()) {
    const bool wanted = plugin->backend() == HostContext::name && !plugin->baseline() &&
                        !plugin->lossy() && plugin->why_unavailable().empty();
    if (!wanted) continue;
    for (const auto& params : plugin->params(layout_of(spikes, order), weights)) {
      FormatSize size{plugin->name(), params, 0, ""};
      try {
        size.bytes = encoded_bytes(context, *plugin, params, spikes, order, density);
      } catch (const std::exception& error) {
        size.why_missing = error.what();
      }
      sizes.push_back(std::move(size));
    }
  }
  return sizes;
}

}  // namespace spiketune
