#pragma once
/// \file
/// A report in words: names of problems, numbers as people read them, and the sentences that
/// answer the sweep's question. Shared by the HTML page, the Markdown and the terminal table.

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spiketune {

/// Three significant digits with a unit: "12.3 µs", "1.23 ms", "2.00 s".
[[nodiscard]] std::string format_time(double microseconds);
/// A share as percent with up to three significant digits: "0.5 %".
[[nodiscard]] std::string format_density(double density);
/// "3.42×".
[[nodiscard]] std::string format_ratio(double ratio);

/// Format and kernel of a point or winner without saying a word twice: "csr.row_per_warp",
/// "dense (cublaslt.heuristic)".
[[nodiscard]] std::string format_and_kernel(const nlohmann::json& entry);

/// Whether the kernel of a point or winner multiplies each zero of S, as a dense product does:
/// dense itself, and those that make operands of the tensor cores of bits or bytes
/// (docs/kernels.md).
[[nodiscard]] bool multiplies_zeros(const nlohmann::json& entry);

/// One problem without its density, on one backend: what a chart shows over density.
struct ReportCurve {
  nlohmann::json problem;  ///< without `density`
  std::string backend;
  std::string shape;   ///< "4096×1024×512": M × K × N
  std::string label;   ///< workload, shape, and whatever tells this curve from the report's others
  std::string detail;  ///< every field of the problem
};

/// The curves of a report in order of first appearance.
struct ReportCurves {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::vector<ReportCurve> curves;
  std::vector<std::size_t> of_point;  ///< for each point its curve; kNone where it has no problem
  std::map<std::string, std::size_t> index;  ///< backend and problem as text, to curve

  /// The curve of a winner or crossover (whose problem may or may not have a density), or kNone.
  [[nodiscard]] std::size_t find(const nlohmann::json& entry) const;
};
[[nodiscard]] ReportCurves report_curves(const nlohmann::json& points);

/// How many points ended in each status.
struct StatusCounts {
  std::size_t ok = 0;
  std::size_t skipped = 0;
  std::size_t failed = 0;
  std::size_t wrong = 0;
};
[[nodiscard]] StatusCounts count_statuses(const nlohmann::json& points);

/// Plain text, not escaped for any markup.
struct Summary {
  std::string asked;      ///< what was measured, on what
  std::string answer;     ///< who wins, in two or three sentences with numbers
  std::string quantised;  ///< the same of problems with quantised W, where there are others too
  /// For each of the first curves its label, and what happened on it.
  std::vector<std::pair<std::string, std::string>> curves;
  std::size_t more_curves = 0;       ///< those not among them
  std::vector<std::string> remarks;  ///< ties, skipped and wrong points, an interrupted sweep
};

/// The summary of a report whose points are compared in `mode` ("cold" or "hot").
/// \param points   as points_in_mode(report["points"], mode) returns them
/// \param curves   report_curves(points)
[[nodiscard]] Summary summarise(const nlohmann::json& report, const nlohmann::json& points,
                                const ReportCurves& curves, std::string_view mode);

}  // namespace spiketune
