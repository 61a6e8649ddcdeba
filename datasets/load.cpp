#include "spiketune/datasets/load.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <variant>

#include "spiketune/core/error.hpp"
#include "spiketune/datasets/npz.hpp"
#include "spiketune/datasets/readers/readers.hpp"

namespace spiketune {
namespace {

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::parse) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

}  // namespace

SpikeTensor to_spikes(Recording recording, const LoadOptions& options, std::string* how) {
  ArrayOptions resolved = options;
  const std::string& name = recording.name;
  if (how != nullptr) how->clear();
  if (auto* array = std::get_if<NpyArray>(&recording.content)) {
    if (recording.packed_length != 0) {
      resolved.packed_length = recording.packed_length;
      if (resolved.packing == BitPacking::none) resolved.packing = BitPacking::little;
    }
    return to_spikes(*array, resolved, name);
  }
  auto& stream = std::get<EventStream>(recording.content);
  if (options.max_batch != 0 && options.max_batch < stream.samples) {
    stream.samples = static_cast<std::uint32_t>(options.max_batch);
    std::erase_if(stream.events,
                  [&](const Event& event) { return event.sample >= stream.samples; });
  }
  BinnedEvents binned = bin_events(std::move(stream), options.events, options.kind, name);
  if (how != nullptr) *how = std::move(binned.how);
  if (options.window == Window{}) {  // checked there: the product fits
    std::vector<std::uint64_t>& shape = binned.counts.shape;
    shape = {shape[0], shape[1], shape[2] * shape[3] * shape[4]};
  }
  return to_spikes(binned.counts, resolved, name);
}

SpikeTensor load_spikes(const std::string& path, const LoadOptions& options, std::string* how) {
  FileMember from = split_member(path);
  if (!from.member.empty() && !options.member.empty()) {
    fail(
        path,
        fmt::format("the member '{}' is named a second time, as '{}'", from.member, options.member),
        ErrorCode::invalid_argument);
  }
  if (from.member.empty()) from.member = options.member;
  return to_spikes(read_recording(from), options, how);
}

namespace {

/// Calls visit(element, value) for every element of the tensor in time-major order.
template <class Visit>
void for_each_spike(const SpikeView& spikes, Visit&& visit) {
  const SpikeShape& shape = spikes.shape;
  const RowMap map{shape.timesteps, shape.rows, spikes.row_order, RowOrder::time_major};
  for (std::uint64_t row = 0; row < shape.m(); ++row) {
    for (std::uint32_t k = 0; k < shape.k; ++k) {
      const float value = load_spike(spikes.data, spikes.storage, shape.k, map.source(row), k);
      if (value == 0) continue;
      const bool valid = spikes.kind == ValueKind::binary ? value == 1
                         : spikes.kind == ValueKind::graded2
                             ? value == 1 || value == 2 || value == 3
                             : std::isfinite(value);
      if (!valid) {
        throw Error(ErrorCode::invalid_value,
                    fmt::format("the element at (t, row, k) = ({}, {}, {}) is no {} spike",
                                row / shape.rows, row % shape.rows, k, to_string(spikes.kind)));
      }
      visit(row, k, value);
    }
  }
}

NpyArray dense_array(const SpikeView& spikes) {
  const SpikeShape& shape = spikes.shape;
  const bool graded = spikes.kind == ValueKind::graded;
  const bool half = graded && spikes.storage == DType::f16;
  NpyArray array;
  array.type = spikes.kind == ValueKind::binary    ? NpyType{'b', 1}
               : spikes.kind == ValueKind::graded2 ? NpyType{'u', 1}
                                                   : NpyType{'f', half ? 2u : 4u};
  array.shape = {shape.timesteps, shape.rows, shape.k};
  array.data.resize(shape.elements() * array.type.size);
  void* const data = array.data.data();
  const DType storage = !graded ? DType::u8 : half ? DType::f16 : DType::f32;
  for_each_spike(spikes, [&](std::uint64_t row, std::uint32_t k, float value) {
    store_spike(data, storage, shape.k, row, k, value);
  });
  return array;
}

NpyArray packed_array(const SpikeView& spikes) {
  const SpikeShape& shape = spikes.shape;
  const std::uint64_t row_length = ceil_div(shape.k, 8);
  NpyArray array{{'u', 1}, {shape.timesteps, shape.rows, row_length}, false, {}};
  array.data.resize(shape.m() * row_length);
  for_each_spike(spikes, [&](std::uint64_t row, std::uint32_t k, float) {
    array.data[row * row_length + k / 8] |= std::byte{1} << (k % 8);
  });
  return array;
}

}  // namespace

void save_spikes(const std::string& path, const SpikeView& spikes) {
  check_space(spikes, Space::host);
  if (!path.ends_with(".npz")) {
    write_npy(path, dense_array(spikes));
    return;
  }
  const SpikeShape& shape = spikes.shape;
  const bool packed = spikes.kind == ValueKind::binary && shape.k > 0;
  const std::array<std::int64_t, 3> lengths{
      std::int64_t{shape.timesteps}, static_cast<std::int64_t>(shape.rows), std::int64_t{shape.k}};
  const std::array<NpzMember, 2> members{
      NpzMember{"spikes", packed ? packed_array(spikes) : dense_array(spikes)},
      NpzMember{"shape", make_npy<std::int64_t>({3}, lengths)}};
  write_npz(path, members);
}

