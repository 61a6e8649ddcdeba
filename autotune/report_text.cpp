// A report as Markdown and as a table for the terminal (declared in report_page.hpp).

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/combine.hpp"
#include "spiketune/autotune/report_encoders.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/report_page.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/autotune/text_table.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::flag;
using report_json::number;
using report_json::text;

constexpr std::size_t kMarkdownRows = 200;

std::string time_or_dash(const json& measurement) {
  const auto median = number(measurement, "median");
  return median ? format_time(*median) : "–";
}

std::string ratio_or_dash(const json& winner, const char* key) {
  const auto ratio = number(winner, key);
  return ratio ? format_ratio(*ratio) : "–";
}

/// A winner as the cells of a row.
struct WinnerRow {
  std::string workload;
  std::string density;
  std::string winner;
  std::string encode;
  std::string compute;
  std::string total;
  std::string over_dense;
  std::string over_baseline;
};

std::vector<WinnerRow> winner_rows(const json& points, const ReportCurves& curves) {
  std::vector<WinnerRow> rows;
  for (const auto& winner : compute_winners(points)) {
    const json& point = points[winner["point"].get<std::size_t>()];
    const auto curve = curves.find(winner);
    const auto density = number(child(point, "problem"), "density");
    WinnerRow row;
    row.workload = curve == ReportCurves::kNone ? "?" : curves.curves[curve].label;
    row.density = density ? format_density(*density) : "–";
    row.winner = format_and_kernel(winner);
    if (!child(winner, "ties").empty()) row.winner += " ~";
    row.encode = time_or_dash(child(point, "encode_us"));
    row.compute = time_or_dash(child(point, "compute_us"));
    row.total = time_or_dash(child(point, "total_us"));
    row.over_dense = ratio_or_dash(winner, "speedup_over_dense");
    row.over_baseline = ratio_or_dash(winner, "speedup_over_best_baseline");
    rows.push_back(std::move(row));
  }
  return rows;
}

/// "… and 17 more" under a table that was cut.
std::string cut_note(std::size_t rows) {
  if (rows <= kMarkdownRows) return "";
  return fmt::format("\n… and {} more in the JSON.\n", rows - kMarkdownRows);
}

std::string markdown_winners(const json& points, const ReportCurves& curves) {
  const auto rows = winner_rows(points, curves);
  if (rows.empty()) return "";
  std::string result =
      "\n## Winners\n\n"
      "| Workload, M × K × N | Density | Winner | Encode | Compute | Total | Over dense | Over "
      "best "
      "baseline |\n|---|---:|---|---:|---:|---:|---:|---:|\n";
  for (std::size_t i = 0; i < std::min(rows.size(), kMarkdownRows); ++i) {
    const auto& row = rows[i];
    result += markdown_row({row.workload, row.density, row.winner, row.encode, row.compute,
                            row.total, row.over_dense, row.over_baseline});
  }
  result += cut_note(rows.size());
  return result +
         "\nThe total is measured with encode and product chained, not added up. `~`: the noise "
         "(5th to 95th percentile) does not separate the winner from another format.\n";
}

std::string markdown_crossovers(const json& points, const ReportCurves& curves) {
  const json crossovers = compute_crossovers(points);
  if (crossovers.empty()) return "";
  std::string result =
      "\n## Crossovers\n\n"
      "| Workload, M × K × N | Equal cost | Density | Noise leaves | Cheaper below |\n"
      "|---|---|---:|---|---|\n";
  for (std::size_t i = 0; i < std::min(crossovers.size(), kMarkdownRows); ++i) {
    const json& entry = crossovers[i];
    const auto curve = curves.find(entry);
    const auto limit = [&](const char* key, const char* open) {
      return (flag(entry, open) ? "edge of the sweep, " : "") +
             format_density(number(entry, key).value_or(0));
    };
    result += markdown_row({curve == ReportCurves::kNone ? "?" : curves.curves[curve].label,
                            text(entry, "a") + " = " + text(entry, "b"),
                            format_density(number(entry, "density").value_or(0)),
                            limit("low", "low_open") + " to " + limit("high", "high_open"),
                            text(entry, "faster_below")});
  }
  return result + cut_note(crossovers.size());
}

std::string markdown_not_ok(const json& points, const ReportCurves& curves) {
  std::string rows;
  std::size_t count = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const json& point = points[i];
    const std::string status = text(point, "status");
    if (status == "ok" || ++count > kMarkdownRows) continue;
    const auto curve = curves.of_point[i];
    const auto density = number(child(point, "problem"), "density");
    rows += markdown_row({status.empty() ? "?" : status, format_and_kernel(point),
                          curve == ReportCurves::kNone ? "?" : curves.curves[curve].label,
                          density ? format_density(*density) : "–", text(point, "reason")});
  }
  if (count == 0) return "";
  return "\n## Skipped, failed, wrong\n\n| Status | Format | Workload, M × K × N | Density | "
         "Reason "
         "|\n|---|---|---|---:|---|\n" +
         rows + cut_note(count);
}

