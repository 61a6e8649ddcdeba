#pragma once
/// \file
/// Several reports side by side: what one page, table or Markdown shows of many files.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spiketune/autotune/shard.hpp"

namespace spiketune {

/// The reports as one that the functions of report_page.hpp show. Its `points` are those of all
/// parts in order, each with `source`, the index of its report in `sources`: name, created, git,
/// argv, complete and environment of each part.
///
/// Points are compared with each other only where that is fair. Where the parts ran on different
/// devices, each problem gets a `device`; where two parts of different builds measured one problem,
/// it gets a `revision`. Either makes them problems of their own. Otherwise the points of several
/// parts on one problem are candidates beside each other, as if one sweep had measured them.
[[nodiscard]] nlohmann::json combine_reports(std::vector<NamedReport> parts);

/// `sources` of a combined report; the one source that any other report is.
[[nodiscard]] nlohmann::json report_sources(const nlohmann::json& report);

/// What a source's points of a backend ran on: "NVIDIA H200", or the CPU with its threads.
[[nodiscard]] std::string device_of(const nlohmann::json& source, const std::string& backend);

}  // namespace spiketune
