#include "spiketune/autotune/report.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "spiketune/autotune/environment.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// Microseconds to a tenth of a nanosecond: more digits are noise and triple the file.
double rounded(double microseconds) {
  return std::round(microseconds * 1e4) / 1e4;
}

json measurement_to_json(const std::vector<double>& samples, TimingMode mode) {
  if (samples.empty()) return nullptr;
  const Statistics summary = statistics(samples);
  json list = json::array();
  for (const double sample : samples) list.push_back(rounded(sample));
  return {{"mode", std::string(to_string(mode))},
          {"median", rounded(summary.median)},
          {"p05", rounded(summary.p05)},
          {"p95", rounded(summary.p95)},
          {"samples", std::move(list)}};
}

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

/// Infinity and NaN have no place in JSON.
json finite_or_null(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? json(*value) : json(nullptr);
}

json clocks_to_json(const Point& point) {
  json clocks = json::object();
  if (point.clocks_before.sm_mhz) clocks["sm_mhz_before"] = *point.clocks_before.sm_mhz;
  if (point.clocks_after.sm_mhz) clocks["sm_mhz_after"] = *point.clocks_after.sm_mhz;
  if (point.clocks_after.memory_mhz) clocks["memory_mhz"] = *point.clocks_after.memory_mhz;
  if (!point.clocks_after.throttle_reasons.empty()) {
    clocks["throttled_by"] = point.clocks_after.throttle_reasons;
  }
  return clocks;
}

}  // namespace

std::string_view to_string(PointStatus status) {
  switch (status) {
    case PointStatus::ok:
      return "ok";
    case PointStatus::skipped:
      return "skipped";
    case PointStatus::failed:
      return "failed";
    case PointStatus::wrong:
      return "wrong";
  }
  return "?";
}

void add_timing(json& point, const std::string& name, const Timing& timing) {
  // The main key holds the cold samples; where only hot ones were asked for, those.
  const bool hot_only = timing.cold.empty() && !timing.hot.empty();
  point[name + "_us"] = hot_only ? measurement_to_json(timing.hot, TimingMode::hot)
                                 : measurement_to_json(timing.cold, TimingMode::cold);
  if (!hot_only) point[name + "_hot_us"] = measurement_to_json(timing.hot, TimingMode::hot);
}

json point_to_json(const Point& point) {
  const bool ok = point.status == PointStatus::ok;
  json result = {{"problem", problem_to_json(point.problem)},
                 {"index", point.index},
                 {"format", point.format},
                 {"kernel", point.kernel},
                 {"config", point.config},
                 {"backend", point.backend},
                 {"baseline", point.baseline},
                 {"status", std::string(to_string(point.status))},
                 {"reason", point.reason.empty() ? json(nullptr) : json(point.reason)},
                 {"lossy", point.lossy},
                 {"bytes",
                  {{"input", or_null(point.input_bytes)},
                   {"encoded", or_null(point.encoded_bytes)},
                   {"weights", or_null(point.weight_bytes)},
                   {"output", or_null(point.output_bytes)}}},
                 {"floor_us",
                  {{"encode", finite_or_null(point.encode_floor_us)},
                   {"compute", finite_or_null(point.compute_floor_us)}}},
                 {"nnz", or_null(point.nnz)},
                 {"max_error", finite_or_null(point.max_error)}};
  add_timing(result, "encode", ok ? point.encode : Timing{});
  add_timing(result, "compute", ok ? point.compute : Timing{});
  add_timing(result, "total", ok ? point.total : Timing{});
  if (point.lost_share) result["lost_share"] = *point.lost_share;
  if (!point.command.empty()) result["command"] = point.command;
  if (!point.notes.empty()) result["notes"] = point.notes;
  if (const json clocks = clocks_to_json(point); !clocks.empty()) result["clocks"] = clocks;
  return result;
}

json empty_report(const std::vector<std::string>& argv, const json& environment) {
  const std::string revision = build_revision();
  return {{"schema", "spiketune.report/1"},
          {"created", utc_now()},
          {"argv", argv},
          {"git", revision.empty() ? json(nullptr) : json(revision)},
          {"complete", false},
          {"environment", environment},
          {"points", json::array()},
          {"winners", json::array()},
          {"crossovers", json::array()}};
}

