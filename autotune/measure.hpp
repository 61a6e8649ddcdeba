#pragma once
/// \file
/// Timing work on a backend: what one sample is, and how samples of many works are interleaved.
///
/// Cold: caches are flushed, outside the timed region, before each sample.
/// Hot: the work is repeated, nothing in between; after an untimed run, since others ran before.
///
/// CUDA: time between two events on the context's stream. Cold samples are queued behind a kernel
/// that spins until all of a batch is enqueued, so the CPU's launch time is not in them. A hot
/// sample is the replay of a graph of several works, divided by their number. Work that waits for
/// the device cannot be queued or captured; it is timed as it runs, and a note says so.
/// Host: steady clock. Cold: all threads read a buffer larger than the last-level cache.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "spiketune/autotune/statistics.hpp"
#include "spiketune/core/context.hpp"

namespace spiketune {

enum class TimingMode : std::uint8_t { cold, hot };
[[nodiscard]] std::string_view to_string(TimingMode mode);

struct Work {
  std::function<void()> run;  ///< enqueues on the context of the meter
  bool synchronous = false;   ///< waits for the device somewhere inside
};

/// One work prepared for timing in one mode.
class Trial {
 public:
  virtual ~Trial() = default;
  /// Appends `count` samples in microseconds. Throws what the work throws.
  virtual void sample(unsigned count, std::vector<double>& samples) = 0;
  /// What a reader of the samples has to know; empty where it is all as described above.
  [[nodiscard]] virtual std::vector<std::string> notes() const { return {}; }
};

/// SM and memory clock in MHz and what holds them down, where the backend can tell.
struct ClockState {
  std::optional<unsigned> sm_mhz;
  std::optional<unsigned> memory_mhz;
  std::vector<std::string> throttle_reasons;
};

class Meter {
 public:
  virtual ~Meter() = default;
  /// Runs the work once, so that nothing is loaded or compiled within a sample.
  [[nodiscard]] virtual std::unique_ptr<Trial> prepare(Work work, TimingMode mode) = 0;
  /// Bandwidth of a large copy, bytes read plus bytes written, in 1e9 B/s.
  [[nodiscard]] virtual double copy_gbps() = 0;
  /// What timing nothing yields, in microseconds. It is not subtracted from samples.
  [[nodiscard]] virtual double overhead_us() = 0;
  [[nodiscard]] virtual ClockState clocks() { return {}; }
};

[[nodiscard]] std::unique_ptr<Meter> make_meter(const HostContext& context);
/// Defined in builds with CUDA. Throws Error(cuda).
[[nodiscard]] std::unique_ptr<Meter> make_meter(const CudaContext& context);

/// A trial with its samples.
struct Series {
  std::unique_ptr<Trial> trial;
  StopRule rule;
  std::vector<double> samples;  ///< microseconds, in the order taken
  double seconds = 0;           ///< wall time spent on them
  std::string failure;          ///< what the work threw; the samples are then void
};

/// Samples all series in turn, a few samples each, until each has enough (or failed), so that a
/// drift of the machine spreads over all of them instead of favouring one.
/// \param interrupted    asked between batches; true ends it early
/// \param before_batch   called with the index of the series that is sampled next
/// \param after_round    called once after each round over the series
void measure_interleaved(std::span<Series* const> series, const std::function<bool()>& interrupted,
                         const std::function<void(std::size_t)>& before_batch,
                         const std::function<void()>& after_round);

}  // namespace spiketune
