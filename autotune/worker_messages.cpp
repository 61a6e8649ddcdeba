#include "spiketune/autotune/worker_messages.hpp"

#include <algorithm>
#include <utility>

#include "spiketune/autotune/fields.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// What tells plugins of one name (a library's CSR beside our own) apart: what they offer.
json identity_of(const FormatPlugin& plugin) {
  json identity = {plugin.name(), plugin.backend()};
  for (const KernelInfo& kernel : plugin.kernels()) identity.push_back(kernel.name);
  return identity;
}

json choice_to_json(const EncodingChoice& choice) {
  json kernels = json::array();
  for (const KernelChoice& kernel : choice.kernels) {
    kernels.push_back({{"kernel", kernel.kernel},
                       {"config", kernel.config},
                       {"index", kernel.index},
                       {"command", kernel.command}});
  }
  return {{"plugin", identity_of(*choice.plugin)},
          {"params", choice.params},
          {"kernels", std::move(kernels)}};
}

EncodingChoice choice_from_json(const json& message, const Registry& registry) {
  const json& identity = message.at("plugin");
  const auto& plugins = registry.plugins();
  const auto found = std::find_if(plugins.begin(), plugins.end(), [&](const auto& plugin) {
    return identity_of(*plugin) == identity;
  });
  if (found == plugins.end()) {
    throw Error(ErrorCode::invalid_argument,
                "the worker does not know the format " + identity.at(0).get<std::string>());
  }
  EncodingChoice choice{(*found)->name(),
                        (*found)->baseline(),
                        (*found)->lossy(),
                        found->get(),
                        message.at("params"),
                        "",
                        {}};
  for (const json& kernel : message.at("kernels")) {
    choice.kernels.push_back(
        {kernel.at("kernel"), kernel.at("config"), "", kernel.at("index"), kernel.at("command")});
  }
  return choice;
}

json options_to_json(const RunOptions& options) {
  json modes = json::array();
  for (const TimingMode mode : options.modes) modes.push_back(std::string(to_string(mode)));
  return {{"min_samples", options.rule.min_samples},
          {"max_samples", options.rule.max_samples},
          {"noise", options.rule.noise},
          {"max_seconds", options.rule.max_seconds},
          {"modes", std::move(modes)},
          {"seed", options.seed},
          {"only_total", options.only_total},
          {"copy_gbps", options.copy_gbps ? json(*options.copy_gbps) : json(nullptr)}};
}

RunOptions options_from_json(const json& message) {
  RunOptions options;
  options.rule = {message.at("min_samples"), message.at("max_samples"), message.at("noise"),
                  message.at("max_seconds")};
  options.modes.clear();
  for (const json& mode : message.at("modes")) {
    options.modes.push_back(mode == to_string(TimingMode::cold) ? TimingMode::cold
                                                                : TimingMode::hot);
  }
  options.seed = message.at("seed");
  options.only_total = message.at("only_total");
  if (!message.at("copy_gbps").is_null()) options.copy_gbps = message.at("copy_gbps");
  return options;
}

}  // namespace

json job_to_json(const Job& job, const RunOptions& options) {
  json choices = json::array();
  for (const EncodingChoice& choice : job.choices) choices.push_back(choice_to_json(choice));
  return {{"problem", problem_to_json(job.planned.problem)},
          {"file", job.planned.file},
          {"images", job.planned.images},
          {"tile", job.planned.tile},
          {"events", fields_to_json(job.planned.events)},
          {"choices", std::move(choices)},
          {"options", options_to_json(options)}};
}

ReceivedJob job_from_json(const json& message, const Registry& registry) {
  ReceivedJob result;
  result.job.planned = {problem_from_json(message.at("problem")),
                        message.at("file"),
                        message.at("images"),
                        message.at("tile"),
                        fields_from_json<EventOptions>(message.at("events")),
                        ""};
  for (const json& choice : message.at("choices")) {
    result.job.choices.push_back(choice_from_json(choice, registry));
  }
  result.options = options_from_json(message.at("options"));
  return result;
}

std::optional<std::string> LineBuffer::next() {
  const std::size_t end = text_.find('\n', begin_);
  if (end == std::string::npos) {
    text_.erase(0, begin_);
    begin_ = 0;
    return std::nullopt;
  }
  std::string line = text_.substr(begin_, end - begin_);
  begin_ = end + 1;
  return line;
}

}  // namespace spiketune
