#pragma once
/// \file
/// Streams of events, as sensors record them, and how they become time steps.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/datasets/npy.hpp"

namespace spiketune {

/// One event of one sample. Sensors without rows (cochleas) count their channels in x.
struct Event {
  std::int64_t time_us = 0;
  std::uint32_t sample = 0;
  std::uint32_t x = 0;
  std::uint32_t y = 0;
  bool on = false;  ///< brighter; false where a sensor has no polarity
};

struct EventStream {
  std::vector<Event> events;  ///< in any order
  std::uint32_t samples = 1;
  std::uint32_t width = 0;
  std::uint32_t height = 1;
  bool polarity = false;
  std::int64_t begin_us = 0;     ///< of every sample; where its first time step begins
  std::int64_t end_us = 0;       ///< one after its last possible event
  std::uint64_t file_bytes = 0;  ///< that it was read from: bounds what it may unfold into
};

/// How events become time steps. Crop comes first, then downsampling; `events` of a suite's entry.
struct EventOptions {
  std::uint32_t steps = 0;                ///< T; 0: as many windows as the recording has
  std::int64_t window_us = 0;             ///< length of a step; 0: the recording divided by `steps`
  std::string polarity = "split";         ///< split (off and on are two channels), merge, on, off
  std::uint32_t downsample = 1;           ///< squares of so many pixels a side become one
  std::array<std::uint32_t, 4> crop{};    ///< x, y, width, height in pixels; zeros: all
  std::array<std::uint32_t, 2> sensor{};  ///< width, height; zeros: what the file says
  bool operator==(const EventOptions&) const = default;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("steps", self.steps);
    visit("window_us", self.window_us);
    visit("polarity", self.polarity);
    visit("downsample", self.downsample);
    visit("crop", self.crop);
    visit("sensor", self.sensor);
  }
};

/// Counts of events, and what it took to get there.
struct BinnedEvents {
  NpyArray counts;  ///< u1 [T, samples, C, H, W], C = 2 for split polarities
  std::string how;  ///< steps, pixels, and what was left out, as a clause for people
};

/// Most events that an element counts: 1 for binary spikes, 3 for graded2, 255 for graded.
[[nodiscard]] std::uint8_t most_counted(ValueKind kind);

/// Event e falls into step (time - begin) / window; without a window that is the recording divided
/// by `steps`, rounded up to whole µs. Events beyond the last step or outside the crop are left
/// out. `name` is for messages. Throws Error(invalid_argument) where steps and window are both 0 or
/// other options do not fit, Error(parse) for an event before the beginning or off the sensor, and
/// Error(unsupported) as check_elements() does.
[[nodiscard]] BinnedEvents bin_events(EventStream stream, const EventOptions& options,
                                      ValueKind kind, const std::string& name);

/// Sets width and height of a sensor that the file does not describe: the usual ones, or what holds
/// all events where one lies outside.
void guess_sensor(EventStream& stream, std::uint32_t usual_width, std::uint32_t usual_height);

}  // namespace spiketune
