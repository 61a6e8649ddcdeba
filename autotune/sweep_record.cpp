#include "spiketune/autotune/sweep_record.hpp"

#include <algorithm>
#include <ostream>
#include <utility>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/report.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// A point without what only whole reports show.
json without_bulk(json point) {
  for (const char* key : {"command", "notes", "clocks", "features"}) point.erase(key);
  for (const char* key :
       {"encode_us", "encode_hot_us", "compute_us", "compute_hot_us", "total_us", "total_hot_us"}) {
    const auto found = point.find(key);
    if (found != point.end() && found->is_object()) found->erase("samples");
  }
  return point;
}

}  // namespace

SweepRecord::SweepRecord(json head, Journal journal)
    : head_(std::move(head)), journal_(std::move(journal)) {
  for (const auto& [index, entry] : journal_.entries()) {
    points_.emplace(index, without_bulk(json::parse(journal_.line(index))));
  }
}

void SweepRecord::add(std::span<const json> points) {
  journal_.append(points);
  for (const json& point : points) {
    points_.try_emplace(point.at("index").get<std::size_t>(), without_bulk(point));
  }
}

std::size_t SweepRecord::count(std::string_view status) const {
  return static_cast<std::size_t>(
      std::count_if(points_.begin(), points_.end(),
                    [&](const auto& entry) { return entry.second.at("status") == status; }));
}

json SweepRecord::summary() const {
  json result = head_;
  for (const auto& [index, point] : points_) result["points"].push_back(point);
  add_analysis(result);
  return result;
}

json SweepRecord::report() const {
  json result = head_;
  for (const auto& [index, point] : points_) {
    result["points"].push_back(json::parse(journal_.line(index)));
  }
  add_analysis(result);
  return result;
}

void SweepRecord::write(const std::string& path) const {
  json rest = summary();
  rest.erase("points");
  std::string text = report_text(rest);
  text.erase(text.rfind("\n}"));
  write_file(path, [&](std::ostream& file) {
    file << text << ",\n\"points\": [";
    const char* separator = "\n  ";
    for (const auto& [index, point] : points_) {
      file << separator << journal_.line(index);
      separator = ",\n  ";
    }
    file << "\n]\n}\n";
  });
}

}  // namespace spiketune
