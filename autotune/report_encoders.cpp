#include "spiketune/autotune/report_encoders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "spiketune/autotune/report_json.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::number;
using report_json::text;

/// "sell (sigma 256, slice_height 32)".
std::string encoder_name(const json& point) {
  std::string settings;
  const json& config = child(point, "config");
  if (config.is_object()) {
    for (const auto& [key, value] : config.items()) {
      settings += settings.empty() ? "" : ", ";
      settings += key + " " + (value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
  return text(point, "format") + (settings.empty() ? "" : " (" + settings + ")");
}

std::string place_of(const EncoderRow& row, const ReportCurves& curves) {
  std::string place;
  if (row.curve < curves.curves.size()) place = " on " + curves.curves[row.curve].label;
  if (row.density) place += " at " + format_density(*row.density);
  return place;
}

std::string speed_of(const EncoderRow& row) {
  const std::string share =
      row.copy_share ? fmt::format(", {:.0f} % of a copy", 100 * *row.copy_share) : "";
  return format_rate(row.gbps) + " GB/s" + share;
}

/// The encoder that takes least time on most problems, and on how many of them.
std::pair<std::string, std::size_t> most_often_first(const std::vector<EncoderRow>& rows,
                                                     std::size_t& problems) {
  std::map<std::pair<std::size_t, double>, const EncoderRow*> fastest;
  for (const auto& row : rows) {
    const auto [found, is_new] = fastest.try_emplace({row.curve, row.density.value_or(-1)}, &row);
    if (!is_new && row.microseconds < found->second->microseconds) found->second = &row;
  }
  problems = fastest.size();
  std::map<std::string, std::size_t> firsts;
  for (const auto& [problem, row] : fastest) ++firsts[row->encoder];
  const auto most =
      std::max_element(firsts.begin(), firsts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return {most->first, most->second};
}

}  // namespace

std::string format_rate(double gbps) {
  return gbps >= 99.95 ? fmt::format("{:.0f}", gbps) : fmt::format("{:#.3g}", gbps);
}

std::vector<EncoderRow> encoder_rows(const json& points, const ReportCurves& curves) {
  std::vector<EncoderRow> rows;
  for (const json& point : points) {
    const auto median = number(child(point, "encode_us"), "median");
    if (text(point, "status") != "ok" || !median || *median <= 0) continue;
    const json& bytes = child(point, "bytes");
    const auto floor = number(child(point, "floor_us"), "encode");
    if (floor && *floor == 0) continue;  // it moves nothing
    EncoderRow row;
    row.curve = curves.find(point);
    row.density = number(child(point, "problem"), "density");
    row.encoder = encoder_name(point);
    row.microseconds = *median;
    row.gbps =
        (number(bytes, "input").value_or(0) + number(bytes, "encoded").value_or(0)) / *median / 1e3;
    if (floor) row.copy_share = *floor / *median;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string encoders_answer(const std::vector<EncoderRow>& rows, const ReportCurves& curves) {
  if (rows.empty()) return "";
  std::set<std::string> encoders;
  for (const auto& row : rows) encoders.insert(row.encoder);
  const auto slower = [](const EncoderRow& a, const EncoderRow& b) { return a.gbps < b.gbps; };
  const auto [slowest, fastest] = std::minmax_element(rows.begin(), rows.end(), slower);
  std::size_t problems = 0;
  const auto [first, count] = most_often_first(rows, problems);
  return fmt::format(
      "Products were not measured: of {} encoder{}, {} takes the least time on {} of {} problem{}. "
      "The most bytes a second move through {}{}: {}. The fewest move through {}{}: {}.",
      encoders.size(), encoders.size() == 1 ? "" : "s", first, count, problems,
      problems == 1 ? "" : "s", fastest->encoder, place_of(*fastest, curves), speed_of(*fastest),
      slowest->encoder, place_of(*slowest, curves), speed_of(*slowest));
}

}  // namespace spiketune
