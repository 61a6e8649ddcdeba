#pragma once
/// \file
/// What a sweep has measured: the points whole in its journal, what tables and analysis need of
/// them in memory.

#include <cstddef>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "spiketune/autotune/journal.hpp"

namespace spiketune {

class SweepRecord {
 public:
  /// \param head   a report without points (empty_report())
  SweepRecord(nlohmann::json head, Journal journal);

  [[nodiscard]] nlohmann::json& head() { return head_; }
  /// Points that there are, by index, but of each only what tables and analysis show: the problem,
  /// the candidate, its status and its times without samples.
  [[nodiscard]] const std::map<std::size_t, nlohmann::json>& points() const { return points_; }
  /// Keeps points that ended together, in the journal first. Throws Error(io).
  void add(std::span<const nlohmann::json> points);
  [[nodiscard]] std::size_t count(std::string_view status) const;

  /// Lends the report with winners and crossovers, and points() for points. For tables.
  void with_summary(const std::function<void(const nlohmann::json& report)>& use);
  /// The whole report; in memory it is several times as large as in a file.
  [[nodiscard]] nlohmann::json report() const;
  /// Writes the whole report to a file. Throws Error(io).
  void write(const std::string& path);
  /// Deletes the journal: the report holds everything now.
  void remove_journal() { journal_.remove(); }

 private:
  nlohmann::json head_;
  Journal journal_;
  std::map<std::size_t, nlohmann::json> points_;
};

}  // namespace spiketune