std::string report_text(const json& report) {
  const auto line = [](const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  };
  std::string text = "{";
  const char* comma = "";
  for (const auto& [key, value] : report.items()) {
    text += std::string(comma) + "\n" + line(key) + ": ";
    comma = ",";
    if (!value.is_array() || value.empty() || !value.front().is_object()) {
      text += line(value);
      continue;
    }
    const char* separator = "[";
    for (const json& element : value) {
      text += std::string(separator) + "\n  " + line(element);
      separator = ",";
    }
    text += "\n]";
  }
  return text + "\n}\n";
}

void write_file(const std::string& path, std::string_view text) {
  write_file(path, [&](std::ostream& file) {
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
  });
}

void write_file(const std::string& path, const std::function<void(std::ostream&)>& write) {
  namespace fs = std::filesystem;
  const auto fill = [&](const std::string& name) {
    std::ofstream file(name, std::ios::binary | std::ios::trunc);
    if (file) write(file);
    file.close();
    return !file.fail();
  };
  std::error_code error;
  const fs::path real = fs::canonical(path, error);  // what a link leads to
  const std::string target = error ? path : real.string();
  if (fs::exists(target, error) && !fs::is_regular_file(target, error)) {  // a device, a pipe
    if (!fill(target)) throw Error(ErrorCode::io, "cannot write " + path);
    return;
  }
  const std::string temporary = target + "." + std::to_string(getpid()) + ".tmp";
  if (!fill(temporary)) {
    std::remove(temporary.c_str());
    throw Error(ErrorCode::io, "cannot write " + path);
  }
  fs::rename(temporary, target, error);
  if (error) {
    std::remove(temporary.c_str());
    throw Error(ErrorCode::io, "cannot write " + path + ": " + error.message());
  }
}

void require_other_file(const std::string& output, const std::string& other) {
  if (output.empty() || other.empty() || output == "-") return;
  std::error_code error;
  const bool same = output == other || (std::filesystem::is_regular_file(output, error) &&
                                        std::filesystem::equivalent(output, other, error));
  if (same) {
    throw Error(ErrorCode::invalid_argument,
                "would write " + output + " over " + other + ": name another file");
  }
}

std::unique_ptr<std::istream> open_maybe_packed(const std::string& path) {
  auto plain = std::make_unique<std::ifstream>(path, std::ios::binary);
  char magic[2] = {};
  plain->read(magic, sizeof(magic));
  if (plain->bad() || !plain->is_open()) throw Error(ErrorCode::io, "cannot read " + path);
  if (plain->gcount() != 2 || magic[0] != '\x1f' || magic[1] != '\x8b') {
    plain->clear();
    plain->seekg(0);
    return plain;
  }
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> packed(gzopen(path.c_str(), "rb"), gzclose);
  if (packed == nullptr) throw Error(ErrorCode::io, "cannot read " + path);
  const std::uintmax_t most = (std::uintmax_t{64} << 20) + 100 * std::filesystem::file_size(path);
  auto unpacked = std::make_unique<std::stringstream>();
  std::vector<char> piece(1u << 20);
  std::uintmax_t size = 0;
  int count = 0;
  while ((count = gzread(packed.get(), piece.data(), static_cast<unsigned>(piece.size()))) > 0) {
    size += static_cast<unsigned>(count);
    if (size > most) {
      throw Error(ErrorCode::parse,
                  fmt::format("{} unpacks into more than {} MiB, too much for a report packed into "
                              "a file of its size",
                              path, most >> 20));
    }
    unpacked->write(piece.data(), count);
  }
  int error = Z_OK;
  const char* why = gzerror(packed.get(), &error);
  if (count < 0 || error != Z_OK) {
    throw Error(ErrorCode::parse, path + " is not a whole gzip file: " + why);
  }
  return unpacked;
}

json read_json_file(const std::string& path) {
  const auto file = open_maybe_packed(path);
  try {
    return json::parse(*file);
  } catch (const json::exception& error) {
    throw Error(ErrorCode::parse, path + " is not JSON: " + error.what());
  }
}

std::string shell_quote(const std::string& word) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=.,/:+@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace spiketune
