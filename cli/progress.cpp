#include "spiketune/cli/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "spiketune/autotune/analysis.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/cli/terminal.hpp"

namespace spiketune::cli {
namespace {

constexpr std::chrono::milliseconds redraw_interval{100};
constexpr std::size_t bar_width = 24;

std::string clock_time(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

/// The first `columns` characters of UTF-8 text.
std::string cut(const std::string& text, std::size_t columns) {
  std::size_t at = 0;
  std::size_t characters = 0;
  while (at < text.size()) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xc0u) != 0x80u;
    if (begins && characters++ == columns) break;
    ++at;
  }
  return text.substr(0, at);
}

std::string counts_of(const nlohmann::json& points) {
  const StatusCounts counts = count_statuses(points);
  std::string text = fmt::format("{} ok", counts.ok);
  if (counts.skipped > 0) text += fmt::format(", {} skipped", counts.skipped);
  const auto add_bad = [&text](std::size_t count, const char* what) {
    if (count == 0) return;
    text += ", " + alarming(fmt::format("{} {}", count, what), STDERR_FILENO);
  };
  add_bad(counts.failed, "FAILED");
  add_bad(counts.wrong, "WRONG");
  return text;
}

}  // namespace

ProgressPrinter::ProgressPrinter(bool quiet)
    : quiet_(quiet), terminal_(is_terminal(STDERR_FILENO)) {}

void ProgressPrinter::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void ProgressPrinter::show(const SweepProgress& progress) {
  const auto now = std::chrono::steady_clock::now();
  if (quiet_ || !terminal_ || now - last_ < redraw_interval) return;
  last_ = now;
  const auto filled = static_cast<std::size_t>(std::clamp(progress.share, 0.0, 1.0) * bar_width);
  std::string bar;
  for (std::size_t i = 0; i < bar_width; ++i) bar += i < filled ? "━" : "─";
  std::string line = fmt::format("{} {:3.0f} %", bar, 100 * progress.share);
  if (progress.left_seconds > 0)
    line += fmt::format(" · {} left", clock_time(progress.left_seconds));
  line += fmt::format(" · {}/{} {} · {}", progress.problem + 1, progress.problems, progress.name,
                      progress.what);
  const auto width = static_cast<std::size_t>(terminal_width(STDERR_FILENO, 100));
  std::fputs(("\r\033[K" + cut(line, width - 1)).c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressPrinter::problem_done(const nlohmann::json& points, const SweepProgress& progress) {
  if (quiet_) return;
  clear();
  std::string line = fmt::format("[{}/{}] {}: {}", progress.problem + 1, progress.problems,
                                 progress.name, counts_of(points));
  for (const auto& winner : compute_winners(points)) {
    line += fmt::format("; fastest {} {} {}", winner.at("format").get<std::string>(),
                        winner.at("kernel").get<std::string>(),
                        format_time(winner.at("total_us").get<double>()));
  }
  if (!terminal_ && progress.left_seconds > 0) {
    line += fmt::format(" ({} left)", clock_time(progress.left_seconds));
  }
  std::fputs((line + "\n").c_str(), stderr);
}

}  // namespace spiketune::cli
