#include "spiketune/datasets/readers/n_mnist.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

constexpr std::size_t record_bytes = 5;
constexpr unsigned overflow_y = 240;
constexpr std::int64_t overflow_us = 8192;

}  // namespace

Recording read_n_mnist(const ByteSource& source) {
  const std::string content = read_rest(source);
  if (content.size() % record_bytes != 0) {
    throw Error(
        ErrorCode::parse,
        fmt::format("{}: {} bytes are no whole number of events of {}: record {} is "
                    "truncated, or it is no N-MNIST file",
                    source.name, content.size(), record_bytes, content.size() / record_bytes));
  }
  EventStream stream;
  stream.polarity = true;
  stream.file_bytes = content.size();
  stream.events.reserve(content.size() / record_bytes);
  std::int64_t overflows_us = 0;
  for (std::size_t at = 0; at < content.size(); at += record_bytes) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(content[at + i]); };
    if (byte(1) == overflow_y) {
      overflows_us += overflow_us;
      continue;
    }
    const std::int64_t time = (byte(2) & 0x7f) << 16 | byte(3) << 8 | byte(4);
    stream.events.push_back({time + overflows_us, 0, byte(0), byte(1), (byte(2) & 0x80) != 0});
    stream.end_us = std::max(stream.end_us, time + overflows_us + 1);
  }
  guess_sensor(stream, 34, 34);
  return {source.name, std::move(stream)};
}

}  // namespace spiketune
