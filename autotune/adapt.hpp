#pragma once
/// \file
/// adapt<F, ContextT>(): makes a FormatPlugin of the free functions encode, decode and spmm.

#include <memory>
#include <utility>

#include "spiketune/autotune/fields.hpp"
#include "spiketune/autotune/format_encoding.hpp"
#include "spiketune/autotune/plugin.hpp"
#include "spiketune/encoders/encode.hpp"

namespace spiketune {
namespace detail {

/// Calls visit.template operator()<Config>() for each kernel of the list.
template <class... Configs, class Visit>
void for_each_kernel(KernelList<Configs...>, Visit&& visit) {
  (visit.template operator()<Configs>(), ...);
}

/// Whether a kernel wants W in a layout of its own (kernels/spmm.hpp).
template <class ContextT, class Config>
concept Prepared = requires(const ContextT& context, const WeightView& weights,
                            const Config& config, Workspace workspace) {
  prepare(context, weights, config, workspace);
};

template <class Format, class ContextT>
class AdaptedEncoding final : public FormatEncoding<Format, ContextT> {
 public:
  using Kernels = typename SpmmKernels<ContextT, Format>::list;
  using FormatEncoding<Format, ContextT>::FormatEncoding;

  std::function<void()> bind_spmm(std::string_view kernel, const nlohmann::json& config,
                                  const WeightView& weights, const OutputView& output) override {
    std::function<void()> bound;
    for_each_kernel(Kernels{}, [&]<class Config>() {
      if (Config::name != kernel) return;
      const auto chosen = fields_from_json<Config>(config, true);
      auto workspace = std::make_shared<Buffer>(
          allocate(context_, spmm_workspace_bytes(context_, *encoded_, weights, output, chosen)));
      if constexpr (Prepared<ContextT, Config>) {
        prepare(this->context_, weights, chosen, workspace->workspace());
      }
      bound = [this, weights, output, chosen, workspace = std::move(workspace)] {
        spmm(context_, *encoded_, weights, output, chosen, workspace->workspace());
      };
    });
    if (!bound) {
      throw Error(ErrorCode::invalid_argument,
                  std::string(Format::name) + " has no kernel '" + std::string(kernel) + "'");
    }
    return bound;
  }

 private:
  using FormatEncoding<Format, ContextT>::context_;
  using FormatEncoding<Format, ContextT>::encoded_;
};

template <class Format, class ContextT>
class AdaptedPlugin final : public FormatPlugin {
 public:
  AdaptedPlugin(std::string name, bool lossy, std::vector<typename Format::Params> choices)
      : name_(std::move(name)), lossy_(lossy), choices_(std::move(choices)) {}

  std::string name() const override { return name_; }
  std::string backend() const override { return std::string(ContextT::name); }
  bool lossy() const override { return lossy_; }

  std::vector<KernelInfo> kernels() const override {
    std::vector<KernelInfo> result;
    for_each_kernel(Kernels{}, [&]<class Config>() {
      KernelInfo info{std::string(Config::name), {}};
      for (const Config& config : Config::all()) info.configs.push_back(fields_to_json(config));
      result.push_back(std::move(info));
    });
    return result;
  }

  std::vector<nlohmann::json> params(const EncodedLayout& layout, DType weights) const override {
    std::vector<nlohmann::json> result;
    for (const auto& choice : choices_.empty() ? Format::choices(layout, weights) : choices_) {
      result.push_back(fields_to_json(choice));
    }
    return result;
  }

  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const nlohmann::json& params, double density,
                                    std::optional<std::uint64_t> capacity) const override {
    const auto chosen = fields_from_json<typename Format::Params>(params, true);
    const std::uint64_t room = capacity ? *capacity : Format::bound(layout, chosen, density);
    return std::make_unique<AdaptedEncoding<Format, ContextT>>(std::get<ContextT>(context),
                                                               Format::plan(layout, chosen, room));
  }

  std::string why_invalid(std::string_view kernel, const nlohmann::json& config,
                          const EncodedLayout& layout, const WeightView& weights,
                          const OutputView& output) const override {
    std::string reason = "no such kernel";
    for_each_kernel(Kernels{}, [&]<class Config>() {
      if (Config::name == kernel) {
        reason = fields_from_json<Config>(config, true).why_invalid(layout, weights, output);
      }
    });
    return reason;
  }

 private:
  using Kernels = typename SpmmKernels<ContextT, Format>::list;
  std::string name_;
  bool lossy_;
  std::vector<typename Format::Params> choices_;
};

}  // namespace detail

/// A plugin of a format whose encode, decode, spmm and SpmmKernels exist for ContextT.
template <class Format, class ContextT>
[[nodiscard]] std::unique_ptr<FormatPlugin> adapt() {
  return std::make_unique<detail::AdaptedPlugin<Format, ContextT>>(
      std::string(Format::name), false, std::vector<typename Format::Params>{});
}

/// The same under another name with fixed parameters: a lossy (prune) variant.
template <class Format, class ContextT>
[[nodiscard]] std::unique_ptr<FormatPlugin> adapt_lossy(
    std::string name, std::vector<typename Format::Params> choices) {
  return std::make_unique<detail::AdaptedPlugin<Format, ContextT>>(std::move(name), true,
                                                                   std::move(choices));
}

}  // namespace spiketune
