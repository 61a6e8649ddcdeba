#include "spiketune/autotune/compare_groups.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numbers>
#include <string>
#include <utility>

#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/statistics.hpp"
#include "spiketune/datasets/random.hpp"

namespace spiketune::comparison {
namespace {

using nlohmann::json;
using report_json::child;
using report_json::text;

constexpr std::size_t few_problems = 8;
constexpr std::uint64_t resamples = 2000;

/// A standard normal number, by Box and Muller.
double normal(const RandomStream& random, std::uint64_t index) {
  const double u = static_cast<double>((random.bits(2 * index) >> 11) + 1) * 0x1p-53;
  const double v = static_cast<double>(random.bits(2 * index + 1) >> 11) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

struct Group {
  std::string name;
  std::vector<const Series*> members;
  Change mean;
};

/// The members' changes of one problem.
struct Cluster {
  double sum = 0;
  double count = 0;
  double error = 0;  ///< standard deviation of their common mean: the drift, and their own
};

std::vector<Cluster> clusters_of(const Group& group, const json& base,
                                 const std::vector<Match>& matches, double drift) {
  std::map<std::string, std::vector<const Series*>> by_problem;
  for (const Series* series : group.members) {
    const json& point = base[matches[series->match].base];
    by_problem[child(point, "problem").dump(-1, ' ', false, json::error_handler_t::replace) +
               text(point, "backend")]
        .push_back(series);
  }
  std::vector<Cluster> clusters;
  for (const auto& [problem, members] : by_problem) {
    Cluster cluster;
    double squares = 0;
    for (const Series* series : members) {
      cluster.sum += series->change.x;
      squares += std::pow(series->sampling_error, 2);
    }
    cluster.count = static_cast<double>(members.size());
    cluster.error = std::hypot(drift, std::sqrt(squares) / cluster.count);
    clusters.push_back(cluster);
  }
  return clusters;
}

/// The mean with its bootstrap interval.
Change bootstrap_mean(const std::vector<Cluster>& clusters) {
  const RandomStream draws{1, 0};
  const RandomStream errors{1, 1};
  const std::size_t size = clusters.size();
  std::vector<double> means;
  for (std::uint64_t i = 0; i < resamples; ++i) {
    double sum = 0;
    double count = 0;
    for (std::uint64_t j = 0; j < size; ++j) {
      const Cluster& cluster = clusters[draws.bits(i * size + j) % size];
      sum += cluster.sum;
      count += cluster.count;
      if (size < few_problems) sum += cluster.count * cluster.error * normal(errors, i * size + j);
    }
    means.push_back(sum / count);
  }
  double sum = 0;
  double count = 0;
  for (const Cluster& cluster : clusters) {
    sum += cluster.sum;
    count += cluster.count;
  }
  std::sort(means.begin(), means.end());
  Change mean{sum / count, percentile(means, 0.025), percentile(means, 0.975), 1, true,
              "undecided"};
  return mean;
}

/// Groups in order of first appearance, by what `name` makes of a point.
template <class Name>
std::vector<Group> group_by(const Family& family, const json& base,
                            const std::vector<Match>& matches, double common, Name&& name) {
  std::vector<Group> groups;
  std::map<std::string, std::size_t> index;
  for (const Series& series : family.series) {
    const std::string key = name(base[matches[series.match].base]);
    const auto [found, added] = index.emplace(key, groups.size());
    if (added) groups.push_back({key, {}, {}});
    groups[found->second].members.push_back(&series);
  }
  for (Group& group : groups) {
    const auto clusters = clusters_of(group, base, matches, family.drift);
    group.mean = bootstrap_mean(clusters);
    // Problems that happen to agree do not prove more than the drift allows.
    const double least = z95 * family.drift / std::sqrt(static_cast<double>(clusters.size()));
    group.mean.low = std::min(group.mean.low, group.mean.x - least);
    group.mean.high = std::max(group.mean.high, group.mean.x + least);
    widen(group.mean, common);
    group.mean.p = p_of(group.mean);
  }
  return groups;
}

json counts_of(const std::vector<const Series*>& members) {
  json counts = {{"faster", 0}, {"slower", 0}, {"same", 0}, {"undecided", 0}};
  for (const Series* series : members) {
    json& count = counts[series->change.verdict];
    count = count.get<int>() + 1;
  }
  return counts;
}

json groups_to_json(const std::vector<Group>& groups, bool judged) {
  json result = json::array();
  for (const Group& group : groups) {
    json entry = {{"name", group.name},
                  {"points", group.members.size()},
                  {"counts", counts_of(group.members)}};
    put_change(entry, group.mean);
    if (judged) {
      entry["p"] = group.mean.p;
      entry["verdict"] = group.mean.verdict;
    }
    result.push_back(std::move(entry));
  }
  return result;
}

}  // namespace

json family_to_json(const Family& family, const json& base, const std::vector<Match>& matches,
                    double min_effect) {
  bool several_backends = false;
  for (const Match& match : matches) {
    several_backends |= text(base[match.base], "backend") != text(base[matches[0].base], "backend");
  }
  const auto with_backend = [&](const std::string& name, const json& point) {
    return several_backends ? name + " · " + text(point, "backend") : name;
  };
  const auto grouped = [&](double common, auto&& name) {
    return group_by(family, base, matches, common, name);
  };
  std::vector<Group> kernels = grouped(family.common, [&](const json& point) {
    return with_backend(kernel_name(point, family.quantity), point);
  });
  std::vector<Change*> means;
  means.reserve(kernels.size());
  for (Group& kernel : kernels) means.push_back(&kernel.mean);
  judge(means, min_effect);
  const auto formats = grouped(
      family.common, [&](const json& point) { return with_backend(text(point, "format"), point); });
  const auto workloads = grouped(
      family.common, [](const json& point) { return text(child(point, "problem"), "workload"); });
  // Its own shift is no evidence against itself.
  auto all = grouped(family.copy_drift, [](const json&) { return std::string("all"); });
  Change* const whole = &all.front().mean;
  judge({&whole, 1}, min_effect);
  return {{"quantity", family.quantity},
          {"mode", family.mode},
          {"drift", family.drift},
          {"common_drift", family.common},
          {"drift_from", family.drift_from},
          {"counts", counts_of(all.front().members)},
          {"all", groups_to_json(all, true).front()},
          {"kernels", groups_to_json(kernels, true)},
          {"formats", groups_to_json(formats, false)},
          {"workloads", groups_to_json(workloads, false)}};
}

}  // namespace spiketune::comparison
