#include "spiketune/autotune/combine.hpp"

#include <fmt/format.h>

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

json source_of(const std::string& name, const json& report) {
  json source = {{"name", name}};
  for (const char* key : {"created", "git", "argv", "complete", "environment"}) {
    source[key] = child(report, key);
  }
  return source;
}

/// Equal for points that one question asked, whatever its density.
std::string question_of(const json& point) {
  json problem = child(point, "problem");
  if (problem.is_object()) problem.erase("density");
  return text(point, "backend") + problem.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// What has to be added to problems so that unlike measurements stay apart.
class Differences {
 public:
  void note(const json& source, const json& point) {
    const std::string backend = text(point, "backend");
    devices_[backend].insert(device_of(source, backend));
    revisions_[question_of(point)].insert(text(source, "git"));
  }

  void mark(const json& source, json& point) const {
    if (!child(point, "problem").is_object()) return;
    const std::string backend = text(point, "backend");
    const bool revisions_differ = revisions_.at(question_of(point)).size() > 1;
    if (devices_.at(backend).size() > 1) point["problem"]["device"] = device_of(source, backend);
    if (revisions_differ) point["problem"]["revision"] = text(source, "git");
  }

 private:
  std::map<std::string, std::set<std::string>> devices_;    ///< by backend
  std::map<std::string, std::set<std::string>> revisions_;  ///< by question
};

}  // namespace

std::string device_of(const json& source, const std::string& backend) {
  const json& environment = child(source, "environment");
  if (backend == "cuda") {
    const std::string gpu = text(environment, "gpu");
    return gpu.empty() ? "an unnamed GPU" : gpu;
  }
  std::string cpu = text(environment, "cpu");
  if (cpu.empty()) cpu = "an unnamed CPU";
  if (const auto threads = number(environment, "threads")) {
    cpu += fmt::format(" ({:.0f} thread{})", *threads, *threads == 1 ? "" : "s");
  }
  return cpu;
}

json report_sources(const json& report) {
  const json& sources = child(report, "sources");
  if (sources.is_array() && !sources.empty()) return sources;
  return json::array({source_of("", report)});
}

json combine_reports(std::vector<NamedReport> parts) {
  if (parts.size() == 1) return std::move(parts.front().report);
  json sources = json::array();
  Differences differences;
  for (const NamedReport& part : parts) {
    sources.push_back(source_of(part.name, part.report));
    const json& points = child(part.report, "points");
    if (!points.is_array()) continue;
    for (const json& point : points) differences.note(sources.back(), point);
  }
  json points = json::array();
  bool complete = true;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    json& report = parts[i].report;
    const json& whole = child(report, "complete");
    complete = complete && (!whole.is_boolean() || whole.get<bool>());
    if (!child(report, "points").is_array()) continue;
    for (json& point : report["points"]) {
      if (!point.is_object()) continue;
      differences.mark(sources[i], point);
      point["source"] = i;
      points.push_back(std::move(point));
    }
    report = nullptr;
  }
  const json created = sources.empty() ? json() : sources[0]["created"];
  return {{"created", created},
          {"complete", complete},
          {"sources", std::move(sources)},
          {"points", std::move(points)}};
}

}  // namespace spiketune
