#include "spiketune/autotune/measure.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

namespace spiketune {
namespace {

/// Few enough that a drift hits all series alike, many enough that going round costs little.
constexpr unsigned largest_batch = 5;

/// One sample to learn how long they take, then as many as the time left allows.
unsigned batch_size(const Series& series) {
  if (series.samples.empty() || series.seconds <= 0) return 1;
  const double each = series.seconds / static_cast<double>(series.samples.size());
  const double left = (series.rule.max_seconds - series.seconds) / each;
  const auto room = static_cast<double>(series.rule.max_samples - series.samples.size());
  return static_cast<unsigned>(
      std::clamp(std::min(left, room), 1.0, static_cast<double>(largest_batch)));
}

void sample_batch(Series& series) {
  const unsigned batch = batch_size(series);
  const auto begin = std::chrono::steady_clock::now();
  try {
    series.trial->sample(batch, series.samples);
  } catch (const std::exception& error) {
    series.failure = error.what();
  }
  series.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

bool finished(const Series& series) {
  return !series.failure.empty() || series.rule.enough(series.samples, series.seconds);
}

}  // namespace

std::string_view to_string(TimingMode mode) {
  return mode == TimingMode::cold ? "cold" : "hot";
}

void measure_interleaved(std::span<Series* const> series, const std::function<bool()>& interrupted,
                         const std::function<void(std::size_t)>& before_batch,
                         const std::function<void()>& after_round) {
  for (bool any = true; any;) {
    any = false;
    for (std::size_t i = 0; i < series.size(); ++i) {
      if (finished(*series[i])) continue;
      if (interrupted()) return;
      before_batch(i);
      sample_batch(*series[i]);
      any = true;
    }
    if (any) after_round();
  }
}

}  // namespace spiketune
