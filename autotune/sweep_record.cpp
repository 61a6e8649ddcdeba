#include "spiketune/autotune/sweep_record.hpp"

#include <algorithm>
#include <ostream>
#include <utility>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/report.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

constexpr const char* quantities[] = {"encode", "compute", "total"};

/// A point without what only whole reports show.
json without_bulk(json point) {
  for (const char* key :
       {"command", "notes", "clocks", "features", "bytes", "floor_us", "nnz", "max_error"}) {
    point.erase(key);
  }
  for (const std::string quantity : quantities) {
    json& main = point[quantity + "_us"];
    if (main.is_object()) main.erase("samples");
    // Hot times are compared where there are no others, and then they are the main ones.
    point.erase(quantity + "_hot_us");
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

void SweepRecord::with_summary(const std::function<void(const json& report)>& use) {
  // Lent, not copied: there may be a great many.
  json& points = head_["points"];
  for (auto& [index, point] : points_) points.push_back(std::move(point));
  add_analysis(head_);
  use(head_);
  std::size_t at = 0;
  for (auto& [index, point] : points_) point = std::move(points[at++]);
  points.clear();
}

json SweepRecord::report() const {
  json result = head_;
  for (const auto& [index, point] : points_) {
    result["points"].push_back(json::parse(journal_.line(index)));
  }
  add_analysis(result);
  return result;
}

void SweepRecord::write(const std::string& path) {
  json rest;
  with_summary([&](const json& report) {
    for (const auto& [key, value] : report.items()) {
      if (key != "points") rest[key] = value;
    }
  });
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
