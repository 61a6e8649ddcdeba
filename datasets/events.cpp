#include "spiketune/datasets/events.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>

#include "spiketune/core/error.hpp"
#include "spiketune/datasets/byte_source.hpp"

namespace spiketune {
namespace {

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::invalid_argument) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

/// Which pixels are kept, and how large they are.
struct Frame {
  std::uint32_t x = 0, y = 0, width = 0, height = 0;
  std::uint32_t scale = 1;

  [[nodiscard]] std::uint64_t columns() const { return ceil_div(width, scale); }
  [[nodiscard]] std::uint64_t rows() const { return ceil_div(height, scale); }
};

Frame frame_of(const EventStream& stream, const EventOptions& options, const std::string& name) {
  if (options.downsample == 0) fail(name, "downsample must be at least 1");
  Frame frame{0, 0, stream.width, stream.height, options.downsample};
  const auto [x, y, width, height] = options.crop;
  if (options.crop == std::array<std::uint32_t, 4>{}) return frame;
  if (width == 0 || height == 0 || std::uint64_t{x} + width > stream.width ||
      std::uint64_t{y} + height > stream.height) {
    fail(name, fmt::format("a crop of {} x {} at ({}, {}) does not lie on {} x {} pixels", width,
                           height, x, y, stream.width, stream.height));
  }
  return {x, y, width, height, options.downsample};
}

struct Steps {
  std::uint64_t count = 0;
  std::uint64_t window_us = 1;
};

/// Differences of times are taken without sign: they fit where those of int64 do not.
Steps steps_of(const EventStream& stream, const EventOptions& options, const std::string& name) {
  if (options.window_us < 0) fail(name, "the window must not be negative");
  if (options.steps == 0 && options.window_us == 0) {
    fail(name, "events need a number of steps, the length of one in µs, or both");
  }
  const std::uint64_t duration =
      stream.end_us <= stream.begin_us
          ? 1
          : static_cast<std::uint64_t>(stream.end_us) - static_cast<std::uint64_t>(stream.begin_us);
  Steps steps{options.steps, static_cast<std::uint64_t>(options.window_us)};
  if (steps.window_us == 0) {
    steps.window_us = duration / steps.count + (duration % steps.count != 0);
  } else if (steps.count == 0) {
    steps.count = duration / steps.window_us + (duration % steps.window_us != 0);
  }
  return steps;
}

/// The channel of an event; none where its polarity is not wanted.
constexpr std::uint64_t unwanted = 2;
std::uint64_t channel_of(const Event& event, const std::string& polarity) {
  if (polarity == "split") return event.on ? 1 : 0;
  if (polarity == "merge") return 0;
  return event.on == (polarity == "on") ? 0 : unwanted;
}

void check_event(const EventStream& stream, std::size_t index, const std::string& name) {
  const Event& event = stream.events[index];
  if (event.x >= stream.width || event.y >= stream.height) {
    fail(name,
         fmt::format("event {} is at ({}, {}), but the sensor has {} x {} pixels", index, event.x,
                     event.y, stream.width, stream.height),
         ErrorCode::parse);
  }
  if (event.time_us < stream.begin_us) {
    fail(name,
         fmt::format("event {} is at {} µs, but the recording begins at {}", index, event.time_us,
                     stream.begin_us),
         ErrorCode::parse);
  }
  if (event.sample >= stream.samples) {
    fail(name, fmt::format("event {} is of sample {} of {}", index, event.sample, stream.samples),
         ErrorCode::parse);
  }
}

}  // namespace

std::uint8_t most_counted(ValueKind kind) {
  return kind == ValueKind::binary ? 1 : kind == ValueKind::graded2 ? 3 : 255;
}

BinnedEvents bin_events(EventStream stream, const EventOptions& options, ValueKind kind,
                        const std::string& name) {
  if (options.sensor != std::array<std::uint32_t, 2>{}) {
    stream.width = options.sensor[0];
    stream.height = options.sensor[1];
  }
  const std::string& polarity = options.polarity;
  if (polarity != "split" && polarity != "merge" && polarity != "on" && polarity != "off") {
    fail(name, fmt::format("polarity '{}' is none of split, merge, on, off", polarity));
  }
  const Frame frame = frame_of(stream, options, name);
  const Steps steps = steps_of(stream, options, name);
  const std::uint64_t channels = stream.polarity && polarity == "split" ? 2 : 1;
  BinnedEvents result;
  NpyArray& counts = result.counts;
  counts.shape = {steps.count, stream.samples, channels, frame.rows(), frame.columns()};
  check_elements(counts.shape, stream.file_bytes, name);
  std::uint64_t elements = 1;
  for (const std::uint64_t length : counts.shape) elements *= length;
  counts.data.resize(elements);
  const std::uint8_t most = most_counted(kind);
  std::uint64_t late = 0;
  std::uint64_t outside = 0;
  std::uint64_t capped = 0;
  for (std::size_t i = 0; i < stream.events.size(); ++i) {
    check_event(stream, i, name);
    const Event& event = stream.events[i];
    const std::uint64_t step =
        (static_cast<std::uint64_t>(event.time_us) - static_cast<std::uint64_t>(stream.begin_us)) /
        steps.window_us;
    const std::uint64_t channel = stream.polarity ? channel_of(event, polarity) : 0;
    const bool inside = event.x >= frame.x && event.x - frame.x < frame.width &&
                        event.y >= frame.y && event.y - frame.y < frame.height;
    if (!inside || channel == unwanted) {
      ++outside;
    } else if (step >= steps.count) {
      ++late;
    } else {
      const std::uint64_t row = (event.y - frame.y) / frame.scale;
      const std::uint64_t column = (event.x - frame.x) / frame.scale;
      const std::uint64_t plane = (step * stream.samples + event.sample) * channels + channel;
      std::byte& count = counts.data[(plane * frame.rows() + row) * frame.columns() + column];
      const bool full = std::to_integer<unsigned>(count) == most;
      capped += full;
      if (!full) count = static_cast<std::byte>(std::to_integer<unsigned>(count) + 1);
    }
  }
  const std::string samples =
      stream.samples == 1 ? "one sample" : fmt::format("{} samples", stream.samples);
  result.how = fmt::format(
      "{} events of {} in {} steps of {} µs, {} x {} pixels{}; left out: {} after the last "
      "step, {} by crop or polarity, {} beyond {} an element",
      stream.events.size(), samples, steps.count, steps.window_us, frame.columns(), frame.rows(),
      channels == 2 ? " of two polarities" : "", late, outside, capped, most);
  return result;
}

void guess_sensor(EventStream& stream, std::uint32_t usual_width, std::uint32_t usual_height) {
  constexpr std::uint32_t limit = std::numeric_limits<std::uint32_t>::max();
  stream.width = usual_width;
  stream.height = usual_height;
  for (const Event& event : stream.events) {
    stream.width = std::max(stream.width, event.x == limit ? limit : event.x + 1);
    stream.height = std::max(stream.height, event.y == limit ? limit : event.y + 1);
  }
}

}  // namespace spiketune
