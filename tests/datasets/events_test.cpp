#include "spiketune/datasets/events.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "spiketune/tests/datasets/files.hpp"

namespace spiketune::test {
namespace {

/// 4 x 2 pixels for 100 µs from 1,000 µs on.
EventStream stream_of(std::vector<Event> events) {
  EventStream stream;
  stream.events = std::move(events);
  stream.width = 4;
  stream.height = 2;
  stream.polarity = true;
  stream.begin_us = 1000;
  stream.end_us = 1100;
  return stream;
}

std::vector<int> counts(const BinnedEvents& binned) {
  std::vector<int> result;
  for (const std::byte count : binned.counts.data) result.push_back(std::to_integer<int>(count));
  return result;
}

EventOptions in_steps(std::uint32_t steps, std::int64_t window_us = 0) {
  EventOptions options;
  options.steps = steps;
  options.window_us = window_us;
  return options;
}

using Shape = std::vector<std::uint64_t>;

TEST(Events, StepsAndPolaritiesAreSplit) {
  const EventStream stream =
      stream_of({{1000, 0, 0, 0, false}, {1049, 0, 3, 1, true}, {1050, 0, 1, 0, true}});
  const BinnedEvents binned = bin_events(stream, in_steps(2), ValueKind::binary, "test");
  EXPECT_EQ(binned.counts.shape, (Shape{2, 1, 2, 2, 4}));
  EXPECT_EQ(counts(binned), (std::vector<int>{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,  //
                                              0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(Events, AWindowDecidesTheSteps) {
  const EventStream stream = stream_of({{1099, 0, 0, 0, true}, {1000, 0, 0, 0, true}});
  const auto steps = [&](const EventOptions& options) {
    return bin_events(stream, options, ValueKind::binary, "test").counts.shape[0];
  };
  EXPECT_EQ(steps(in_steps(0, 30)), 4u);
  EXPECT_EQ(steps(in_steps(0, 50)), 2u);
  EXPECT_EQ(steps(in_steps(0, 1000)), 1u);
  EXPECT_EQ(steps(in_steps(3)), 3u);
  const BinnedEvents cut = bin_events(stream, in_steps(3, 30), ValueKind::binary, "test");
  EXPECT_EQ(cut.counts.shape[0], 3u);
  EXPECT_NE(cut.how.find("1 after the last step"), cut.how.npos) << cut.how;
  EXPECT_EQ(error_of([&] { static_cast<void>(steps(in_steps(0, 0))); }),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { static_cast<void>(steps(in_steps(0, -1))); }),
            ErrorCode::invalid_argument);
}

TEST(Events, CountsEndWhereTheKindDoes) {
  const EventStream stream = stream_of(std::vector<Event>(300, {1000, 0, 0, 0, true}));
  for (const auto& [kind, most] :
       {std::pair{ValueKind::binary, 1}, std::pair{ValueKind::graded2, 3},
        std::pair{ValueKind::graded, 255}}) {
    EventOptions options = in_steps(1);
    options.polarity = "merge";
    const BinnedEvents binned = bin_events(stream, options, kind, "test");
    EXPECT_EQ(counts(binned)[0], most);
    const std::string left = std::to_string(300 - most) + " beyond " + std::to_string(most);
    EXPECT_NE(binned.how.find(left), binned.how.npos) << binned.how;
  }
}

TEST(Events, PolaritiesCanBeMergedOrChosen) {
  const EventStream stream = stream_of({{1000, 0, 0, 0, false}, {1000, 0, 1, 0, true}});
  const auto first_row = [&](const char* polarity) {
    EventOptions options = in_steps(1);
    options.polarity = polarity;
    const BinnedEvents binned = bin_events(stream, options, ValueKind::binary, "test");
    EXPECT_EQ(binned.counts.shape, (Shape{1, 1, 1, 2, 4}));
    return std::vector<int>{counts(binned)[0], counts(binned)[1]};
  };
  EXPECT_EQ(first_row("merge"), (std::vector<int>{1, 1}));
  EXPECT_EQ(first_row("on"), (std::vector<int>{0, 1}));
  EXPECT_EQ(first_row("off"), (std::vector<int>{1, 0}));
  EventOptions options = in_steps(1);
  options.polarity = "both";
  EXPECT_EQ(
      error_of([&] { static_cast<void>(bin_events(stream, options, ValueKind::binary, "test")); }),
      ErrorCode::invalid_argument);
}

TEST(Events, CropThenDownsample) {
  const EventStream stream = stream_of(
      {{1000, 0, 0, 0, true}, {1000, 0, 1, 0, true}, {1000, 0, 2, 1, true}, {1000, 0, 3, 1, true}});
  EventOptions options = in_steps(1);
  options.polarity = "merge";
  options.crop = {1, 0, 3, 2};
  options.downsample = 2;
  const BinnedEvents binned = bin_events(stream, options, ValueKind::graded2, "test");
  EXPECT_EQ(binned.counts.shape, (Shape{1, 1, 1, 1, 2}));
  EXPECT_EQ(counts(binned), (std::vector<int>{2, 1}));
  EXPECT_NE(binned.how.find("1 by crop"), binned.how.npos) << binned.how;
  for (const auto& crop : {std::array{2u, 0u, 3u, 2u}, std::array{0u, 0u, 0u, 1u},
                           std::array{0xffffffffu, 0u, 2u, 1u}}) {
    options.crop = crop;
    EXPECT_EQ(error_of([&] {
                static_cast<void>(bin_events(stream, options, ValueKind::binary, "test"));
              }),
              ErrorCode::invalid_argument);
  }
}

TEST(Events, BadEventsAreNamed) {
  const auto message = [](const Event& event, const EventOptions& options = in_steps(1)) {
    return message_of([&] {
      static_cast<void>(
          bin_events(stream_of({{1000, 0, 0, 0, true}, event}), options, ValueKind::binary, "f"));
    });
  };
  EXPECT_EQ(message({1000, 0, 4, 0, true}),
            "f: event 1 is at (4, 0), but the sensor has 4 x 2 pixels");
  EXPECT_EQ(message({999, 0, 0, 0, true}),
            "f: event 1 is at 999 µs, but the recording begins at 1000");
  EXPECT_EQ(message({1000, 1, 0, 0, true}), "f: event 1 is of sample 1 of 1");
  EventOptions larger = in_steps(1);
  larger.sensor = {5, 2};
  EXPECT_EQ(message({1000, 0, 4, 0, true}, larger), "");
}

TEST(Events, TimesMayBeAnyNumber) {
  EventStream stream = stream_of({{INT64_MIN, 0, 0, 0, true}, {INT64_MAX - 1, 0, 0, 0, true}});
  stream.begin_us = INT64_MIN;
  stream.end_us = INT64_MAX;
  EventOptions options = in_steps(2);
  options.polarity = "merge";
  const BinnedEvents binned = bin_events(stream, options, ValueKind::binary, "test");
  EXPECT_EQ(counts(binned)[0], 1);
  EXPECT_EQ(counts(binned)[8], 1);
}

TEST(Events, SamplesAreRows) {
  EventStream stream = stream_of({{1000, 1, 2, 0, false}, {1060, 0, 0, 0, false}});
  stream.samples = 2;
  stream.height = 1;
  stream.polarity = false;
  const BinnedEvents binned = bin_events(stream, in_steps(2), ValueKind::binary, "test");
  EXPECT_EQ(binned.counts.shape, (Shape{2, 2, 1, 1, 4}));
  EXPECT_EQ(counts(binned), (std::vector<int>{0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace spiketune::test
