#pragma once
/// \file
/// What the scripts of the report's page work on, as JSON; shared by the page and by figures.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spiketune/autotune/report_summary.hpp"

namespace spiketune {

struct ReportPageData {
  nlohmann::json data;     ///< everything but samples, under short names: pages hold 10,000 points
  nlohmann::json samples;  ///< for each point the samples of each mode, at most 48 of each time
  std::vector<std::pair<std::string, Summary>> summaries;  ///< by mode
};

[[nodiscard]] ReportPageData report_page_data(const nlohmann::json& report);

/// JSON that may stand in a <script> element: in JSON "<" occurs inside strings only, where \u003c
/// means the same and can end no element.
[[nodiscard]] std::string script_json(const nlohmann::json& value);

/// Code that may stand in a <script> element.
[[nodiscard]] std::string close_scripts(std::string_view code);

[[nodiscard]] std::string replace_all(std::string_view input, std::string_view from,
                                      std::string_view to);

/// Throws Error(unsupported) in a build without Vega, and says how to get it.
void require_vega();

}  // namespace spiketune
