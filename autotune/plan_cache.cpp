#include "spiketune/autotune/plan_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "spiketune/autotune/embedded_assets.hpp"
#include "spiketune/autotune/planner.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::number;
using report_json::text;
namespace fs = std::filesystem;

constexpr const char* schema = "spiketune.plans/1";
constexpr std::string_view extension = ".json";
/// Documents set aside that are kept; the last is replaced.
constexpr int max_corrupt = 10;

/// A point of a report as a document keeps it, or null where it was not measured in full.
json cached_point(const json& point, const std::string& measured, const json& driver) {
  json kept = json::object();
  for (const char* key : {"problem", "format", "kernel", "config", "backend", "baseline", "lossy",
                          "status", "features"}) {
    if (const json& value = child(point, key); !value.is_null()) kept[key] = value;
  }
  for (const char* key : {"encode_us", "compute_us", "total_us"}) {
    const auto median = number(child(point, key), "median");
    const bool may_be_zero = key == std::string_view("encode_us");  // spikes used where they lie
    if (!median || *median < 0 || (*median == 0 && !may_be_zero)) return nullptr;
    kept[key] = {{"median", *median}};
  }
  kept["measured"] = measured;
  kept["driver"] = driver;
  return kept;
}

bool readable(const json& point) {
  return !tuned_points({{"points", json::array({point})}}).empty();
}

/// Equal for points of which one replaces the other.
std::string identity(const json& point) {
  return child(point, "problem").dump() + text(point, "format") + '\n' + text(point, "kernel") +
         '\n' + child(point, "config").dump() + text(point, "backend");
}

std::string slug(std::string_view name) {
  constexpr std::size_t longest = 60;
  std::string result;
  for (const char c : name.substr(0, longest)) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.';
    const bool capital = c >= 'A' && c <= 'Z';
    result += letter ? c : capital ? static_cast<char>(c - 'A' + 'a') : '-';
  }
  return result;
}

json make_document(const PlanKey& key, const json& git, json points) {
  return {{"schema", schema},           {"device", key.device}, {"units", key.units},
          {"version", key.version},     {"source", key.source}, {"git", git},
          {"points", std::move(points)}};
}

/// Newer points over older ones, in the order of their identities; at most max_document_points.
json merged(const json& old, const json& fresh, const PlanCache::Notice& notice) {
  std::map<std::string, const json*> points;
  for (const json* list : {&old, &fresh}) {
    for (const json& point : *list) {
      const json*& kept = points[identity(point)];
      if (kept == nullptr || text(*kept, "measured") <= text(point, "measured")) kept = &point;
    }
  }
  std::vector<const json*> all;
  all.reserve(points.size());
  for (const auto& [key, point] : points) all.push_back(point);
  if (all.size() > max_document_points) {
    notice(fmt::format("the plan cache keeps {} points of a device: the oldest {} were dropped",
                       max_document_points, all.size() - max_document_points));
    std::stable_sort(all.begin(), all.end(), [](const json* a, const json* b) {
      return text(*a, "measured") > text(*b, "measured");
    });
    all.resize(max_document_points);
  }
  json result = json::array();
  for (const json* point : all) result.push_back(*point);
  return result;
}

}  // namespace

PlanKey plan_key(const json& environment) {
  const bool gpu = child(environment, "gpu").is_string();
  const json& versions = child(environment, "versions");
  const auto units = number(environment, gpu ? "sms" : "threads");
  constexpr double most_units = 1e6;
  return {text(environment, gpu ? "gpu" : "cpu"),
          units && *units > 0 && *units < most_units ? static_cast<std::uint64_t>(*units) : 0,
          text(versions, "spiketune"), text(versions, "spiketune_source")};
}

PlanKey document_key(const json& document) {
  return {text(document, "device"), document.at("units").get<std::uint64_t>(),
          text(document, "version"), text(document, "source")};
}

std::string to_string(const PlanKey& key) {
  return fmt::format("{} ({} SMs or threads), spiketune {} of {}", key.device, key.units,
                     key.version.empty() ? "unknown version" : key.version,
                     key.source.empty() ? "unknown sources" : "sources " + key.source);
}

json plans_of_report(const json& report) {
  const json& environment = child(report, "environment");
  const PlanKey key = plan_key(environment);
  require(!key.device.empty() && key.units > 0, ErrorCode::invalid_argument,
          "the report does not say which device measured it");
  json points = json::array();
  for (const json& point : child(report, "points")) {
    if (!readable(point)) continue;
    json kept = cached_point(point, text(report, "created"), child(environment, "driver"));
    if (!kept.is_null()) points.push_back(std::move(kept));
  }
  require(!points.empty(), ErrorCode::invalid_argument,
          "the report has no points with an encode, compute and total time");
  const auto ignore = [](const std::string&) {};
  return make_document(key, child(report, "git"), merged(json::array(), points, ignore));
}

