#include "spiketune/core/spike_tensor.hpp"

#include <limits>
#include <string>

#include "spiketune/core/error.hpp"

namespace spiketune {

std::string_view to_string(ValueKind kind) {
  switch (kind) {
    case ValueKind::binary:
      return "binary";
    case ValueKind::graded2:
      return "graded2";
    case ValueKind::graded:
      return "graded";
  }
  return "?";
}

ValueKind parse_value_kind(std::string_view name) {
  for (const ValueKind kind : {ValueKind::binary, ValueKind::graded2, ValueKind::graded}) {
    if (to_string(kind) == name) return kind;
  }
  throw Error(ErrorCode::parse, "unknown kind of spikes '" + std::string(name) +
                                    "'; known are binary graded2 graded");
}

void check(const SpikeView& spikes) {
  const auto fail = [&](const std::string& why) {
    throw Error(ErrorCode::invalid_argument, "spike tensor [" +
                                                 std::to_string(spikes.shape.timesteps) + ", " +
                                                 std::to_string(spikes.shape.rows) + ", " +
                                                 std::to_string(spikes.shape.k) + "]: " + why);
  };
  constexpr std::uint64_t limit = std::numeric_limits<std::uint32_t>::max();
  if (spikes.shape.rows > limit || spikes.shape.m() > limit) {
    fail("timesteps x rows must be below 2^32");
  }
  if (spikes.shape.k == limit) fail("K must be below 2^32 - 1");
  bool held = false;
  switch (spikes.storage) {
    case DType::bit:
      held = spikes.kind == ValueKind::binary;
      break;
    case DType::u2:
    case DType::u8:
      held = spikes.kind != ValueKind::graded;
      break;
    case DType::f16:
    case DType::bf16:
    case DType::f32:
      held = true;
      break;
    default:
      break;
  }
  if (!held) {
    fail("storage " + std::string(to_string(spikes.storage)) + " cannot hold " +
         std::string(to_string(spikes.kind)) + " spikes");
  }
  if (spikes.data == nullptr && spikes.bytes() != 0) fail("data is null");
}

void check_space(const SpikeView& spikes, Space space) {
  check(spikes);
  if (spikes.space != space) {
    throw Error(ErrorCode::invalid_argument,
                space == Space::host
                    ? "spikes are in device memory, but the context is the host's"
                    : "spikes are in host memory, but the context is a CUDA device's");
  }
}

void SpikeTensor::check_dimensions(const SpikeShape& shape) {
  constexpr std::uint64_t limit = std::numeric_limits<std::uint32_t>::max();
  if (shape.rows > limit || shape.m() > limit || shape.k == limit) {
    throw Error(ErrorCode::invalid_argument,
                "a spike tensor's timesteps x rows, and its K, must be below 2^32");
  }
}

}  // namespace spiketune