namespace {

/// [N, K] of f16 to [K, N].
std::vector<std::uint16_t> transposed(const NpyArray& weight, std::uint64_t n) {
  const NpyArray ordered = to_c_order(weight);
  const std::uint64_t k = n == 0 ? 0 : ordered.size() / n;
  std::vector<std::uint16_t> result(n * k);
  const auto* from = ordered.as<std::uint16_t>();
  for (std::uint64_t row = 0; row < n; ++row) {
    for (std::uint64_t column = 0; column < k; ++column) {
      result[column * n + row] = from[row * k + column];
    }
  }
  return result;
}

std::vector<float> read_bias(const NpzFile& file, std::uint32_t n) {
  const NpyArray array = file.read("bias");
  const bool half = array.type == NpyType{'f', 2};
  if ((!half && array.type != NpyType{'f', 4}) || array.size() != n) {
    fail(file.path(), fmt::format("bias must be {} elements of f2 or f4", n));
  }
  std::vector<float> result(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    result[i] = half ? to_float(array.as<Half>()[i]) : array.as<float>()[i];
  }
  return result;
}

std::uint32_t read_number(const NpzFile& file, const std::string& member, std::uint32_t otherwise) {
  if (!file.contains(member)) return otherwise;
  const std::vector<std::uint64_t> values = read_sizes(file, member);
  if (values.size() != 1 || values[0] > std::numeric_limits<std::uint32_t>::max()) {
    fail(file.path(), fmt::format("{} must be one 32-bit number", member));
  }
  return static_cast<std::uint32_t>(values[0]);
}

/// Fills window and convolution of `layer`; returns whether the weights fit the recorded shape.
bool match(LayerTrace& layer, const std::vector<std::uint64_t>& weight, const NpzFile& file) {
  const std::vector<std::uint64_t>& shape = layer.recorded_shape;
  layer.convolution = weight.size() == 4;
  if (layer.convolution) {
    if (shape.size() != 5 || weight[1] != shape[2]) return false;
    constexpr std::uint64_t limit = std::numeric_limits<std::uint32_t>::max();
    if (weight[2] > limit || weight[3] > limit) return false;
    layer.window = {static_cast<std::uint32_t>(weight[2]), static_cast<std::uint32_t>(weight[3]),
                    read_number(file, "stride", 1), read_number(file, "padding", 0)};
    return true;
  }
  if (weight.size() != 2) return false;
  if (shape.size() == 3) return weight[1] == shape[2];
  // Flattening [C, H, W] is a window of the whole image.
  layer.window = {static_cast<std::uint32_t>(shape[3]), static_cast<std::uint32_t>(shape[4]), 1, 0};
  return std::uint64_t{layer.window.kernel_h} * layer.window.kernel_w != 0 &&
         weight[1] / layer.window.kernel_h / layer.window.kernel_w == shape[2] &&
         weight[1] == shape[2] * shape[3] * shape[4];
}

}  // namespace

LayerTrace load_layer(const std::string& path, std::uint32_t max_images, RowOrder row_order) {
  const NpzFile file(path);
  LayerTrace layer;
  const NpyArray spikes = file.read("spikes");
  layer.recorded_shape = read_sizes(file, "shape");
  const std::size_t rank = layer.recorded_shape.size();
  if (rank != 3 && rank != 5) fail(path, "shape is none of [T, images, C, H, W], [T, images, K]");
  const NpyArray weight = file.read("weight");
  if (weight.type != NpyType{'f', 2} || weight.shape.empty() || weight.data.empty() ||
      weight.shape[0] >= std::numeric_limits<std::uint32_t>::max()) {
    fail(path, fmt::format("weight must be an array of f2, not ({}) of {}",
                           fmt::join(weight.shape, ", "), to_string(weight.type)));
  }
  layer.n = static_cast<std::uint32_t>(weight.shape[0]);
  ArrayOptions options;
  options.packing = BitPacking::little;
  options.packed_length =
      packed_length(layer.recorded_shape, spikes.shape, path + ", member 'spikes'");
  options.max_batch = max_images;
  options.row_order = row_order;
  if (!match(layer, weight.shape, file)) {
    fail(path, fmt::format("weight of shape ({}) does not fit spikes of shape ({})",
                           fmt::join(weight.shape, ", "), fmt::join(layer.recorded_shape, ", ")));
  }
  options.window = layer.window;
  layer.spikes = to_spikes(spikes, options, path + ", member 'spikes'");
  layer.images = static_cast<std::uint32_t>(
      max_images == 0 ? layer.recorded_shape[1]
                      : std::min<std::uint64_t>(layer.recorded_shape[1], max_images));
  layer.weights_f16 = transposed(weight, layer.n);
  if (file.contains("bias")) layer.bias = read_bias(file, layer.n);
  return layer;
}

}  // namespace spiketune
