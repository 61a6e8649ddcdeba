#include "spiketune/autotune/shard.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::invalid_argument, "cannot merge: " + why);
}

/// A part's place in the sweep.
Shard shard_of(const NamedReport& part) {
  try {
    const json& shard = part.report.at("plan").at("shard");
    const Shard result{shard.at("index").get<std::size_t>(), shard.at("count").get<std::size_t>()};
    if (result.index >= 1 && result.index <= result.count) return result;
  } catch (const json::exception&) {
    // Said below.
  }
  refuse(part.name + " does not say which part of which sweep it is");
}

/// Throws unless a key is the same in both.
void require_same(const NamedReport& a, const NamedReport& b, const json::json_pointer& key,
                  const std::string& what) {
  const json none;
  const json& in_a = a.report.contains(key) ? a.report.at(key) : none;
  const json& in_b = b.report.contains(key) ? b.report.at(key) : none;
  if (in_a == in_b) return;
  refuse(fmt::format("{} and {} differ in {}: {} and {}", a.name, b.name, what, in_a.dump(),
                     in_b.dump()));
}

/// Every index of the plan once.
void check_points(const json& report, const std::map<std::size_t, std::string>& origins) {
  const auto planned = report.at("plan").at("candidates").get<std::size_t>();
  std::vector<std::size_t> missing;
  constexpr std::size_t named = 10;
  for (std::size_t i = 0; i < planned && missing.size() <= named; ++i) {
    if (!origins.contains(i)) missing.push_back(i);
  }
  if (missing.empty()) return;
  const bool more = missing.size() > named;
  if (more) missing.pop_back();
  refuse(fmt::format("no part has the points {}{}", fmt::join(missing, ", "), more ? ", …" : ""));
}

}  // namespace

Shard parse_shard(const std::string& text) {
  Shard shard;
  const char* end = text.data() + text.size();
  const auto index = std::from_chars(text.data(), end, shard.index);
  if (index.ec == std::errc() && index.ptr != end && *index.ptr == '/') {
    const auto count = std::from_chars(index.ptr + 1, end, shard.count);
    const bool whole = count.ec == std::errc() && count.ptr == end;
    if (whole && shard.index >= 1 && shard.index <= shard.count) return shard;
  }
  throw Error(ErrorCode::parse,
              fmt::format("'{}' is no shard; write 2/8 for the second of eight", text));
}

double predicted_seconds(const Job& job, const std::string& backend, const SweepOptions& options) {
  const Problem& problem = job.planned.problem;
  // Products in f64 with what a GPU or a few cores reach in plain code.
  const double rate = backend == HostContext::name ? 2e9 : 2e12;
  const double reference =
      2.0 * static_cast<double>(problem.m()) * problem.k * static_cast<double>(problem.n) / rate;
  std::size_t candidates = 0;
  for (const EncodingChoice& choice : job.choices) {
    if (!choice.why_skipped.empty()) continue;
    for (const KernelChoice& kernel : choice.kernels) candidates += kernel.why_skipped.empty();
  }
  return candidates == 0
             ? 0
             : reference + static_cast<double>(candidates) * options.max_seconds_per_candidate;
}

std::vector<std::size_t> jobs_of_shard(const SweepPlan& plan, const SweepOptions& options) {
  std::vector<double> seconds;
  for (const Job& job : plan.jobs) {
    seconds.push_back(predicted_seconds(job, plan.backend, options));
  }
  // The longest first, each to whoever has least to do.
  std::vector<std::size_t> order(plan.jobs.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return seconds[a] > seconds[b]; });
  std::set<std::pair<double, std::size_t>> loads;
  for (std::size_t shard = 1; shard <= options.shard.count; ++shard) loads.emplace(0.0, shard);
  std::vector<std::size_t> mine;
  for (const std::size_t job : order) {
    auto least = loads.extract(loads.begin());
    if (least.value().second == options.shard.index) mine.push_back(job);
    least.value().first += seconds[job];
    loads.insert(std::move(least));
  }
  std::sort(mine.begin(), mine.end());
  return mine;
}

json merge_reports(const std::vector<NamedReport>& parts) {
  if (parts.empty()) refuse("there are no reports");
  const NamedReport& first = parts.front();
  const std::size_t count = shard_of(first).count;
  std::map<std::size_t, const NamedReport*> shards;
  for (const NamedReport& part : parts) {
    const Shard shard = shard_of(part);
    require_same(first, part, json::json_pointer("/schema"), "their schema");
    require_same(first, part, json::json_pointer("/git"), "the build (git)");
    require_same(first, part, json::json_pointer("/plan/hash"), "what they measure (plan)");
    require_same(first, part, json::json_pointer("/plan/shard/count"), "the number of parts");
    require_same(first, part, json::json_pointer("/environment/gpu"), "the GPU");
    require_same(first, part, json::json_pointer("/environment/versions"), "the libraries");
    if (!part.report.value("complete", false)) refuse(part.name + " is not complete");
    const auto [at, fresh] = shards.emplace(shard.index, &part);
    if (!fresh) {
      refuse(fmt::format("{} and {} are both part {} of {}", at->second->name, part.name,
                         shard.index, count));
    }
  }
  std::vector<std::size_t> missing;
  for (std::size_t i = 1; i <= count; ++i) {
    if (!shards.contains(i)) missing.push_back(i);
  }
  if (!missing.empty()) {
    refuse(fmt::format("part{} {} of {} {} missing", missing.size() > 1 ? "s" : "",
                       fmt::join(missing, ", "), count, missing.size() > 1 ? "are" : "is"));
  }
  json result = shards.begin()->second->report;
  result["plan"]["shard"] = {{"index", 1}, {"count", 1}};
  std::map<std::size_t, json> points;
  std::map<std::size_t, std::string> origins;
  json hosts = json::array();
  for (const auto& [index, part] : shards) {
    hosts.push_back({{"shard", index}, {"environment", part->report.at("environment")}});
    for (const json& point : part->report.at("points")) {
      const auto at = point.value("index", std::size_t{0});
      const auto [known, fresh] = origins.emplace(at, part->name);
      if (!fresh) {
        refuse(fmt::format("{} and {} both have point {}", known->second, part->name, at));
      }
      points.emplace(at, point);
    }
  }
  check_points(result, origins);
  result["points"] = json::array();
  for (auto& [index, point] : points) result["points"].push_back(std::move(point));
  result["shards"] = std::move(hosts);
  add_analysis(result);
  return result;
}

}  // namespace spiketune