std::string plain(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "–";
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string markdown_environment(const json& report) {
  std::string result;
  for (const json& source : report_sources(report)) {
    const std::string name = text(source, "name");
    result += "\n## Environment" + (name.empty() ? "" : " of " + escape_markdown(name)) +
              "\n\n| | |\n|---|---|\n";
    for (const char* key : {"created", "git"}) {
      result += markdown_row({key, plain(child(source, key))});
    }
    const json& environment = child(source, "environment");
    if (environment.is_object()) {
      for (const auto& [key, value] : environment.items()) {
        result += markdown_row({key, plain(value)});
      }
    }
    std::string command;
    const json& argv = child(source, "argv");
    if (argv.is_array()) {
      for (const auto& word : argv) command += (command.empty() ? "" : " ") + plain(word);
    }
    result += markdown_row({"command", command});
  }
  return result;
}

/// Encoders of a report without products: how fast, and how near to the speed of a copy.
std::vector<TableRow> encoder_cells(const json& points, const ReportCurves& curves) {
  std::vector<TableRow> rows = {{"workload", "density", "encoder", "encode", "GB/s", "of copy"}};
  for (const EncoderRow& row : encoder_rows(points, curves)) {
    rows.push_back({row.curve == ReportCurves::kNone ? "?" : curves.curves[row.curve].label,
                    row.density ? format_density(*row.density) : "–", row.encoder,
                    format_time(row.microseconds), format_rate(row.gbps),
                    row.copy_share ? fmt::format("{:.0f} %", 100 * *row.copy_share) : "–"});
  }
  return rows;
}

std::string markdown_encoders(const json& points, const ReportCurves& curves) {
  const auto rows = encoder_cells(points, curves);
  if (rows.size() == 1 || !compute_winners(points).empty()) return "";
  std::string result =
      "\n## Encoders\n\n| Workload, M × K × N | Density | Encoder | Encode | GB/s | Of a copy |\n"
      "|---|---:|---|---:|---:|---:|\n";
  for (std::size_t i = 1; i < std::min(rows.size(), kMarkdownRows + 1); ++i) {
    result += markdown_row(rows[i]);
  }
  return result + cut_note(rows.size() - 1);
}

}  // namespace

std::string render_markdown(const json& report) {
  const json& recorded = child(report, "points");
  const std::string mode = primary_mode(recorded);
  const json points = points_in_mode(recorded, mode);
  const ReportCurves curves = report_curves(points);
  const Summary summary = summarise(report, points, curves, mode);
  std::string result = "# spiketune report\n\n" + escape_markdown(summary.asked) + "\n\n**" +
                       escape_markdown(summary.answer) + "**\n";
  if (!summary.quantised.empty()) {
    result += "\n**" + escape_markdown(summary.quantised) + "**\n";
  }
  if (!summary.curves.empty()) result += "\n";
  for (const auto& [label, words] : summary.curves) {
    result += "- **" + escape_markdown(label) + "**: " + escape_markdown(words) + "\n";
  }
  for (const auto& sentence : summary.remarks) result += "\n" + escape_markdown(sentence) + "\n";
  return result + markdown_winners(points, curves) + markdown_encoders(points, curves) +
         markdown_crossovers(points, curves) + markdown_not_ok(points, curves) +
         markdown_environment(report);
}

std::string render_table(const json& report, int width) {
  const json& recorded = child(report, "points");
  const json points = points_in_mode(recorded, primary_mode(recorded));
  const ReportCurves curves = report_curves(points);
  const auto winners = winner_rows(points, curves);
  const auto columns = static_cast<std::size_t>(std::max(width, 60));
  if (winners.empty()) {
    const auto encoders = encoder_cells(points, curves);
    if (encoders.size() == 1) return "No point was measured and found correct.\n";
    return render_text_table(encoders, {0, 2}, columns);
  }
  const auto table = [&](bool parts) {
    std::vector<TableRow> rows = {{"workload", "density", "winner"}};
    if (parts) rows[0].insert(rows[0].end(), {"encode", "compute"});
    rows[0].insert(rows[0].end(), {"total", "x dense"});
    for (const auto& winner : winners) {
      TableRow row = {winner.workload, winner.density, winner.winner};
      if (parts) row.insert(row.end(), {winner.encode, winner.compute});
      row.insert(row.end(), {winner.total, winner.over_dense});
      rows.push_back(std::move(row));
    }
    return rows;
  };
  // A name that is whole is worth more than the parts of the total.
  std::vector<TableRow> rows = table(true);
  if (uncut_columns(rows) > columns) rows = table(false);
  std::string result = render_text_table(rows, {0, 2}, columns);
  const bool ties = std::any_of(winners.begin(), winners.end(),
                                [](const WinnerRow& row) { return row.winner.ends_with(" ~"); });
  if (ties) result += "~  within the noise of another format\n";
  return result;
}

}  // namespace spiketune
