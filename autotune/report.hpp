#pragma once
/// \file
/// The report of a sweep as it is written: results/schema/report.schema.json says what is in it.

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spiketune/autotune/measure.hpp"
#include "spiketune/autotune/problem.hpp"

namespace spiketune {

enum class PointStatus : std::uint8_t { ok, skipped, failed, wrong };
[[nodiscard]] std::string_view to_string(PointStatus status);

/// Samples of one quantity in microseconds, in the order taken; empty: not measured.
struct Timing {
  std::vector<double> cold;
  std::vector<double> hot;
};

/// One format and kernel on one problem.
struct Point {
  Problem problem;
  std::size_t index = 0;  ///< among all candidates of the sweep
  std::string format;
  std::string kernel;
  nlohmann::json config = nlohmann::json::object();
  std::string backend;
  bool baseline = false;
  bool lossy = false;
  PointStatus status = PointStatus::ok;
  std::string reason;
  Timing encode;
  Timing compute;
  Timing total;
  std::optional<std::uint64_t> input_bytes;
  std::optional<std::uint64_t> encoded_bytes;
  std::optional<std::uint64_t> weight_bytes;
  std::optional<std::uint64_t> output_bytes;
  std::optional<double> encode_floor_us;
  std::optional<double> compute_floor_us;
  std::optional<std::uint64_t> nnz;
  std::optional<double> max_error;
  std::optional<double> lost_share;
  ClockState clocks_before;
  ClockState clocks_after;
  std::string command;
  std::vector<std::string> notes;
};

/// Times are left out of points that are not ok.
[[nodiscard]] nlohmann::json point_to_json(const Point& point);

/// Sets `NAME_us` and `NAME_hot_us` of a point: cold samples, or hot ones where there are only
/// those, under the first.
void add_timing(nlohmann::json& point, const std::string& name, const Timing& timing);

/// A report without points: schema, created, argv, git, environment, and `complete` false.
[[nodiscard]] nlohmann::json empty_report(const std::vector<std::string>& argv,
                                          const nlohmann::json& environment);

/// The report as JSON text, one point on each line, so that files can be read and compared.
[[nodiscard]] std::string report_text(const nlohmann::json& report);

/// Writes `text` to a file of another name beside `path`, then renames it, so that whoever reads
/// `path` finds all of it or what was there before. A link stays one; a device or pipe is written
/// to. Throws Error(io).
void write_file(const std::string& path, std::string_view text);
/// The same for text too large to hold: `write` puts it into the stream.
void write_file(const std::string& path, const std::function<void(std::ostream&)>& write);

/// Throws Error(invalid_argument) where `output` is the same file as `other`, which is read or
/// written too. Neither need exist; an empty name is none.
void require_other_file(const std::string& output, const std::string& other);

/// The bytes of a file, unpacked where they are gzip's: into 64 MiB and 100 bytes for each of the
/// file at most (reports take about 15). Throws Error(io), or Error(parse) where there are more, or
/// the packed bytes are broken or end too early; all name the file.
[[nodiscard]] std::unique_ptr<std::istream> open_maybe_packed(const std::string& path);

/// JSON, packed by gzip or not. Throws Error(io) or Error(parse) that names the file.
[[nodiscard]] nlohmann::json read_json_file(const std::string& path);

/// `word` as a POSIX shell reads it back.
[[nodiscard]] std::string shell_quote(const std::string& word);

}  // namespace spiketune
