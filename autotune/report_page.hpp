#pragma once
/// \file
/// A report (results/schema/report.schema.json) for people: one offline HTML page, Markdown, and
/// a table for the terminal. All three take reports with missing or null values, and show what was
/// skipped, failed or wrong beside what was measured. Winners and crossovers are computed from the
/// points (analysis.hpp), not read from the report.

#include <nlohmann/json.hpp>
#include <string>

namespace spiketune {

/// One HTML file with data, styles, scripts and the Vega library inside; it asks nothing of the
/// network. Throws Error(unsupported) in a build without Vega.
[[nodiscard]] std::string render_html(const nlohmann::json& report);

/// GitHub-flavoured Markdown: the answer in words, winners, crossovers, what was not measured, and
/// the environment.
[[nodiscard]] std::string render_markdown(const nlohmann::json& report);

/// The winners as plain text, at most `width` columns (and never fewer than 60); one line each:
/// workload with shape, density, winner, encode and compute (from 90 columns on), total, and how
/// many times faster than dense. A report without products lists its encoders instead: time, GB/s
/// read and written, and the share of a copy's speed. Long names lose their middle.
[[nodiscard]] std::string render_table(const nlohmann::json& report, int width);

}  // namespace spiketune
