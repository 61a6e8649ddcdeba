#pragma once
/// \file
/// Reports without products (`sweep --encode-only`): encoders by the bytes that they move.

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "spiketune/autotune/report_summary.hpp"

namespace spiketune {

/// A timed encoder. Rates count the spikes read and the format written.
struct EncoderRow {
  std::size_t curve = ReportCurves::kNone;
  std::optional<double> density;
  std::string encoder;  ///< format, with its configuration where it has one
  double microseconds = 0;
  double gbps = 0;
  std::optional<double> copy_share;  ///< of the speed at which a copy moves these bytes
};

/// One row for each `ok` point with a time, in their order.
/// \param points   as points_in_mode() returns them
[[nodiscard]] std::vector<EncoderRow> encoder_rows(const nlohmann::json& points,
                                                   const ReportCurves& curves);

/// What they add up to, in three sentences with numbers. Empty for no rows.
[[nodiscard]] std::string encoders_answer(const std::vector<EncoderRow>& rows,
                                          const ReportCurves& curves);

/// "812", "0.75": three significant digits.
[[nodiscard]] std::string format_rate(double gbps);

}  // namespace spiketune
