#pragma once
/// \file
/// What a sweep and its worker processes tell each other: lines of JSON.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "spiketune/autotune/executor.hpp"
#include "spiketune/autotune/plugin.hpp"

namespace spiketune {

[[nodiscard]] nlohmann::json job_to_json(const Job& job, const RunOptions& options);

struct ReceivedJob {
  Job job;
  RunOptions options;
};
/// Throws Error(invalid_argument) for a format that the registry does not have, and what json
/// throws for a message that is none.
[[nodiscard]] ReceivedJob job_from_json(const nlohmann::json& message, const Registry& registry);

/// Splits what arrives into lines.
class LineBuffer {
 public:
  void add(const char* data, std::size_t size) { text_.append(data, size); }
  /// The next whole line, without its newline.
  [[nodiscard]] std::optional<std::string> next();

 private:
  std::string text_;
  std::size_t begin_ = 0;
};

}  // namespace spiketune
