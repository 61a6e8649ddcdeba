#pragma once
/// \file
/// Which formats, parameters, kernels and configs a sweep tries on a problem.

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "spiketune/autotune/plugin.hpp"
#include "spiketune/autotune/problem.hpp"

namespace spiketune {

/// Empty lists select everything. Names may have the wildcards * and ?.
struct Selection {
  std::vector<std::string> formats;
  std::vector<std::string> kernels;
  bool all_configs = false;  ///< else only the first parameters and the first config of each kernel
  bool baselines = true;
  bool encode_only = false;              ///< one candidate without a kernel for each encoding
  std::optional<nlohmann::json> config;  ///< only candidates that have all these fields and values
};

struct KernelChoice {
  std::string kernel;
  nlohmann::json config;    ///< of the kernel and of the format together
  std::string why_skipped;  ///< empty: to be measured
  std::size_t index = 0;    ///< among all candidates of a sweep
  std::string command;      ///< that measures it again; empty: not known
};

/// One encoding and the kernels that share it.
struct EncodingChoice {
  std::string format;
  bool baseline = false;
  bool lossy = false;
  const FormatPlugin* plugin = nullptr;  ///< null where a recording stands for it
  nlohmann::json params;
  std::string why_skipped;
  std::vector<KernelChoice> kernels;  ///< never empty
};

/// Kernel name of a candidate that only encodes.
inline constexpr std::string_view no_kernel = "none";

/// Candidates on `backend` ("host" or "cuda") in the order of the registry. What is selected but
/// cannot run is there too, with the reason. Where `known` is false (a trace that is not there),
/// parameters and configs cannot be listed, and each kernel appears once.
[[nodiscard]] std::vector<EncodingChoice> list_candidates(const Registry& registry,
                                                          std::string_view backend,
                                                          const Selection& selection,
                                                          const Problem& problem,
                                                          bool known = true);

/// Throws Error(invalid_argument) where a name selects nothing on this backend: a typing error
/// would otherwise look like a short sweep.
void check_selection(const Registry& registry, std::string_view backend,
                     const Selection& selection);

[[nodiscard]] std::size_t count_candidates(const std::vector<EncodingChoice>& encodings);

/// Whether a name is selected: the list is empty, or one of its patterns fits.
[[nodiscard]] bool matches(const std::vector<std::string>& patterns, const std::string& name);
/// Whether a config has all fields of `wanted`, with their values.
[[nodiscard]] bool has_fields(const nlohmann::json& config, const nlohmann::json& wanted);

/// The layout in which a problem is encoded.
[[nodiscard]] EncodedLayout layout_of(const Problem& problem);

}  // namespace spiketune