json parse_plans(std::string_view content, const std::string& name) {
  const auto refuse = [&](const std::string& why) -> void {
    throw Error(ErrorCode::parse, name + " is not a document of tuned points: " + why);
  };
  // What is nested deeper would overrun the stack of whoever walks over it.
  constexpr int deepest = 16;
  bool too_deep = false;
  json document;
  try {
    document = json::parse(content, [&](int depth, json::parse_event_t, json&) {
      if (depth > deepest) too_deep = true;
      return !too_deep;
    });
  } catch (const json::exception& error) {
    refuse(error.what());
  }
  if (too_deep) refuse("it is nested too deep");
  if (text(document, "schema") != schema) refuse(std::string("its schema is not ") + schema);
  if (text(document, "device").empty()) refuse("it names no device");
  const json& units = child(document, "units");
  if (!units.is_number_unsigned() || units == 0) refuse("its units are not a positive integer");
  const json& points = child(document, "points");
  if (!points.is_array()) refuse("it has no list of points");
  json kept = json::array();
  for (const json& point : points) {
    if (kept.size() == max_document_points) break;
    if (readable(point)) kept.push_back(point);
  }
  return make_document(document_key(document), child(document, "git"), std::move(kept));
}

json read_plans(const std::string& path) {
  std::error_code error;
  const bool regular = fs::is_regular_file(path, error);  // not a pipe: reading would never end
  const auto size = regular ? fs::file_size(path, error) : 0;
  if (!regular || error) throw Error(ErrorCode::io, "cannot read " + path);
  if (size > max_document_bytes) {
    throw Error(ErrorCode::parse, fmt::format("{} is not a document of tuned points: it is larger "
                                              "than {} bytes",
                                              path, max_document_bytes));
  }
  std::ifstream file(path, std::ios::binary);
  std::string content(size, '\0');
  file.read(content.data(), static_cast<std::streamsize>(size));
  if (!file) throw Error(ErrorCode::io, "cannot read " + path);
  return parse_plans(content, path);
}

const std::vector<json>& shipped_plans() {
  static const std::vector<json> documents = {
      parse_plans(embedded::h200_plans(), "the points shipped with spiketune")};
  return documents;
}

std::string plan_cache_folder() {
  // The XDG Base Directory Specification: relative paths do not count.
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/spiketune";
  const char* home = std::getenv("HOME");
  require(home != nullptr && home[0] == '/', ErrorCode::io,
          "there is no folder for the plan cache: set XDG_CACHE_HOME or HOME");
  return std::string(home) + "/.cache/spiketune";
}

/// Held by whoever changes the folder; released when the process dies, too.
class PlanCache::Lock {
 public:
  explicit Lock(const std::string& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    const std::string path = folder + "/lock";
    file_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int failed = file_ < 0 ? errno : 0;
    while (failed == 0 && flock(file_, LOCK_EX) != 0) failed = errno == EINTR ? 0 : errno;
    if (failed != 0) {
      if (file_ >= 0) close(file_);
      throw Error(ErrorCode::io, "cannot lock " + path + ": " + std::strerror(failed));
    }
  }
  ~Lock() { close(file_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int file_ = -1;
};

PlanCache::PlanCache(std::string folder, Notice notice)
    : folder_(std::move(folder)), notice_(std::move(notice)) {}

std::string PlanCache::path_of(const PlanKey& key) const {
  return fmt::format("{}/{}-{}-{}-{}{}", folder_, slug(key.device), key.units, slug(key.version),
                     key.source.empty() ? "unknown" : slug(key.source), extension);
}

std::vector<std::string> PlanCache::files() const {
  std::vector<std::string> result;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == extension) result.push_back(it->path().string());
  }
  std::sort(result.begin(), result.end());
  return result;
}

void PlanCache::set_aside(const std::string& path, const std::string& why) const {
  int number = 1;
  const auto name = [&] { return fmt::format("{}.corrupt-{}", path, number); };
  std::error_code error;
  while (number < max_corrupt && fs::exists(fs::symlink_status(name(), error))) ++number;
  fs::rename(path, name(), error);
  notice_(error ? fmt::format("{}; it is ignored", why)
                : fmt::format("{}; it is now {}", why, name()));
}

