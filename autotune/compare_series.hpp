#pragma once
/// \file
/// The first half of a comparison: what the samples of each point say. compare.hpp has the method.

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace spiketune::comparison {

inline constexpr double z95 = 1.959964;  ///< normal quantile of a 95 % interval

/// Two points of the same work: their indices in the reports.
struct Match {
  std::size_t base = 0;
  std::size_t next = 0;
};

/// A logarithm of a ratio new / base with its 95 % interval.
struct Change {
  double x = 0;
  double low = 0;
  double high = 0;
  double p = 1;
  bool enough = true;
  const char* verdict = "undecided";

  [[nodiscard]] double error() const;  ///< standard deviation
};

/// One quantity of one point in one mode.
struct Series {
  std::size_t match = 0;  ///< index
  Change change;
  double sampling_error = 0;  ///< of the change, without drift
  double base_us = 0;
  double next_us = 0;
  std::size_t base_samples = 0;
  std::size_t next_samples = 0;
};

/// All points' series of one quantity in one mode.
struct Family {
  const char* quantity = "";
  const char* mode = "";
  double drift = 0;       ///< of each problem by itself
  double common = 0;      ///< the whole run's
  double copy_drift = 0;  ///< what a copy shows of that
  const char* drift_from = "";
  std::vector<Series> series;
};

/// Kernel of a product; of an encoding, which kernels share, its format and whose it is.
[[nodiscard]] std::string kernel_name(const nlohmann::json& point, const std::string& quantity);

/// The series of the points that have samples of this quantity and mode in both reports.
[[nodiscard]] Family read_family(const nlohmann::json& base_points,
                                 const nlohmann::json& next_points,
                                 const std::vector<Match>& matches, const char* quantity,
                                 const char* mode);

/// Sets `drift` and what goes with it.
/// \param copy_drift   by how much the machine itself was faster or slower, ln of a ratio without
///                     its sign; nothing where the devices differ, and nothing can be estimated
/// \param given        the drift, where the user says it
void set_drift(Family& family, const nlohmann::json& base_points, const std::vector<Match>& matches,
               const std::optional<double>& copy_drift, const std::optional<double>& given);

/// Widens the intervals by the drift, and judges each series.
void judge_family(Family& family, double min_effect);

/// Adjusts the p-values of comparisons that are read together, and sets their verdicts.
void judge(std::span<Change* const> changes, double min_effect);
/// Widens the interval to cover a further standard deviation.
void widen(Change& change, double deviation);
/// p-value of no change, by a normal distribution of the interval.
[[nodiscard]] double p_of(const Change& change);

/// Adds ratio, low and high.
void put_change(nlohmann::json& object, const Change& change);

}  // namespace spiketune::comparison
