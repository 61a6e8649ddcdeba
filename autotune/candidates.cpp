#include "spiketune/autotune/candidates.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <utility>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

json merged(const json& params, const json& config) {
  json result = params;
  result.update(config);
  return result;
}

/// Whether the sweep stops at the first of several choices.
bool first_only(const Selection& selection) {
  return !selection.all_configs && !selection.config.has_value();
}

std::vector<KernelChoice> kernels_of(const FormatPlugin& plugin, const json& params,
                                     const Selection& selection, const Problem& problem,
                                     Space space) {
  std::vector<KernelChoice> result;
  // Stands for what allocate() gives: configs may ask for its alignment.
  alignas(alignment) std::byte aligned[1] = {};
  const WeightView weights{aligned, problem.weights, problem.k, problem.n, space};
  const OutputView output{aligned, problem.output, problem.m(), problem.n, space};
  for (const KernelInfo& info : plugin.kernels()) {
    if (!matches(selection.kernels, info.name)) continue;
    // The first config that can run stands for the kernel; where none can, the first says why.
    std::vector<KernelChoice> choices;
    for (const json& config : info.configs) {
      KernelChoice choice{info.name, merged(params, config), "", 0, ""};
      if (selection.config && !has_fields(choice.config, *selection.config)) continue;
      choice.why_skipped =
          plugin.why_invalid(info.name, choice.config, layout_of(problem), weights, output);
      choices.push_back(std::move(choice));
    }
    if (first_only(selection) && !choices.empty()) {
      const auto runs =
          std::find_if(choices.begin(), choices.end(),
                       [](const KernelChoice& choice) { return choice.why_skipped.empty(); });
      choices = {runs == choices.end() ? choices.front() : *runs};
    }
    result.insert(result.end(), choices.begin(), choices.end());
  }
  return result;
}

EncodingChoice encoding_of(const FormatPlugin& plugin, json params, std::string why_skipped) {
  return {plugin.name(),
          plugin.baseline(),
          plugin.lossy(),
          &plugin,
          std::move(params),
          std::move(why_skipped),
          {}};
}

EncodingChoice unlisted(const FormatPlugin& plugin, const Selection& selection,
                        std::string why_skipped) {
  EncodingChoice result = encoding_of(plugin, json::object(), std::move(why_skipped));
  if (selection.encode_only) {
    result.kernels.push_back({std::string(no_kernel), json::object(), "", 0, ""});
    return result;
  }
  for (const KernelInfo& info : plugin.kernels()) {
    if (matches(selection.kernels, info.name)) {
      result.kernels.push_back({info.name, json::object(), "", 0, ""});
    }
  }
  return result;
}

void add_encodings(std::vector<EncodingChoice>& result, const FormatPlugin& plugin,
                   const Selection& selection, const Problem& problem, Space space) {
  std::vector<json> params = plugin.params(layout_of(problem), problem.weights);
  if (params.empty()) {
    result.push_back(unlisted(plugin, selection, "it has no parameters for such a problem"));
    return;
  }
  if (first_only(selection)) params.resize(1);
  for (const json& choice : params) {
    EncodingChoice encoding = encoding_of(plugin, choice, "");
    if (!selection.encode_only) {
      encoding.kernels = kernels_of(plugin, choice, selection, problem, space);
    } else if (!selection.config || has_fields(choice, *selection.config)) {
      encoding.kernels.push_back({std::string(no_kernel), choice, "", 0, ""});
    }
    if (!encoding.kernels.empty()) result.push_back(std::move(encoding));
  }
}

/// Throws unless each pattern selects one of `names` at least.
void check_patterns(const std::vector<std::string>& patterns, const std::vector<std::string>& names,
                    const std::string& what, std::string_view backend) {
  for (const std::string& pattern : patterns) {
    const bool any = std::any_of(names.begin(), names.end(),
                                 [&](const std::string& name) { return matches({pattern}, name); });
    if (any) continue;
    std::string message =
        fmt::format("no {} on the {} backend is called '{}'; there are", what, backend, pattern);
    for (auto name = names.begin(); name != names.end(); ++name) {
      if (std::find(names.begin(), name, *name) == name) message.append(" ").append(*name);
    }
    throw Error(ErrorCode::invalid_argument, message);
  }
}

}  // namespace

bool matches(const std::vector<std::string>& patterns, const std::string& name) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
           return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
         });
}

bool has_fields(const json& config, const json& wanted) {
  return std::all_of(wanted.items().begin(), wanted.items().end(), [&](const auto& field) {
    const auto found = config.find(field.key());
    return found != config.end() && *found == field.value();
  });
}

EncodedLayout layout_of(const Problem& problem) {
  const SpikeView spikes{nullptr,       problem.shape(),   problem.input,
                         problem.value, problem.row_order, Space::host};
  return layout_of(spikes, problem.row_order);
}

std::vector<EncodingChoice> list_candidates(const Registry& registry, std::string_view backend,
                                            const Selection& selection, const Problem& problem,
                                            bool known) {
  const Space space = backend == HostContext::name ? Space::host : Space::device;
  std::vector<EncodingChoice> result;
  for (const auto& plugin : registry.plugins()) {
    if (plugin->backend() != backend || !matches(selection.formats, plugin->name())) continue;
    if (plugin->baseline() && !selection.baselines) continue;
    const std::string why_unavailable = plugin->why_unavailable();
    if (!known || !why_unavailable.empty()) {
      result.push_back(unlisted(*plugin, selection, why_unavailable));
      continue;
    }
    try {
      add_encodings(result, *plugin, selection, problem, space);
    } catch (const std::exception& error) {
      result.push_back(unlisted(*plugin, selection, error.what()));
    }
  }
  std::erase_if(result, [](const EncodingChoice& encoding) { return encoding.kernels.empty(); });
  return result;
}

void check_selection(const Registry& registry, std::string_view backend,
                     const Selection& selection) {
  std::vector<std::string> formats;
  std::vector<std::string> kernels;
  for (const auto& plugin : registry.plugins()) {
    if (plugin->backend() != backend) continue;
    if (plugin->baseline() && !selection.baselines) continue;
    formats.push_back(plugin->name());
    if (!matches(selection.formats, plugin->name())) continue;
    for (const KernelInfo& info : plugin->kernels()) kernels.push_back(info.name);
  }
  check_patterns(selection.formats, formats, "format", backend);
  if (!selection.encode_only) check_patterns(selection.kernels, kernels, "kernel", backend);
}

std::size_t count_candidates(const std::vector<EncodingChoice>& encodings) {
  std::size_t count = 0;
  for (const EncodingChoice& encoding : encodings) count += encoding.kernels.size();
  return count;
}

}  // namespace spiketune