std::optional<json> PlanCache::read(const std::string& path, Access access) const {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return std::nullopt;
  try {
    return read_plans(path);
  } catch (const Error& failure) {
    if (access == Access::locked) {
      set_aside(path, failure.what());
      return std::nullopt;
    }
    try {
      const Lock lock(folder_);
      return read(path, Access::locked);  // it may have been replaced meanwhile
    } catch (const Error&) {
      notice_(std::string(failure.what()) + "; it is ignored");  // a folder that is not ours
      return std::nullopt;
    }
  }
}

std::size_t PlanCache::add(const json& document) {
  const PlanKey key = document_key(document);
  const std::string path = path_of(key);
  const Lock lock(folder_);
  json points = json::array();
  if (const auto old = read(path, Access::locked)) {
    const PlanKey there = document_key(*old);
    if (!there.same_device(key) || there.version != key.version || there.source != key.source) {
      throw Error(ErrorCode::invalid_argument, fmt::format("{} holds points of {}, not of {}", path,
                                                           to_string(there), to_string(key)));
    }
    points = old->at("points");
  }
  points = merged(points, document.at("points"), notice_);
  const std::size_t count = points.size();
  const std::string content = report_text(make_document(key, child(document, "git"), points));
  require(content.size() <= max_document_bytes, ErrorCode::invalid_argument,
          "the plan cache would grow too large; prune it first");
  write_file(path, content);
  return count;
}

std::vector<PlanCache::Entry> PlanCache::list() const {
  std::vector<Entry> result;
  for (const std::string& path : files()) {
    if (auto document = read(path, Access::reading)) result.push_back({path, std::move(*document)});
  }
  return result;
}

std::size_t PlanCache::prune(const Keep& keep) {
  const Lock lock(folder_);
  std::size_t removed = 0;
  const auto remove = [](const std::string& path) {
    std::error_code error;
    if (!fs::remove(path, error)) throw Error(ErrorCode::io, "cannot remove " + path);
  };
  for (const std::string& path : files()) {
    auto document = read(path, Access::locked);
    if (!document) continue;
    const PlanKey key = document_key(*document);
    json& points = document->at("points");
    const std::size_t before = points.size();
    json left = json::array();
    const bool wanted = (!keep.device || keep.device->same_device(key)) &&
                        (!keep.build || keep.build->same_build(key));
    for (json& point : points) {
      if (wanted && text(point, "measured") >= keep.since) left.push_back(std::move(point));
    }
    removed += before - left.size();
    if (left.empty()) {
      remove(path);
    } else if (left.size() < before) {
      points = std::move(left);
      write_file(path, report_text(*document));
    }
  }
  if (keep.corrupt) return removed;
  std::error_code error;
  std::vector<std::string> corrupt;
  for (const auto& file : fs::directory_iterator(folder_, error)) {
    if (file.path().filename().string().find(".json.corrupt-") != std::string::npos) {
      corrupt.push_back(file.path().string());
    }
  }
  for (const std::string& path : corrupt) remove(path);
  return removed;
}

std::optional<FoundPlans> find_plans(const PlanCache& cache,
                                     const std::function<bool(const PlanKey&)>& wanted,
                                     const PlanKey& build, const std::string& driver,
                                     const PlanCache::Notice& notice) {
  std::optional<FoundPlans> found;
  for (PlanCache::Entry& entry : cache.list()) {
    const PlanKey key = document_key(entry.document);
    if (!wanted(key)) continue;
    if (!key.same_build(build)) {
      notice(
          fmt::format("{} is not used: it was measured by spiketune {} of sources {}, this is "
                      "{} of {}; tune again",
                      entry.path, key.version, key.source, build.version, build.source));
    } else if (!found) {
      found = {std::move(entry.document), entry.path};
    }
  }
  if (!found) {
    for (const json& document : shipped_plans()) {
      const PlanKey key = document_key(document);
      if (!wanted(key)) continue;
      found = {document, "the points shipped with spiketune"};
      if (!key.same_build(build)) {
        notice(
            fmt::format("the points shipped for {} were measured at revision {}; kernels may "
                        "have changed since",
                        key.device, text(document, "git")));
      }
      break;
    }
  }
  if (found && !driver.empty()) {
    const json& points = found->document.at("points");
    const auto others = std::count_if(points.begin(), points.end(), [&](const json& point) {
      return text(point, "driver") != driver;
    });
    if (others > 0) {
      notice(fmt::format("{} of {} points were measured with another driver than {}", others,
                         points.size(), driver));
    }
  }
  return found;
}

}  // namespace spiketune
