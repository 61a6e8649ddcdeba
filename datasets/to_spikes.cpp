#include "spiketune/datasets/to_spikes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "spiketune/core/error.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/datasets/npy_elements.hpp"

namespace spiketune {
namespace {

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::invalid_argument) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

/// An array as [T, B, C, H, W] with strides, counted in elements (bits where packed). Layouts,
/// transposition and Fortran order are nothing but other strides.
struct Axes {
  std::uint64_t t = 1, b = 1, c = 1, h = 1, w = 1;
  std::uint64_t t_stride = 0, b_stride = 0, c_stride = 0, h_stride = 0, w_stride = 0;
};

struct Axis {
  std::uint64_t length;
  std::uint64_t stride;
};

/// Axes in the file's own order. `shape` is that of the elements, before packing.
std::vector<Axis> file_axes(const NpyArray& array, const std::vector<std::uint64_t>& shape,
                            bool packed) {
  std::vector<Axis> axes(shape.size());
  std::uint64_t stride = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::size_t axis = array.fortran_order ? i : shape.size() - 1 - i;
    axes[axis] = {shape[axis], stride};
    // Packed rows are padded to whole bytes. (to_c_order has made them C-ordered.)
    stride *= packed && axis == shape.size() - 1 ? 8 * array.shape[axis] : shape[axis];
  }
  return axes;
}

Axes name_axes(std::vector<Axis> axes, const ArrayOptions& options, const std::string& name) {
  if (options.transpose) std::reverse(axes.begin(), axes.end());
  Axes result;
  const auto assign = [&](const Axis& axis, std::uint64_t& length, std::uint64_t& stride) {
    length = axis.length;
    stride = axis.stride;
  };
  switch (axes.size()) {
    case 2: {
      assign(axes[1], result.c, result.c_stride);
      assign(axes[0], result.t, result.t_stride);
      if (options.timesteps == 0) break;
      const std::uint64_t m = axes[0].length;
      if (m % options.timesteps != 0) {
        fail(name,
             fmt::format("{} rows are not a multiple of {} time steps", m, options.timesteps));
      }
      result.t = options.timesteps;
      result.b = m / options.timesteps;
      const bool time_major = options.matrix_order == RowOrder::time_major;
      result.t_stride = axes[0].stride * (time_major ? result.b : 1);
      result.b_stride = axes[0].stride * (time_major ? 1 : result.t);
      break;
    }
    case 3:
      assign(axes[0], result.t, result.t_stride);
      assign(axes[1], result.b, result.b_stride);
      assign(axes[2], result.c, result.c_stride);
      break;
    case 5:
      assign(axes[1], result.b, result.b_stride);
      [[fallthrough]];
    case 4:
      assign(axes[0], result.t, result.t_stride);
      assign(axes[axes.size() - 3], result.c, result.c_stride);
      assign(axes[axes.size() - 2], result.h, result.h_stride);
      assign(axes[axes.size() - 1], result.w, result.w_stride);
      break;
    default:
      fail(name, fmt::format("an array of {} dimensions is none of [M, K], [T, rows, K], "
                             "[T, C, H, W], [T, B, C, H, W]",
                             axes.size()));
  }
  if (options.max_batch != 0) result.b = std::min(result.b, options.max_batch);
  return result;
}

/// The shape of the tensor, checked so that nothing that follows can overflow.
struct Target {
  SpikeShape shape;
  std::uint64_t out_h = 1;
  std::uint64_t out_w = 1;
};

Target target_of(const Axes& axes, const ArrayOptions& options, const std::string& name) {
  const Window& window = options.window;
  constexpr std::uint64_t limit = std::numeric_limits<std::uint32_t>::max();
  if (window.kernel_h == 0 || window.kernel_w == 0 || window.stride == 0) {
    fail(name, "kernel and stride of a window must be at least 1");
  }
  for (const std::uint64_t length : {axes.t, axes.b, axes.c, axes.h, axes.w}) {
    if (length >= limit) fail(name, fmt::format("a dimension of {}, not below 2^32 - 1", length));
  }
  const std::uint64_t padded_h = axes.h + 2 * std::uint64_t{window.padding};
  const std::uint64_t padded_w = axes.w + 2 * std::uint64_t{window.padding};
  if (padded_h < window.kernel_h || padded_w < window.kernel_w) {
    fail(name, fmt::format("a kernel of {} x {} does not fit {} x {} positions and a padding of {}",
                           window.kernel_h, window.kernel_w, axes.h, axes.w, window.padding));
  }
  Target target;
  target.out_h = (padded_h - window.kernel_h) / window.stride + 1;
  target.out_w = (padded_w - window.kernel_w) / window.stride + 1;
  const auto multiply = [&](std::initializer_list<std::uint64_t> factors, const char* what) {
    std::uint64_t result = 1;
    for (const std::uint64_t factor : factors) {
      if (factor != 0 && result > (limit - 1) / factor) {
        fail(name, fmt::format("{} ({}) is not below 2^32 - 1", what, fmt::join(factors, " x ")));
      }
      result *= factor;
    }
    return result;
  };
  static_cast<void>(
      multiply({axes.t, axes.b, target.out_h, target.out_w}, "timesteps x rows of the tensor"));
  target.shape.timesteps = static_cast<std::uint32_t>(axes.t);
  target.shape.rows = axes.b * target.out_h * target.out_w;
  target.shape.k = static_cast<std::uint32_t>(
      multiply({axes.c, window.kernel_h, window.kernel_w}, "K of the tensor"));
  if (target.shape.elements() > std::uint64_t{1} << 56) fail(name, "more than 2^56 elements");
  return target;
}

/// One bit of a packed array, as an element type.
struct Bit {};

template <class T>
double load_any(const std::byte* data, std::uint64_t i) {
  if constexpr (std::is_same_v<T, Bit>) {
    return std::to_integer<unsigned>(data[i / 8]) >> (i % 8) & 1u;
  } else {
    return load_element<T>(data, i);
  }
}

/// Writes the tensor; returns the first bad element, (t · rows + row) · K + k, or nothing.
template <class T>
std::optional<std::uint64_t> gather(const NpyArray& array, const Axes& axes, const Window& window,
                                    const Target& target, const MutableSpikeView& out) {
  constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
  std::atomic<std::uint64_t> first_bad{none};
  const SpikeShape& shape = target.shape;
  const RowMap map{shape.timesteps, shape.rows, out.row_order, RowOrder::time_major};
  const auto gather_row = [&](std::uint64_t m) {
    const std::uint64_t row = m % shape.rows;
    const std::uint64_t x = row % target.out_w;
    const std::uint64_t y = row / target.out_w % target.out_h;
    const std::uint64_t image = row / target.out_w / target.out_h;
    const std::uint64_t base = m / shape.rows * axes.t_stride + image * axes.b_stride;
    const std::uint64_t out_row = map.source(m);
    std::uint32_t k = 0;
    for (std::uint64_t c = 0; c < axes.c; ++c) {
      for (std::uint64_t i = 0; i < window.kernel_h; ++i) {
        // Above the image the subtraction wraps round, to beyond its end.
        const std::uint64_t h = y * window.stride + i - window.padding;
        for (std::uint64_t j = 0; j < window.kernel_w; ++j, ++k) {
          const std::uint64_t w = x * window.stride + j - window.padding;
          if (h >= axes.h || w >= axes.w) continue;
          const double value = load_any<T>(
              array.data.data(), base + c * axes.c_stride + h * axes.h_stride + w * axes.w_stride);
          if (value == 0) continue;
          if (is_spike_value(value, out.kind, out.storage)) {
            store_spike(out.data, out.storage, shape.k, out_row, k, static_cast<float>(value));
            continue;
          }
          std::uint64_t least = first_bad;
          const std::uint64_t here = m * shape.k + k;
          while (here < least && !first_bad.compare_exchange_weak(least, here)) {
          }
        }
      }
    }
  };
  parallel_for(HostContext{}, shape.m(), 64, gather_row);
  return first_bad == none ? std::nullopt : std::optional(first_bad.load());
}

/// C-ordered and least significant bit first.
NpyArray normalise_bits(const NpyArray& array, BitPacking packing) {
  NpyArray result = to_c_order(array);
  if (packing == BitPacking::little) return result;
  for (std::byte& byte : result.data) {
    auto x = std::to_integer<unsigned>(byte);
    x = (x & 0xf0) >> 4 | (x & 0x0f) << 4;
    x = (x & 0xcc) >> 2 | (x & 0x33) << 2;
    byte = static_cast<std::byte>((x & 0xaa) >> 1 | (x & 0x55) << 1);
  }
  return result;
}

/// The shape before packing.
std::vector<std::uint64_t> unpacked_shape(const NpyArray& array, const ArrayOptions& options,
                                          const std::string& name) {
  if (array.type != NpyType{'u', 1} || array.shape.empty()) {
    fail(name, fmt::format("packed bits must be an array of u1, not {}", to_string(array.type)));
  }
  std::vector<std::uint64_t> shape = array.shape;
  const std::uint64_t bytes = shape.back();
  if (bytes > std::numeric_limits<std::uint32_t>::max()) fail(name, "the last axis is too long");
  shape.back() = options.packed_length == 0 ? 8 * bytes : options.packed_length;
  if (ceil_div(std::min(shape.back(), 8 * bytes + 8), 8) != bytes) {
    fail(name, fmt::format("{} spikes do not pack into the {} bytes of the last axis", shape.back(),
                           bytes));
  }
  return shape;
}

}  // namespace

bool is_spike_value(double value, ValueKind kind, DType storage) {
  if (value == 0) return true;
  switch (kind) {
    case ValueKind::binary:
      return value == 1;
    case ValueKind::graded2:
      return value == 1 || value == 2 || value == 3;
    case ValueKind::graded:
      break;
  }
  if (!std::isfinite(value) || std::abs(value) > std::numeric_limits<float>::max()) return false;
  const auto single = static_cast<float>(value);
  const float stored = storage == DType::f16    ? to_float(to_half(single))
                       : storage == DType::bf16 ? to_float(to_bfloat16(single))
                                                : single;
  return static_cast<double>(stored) == value;
}

std::uint64_t packed_length(const std::vector<std::uint64_t>& before,
                            const std::vector<std::uint64_t>& after, const std::string& name) {
  if (before.empty() || before.size() != after.size() || before.back() == 0 ||
      !std::equal(before.begin(), before.end() - 1, after.begin())) {
    fail(name,
         fmt::format("shape ({}) does not pack into ({})", fmt::join(before, ", "),
                     fmt::join(after, ", ")),
         ErrorCode::parse);
  }
  return before.back();
}

SpikeTensor to_spikes(const NpyArray& array, const ArrayOptions& options, const std::string& name) {
  check_npy(array, name);
  const bool packed = options.packing != BitPacking::none;
  const std::vector<std::uint64_t> shape =
      packed ? unpacked_shape(array, options, name) : array.shape;
  const NpyArray bits = packed ? normalise_bits(array, options.packing) : NpyArray{};
  const NpyArray& elements = packed ? bits : array;
  const Axes axes = name_axes(file_axes(elements, shape, packed), options, name);
  const Target target = target_of(axes, options, name);
  // A view of no elements, for the check that storage and kind fit.
  check(SpikeView{nullptr, {1, 0, 0}, options.storage, options.kind, options.row_order});
  SpikeTensor tensor(HostContext{}, target.shape, options.storage, options.kind, options.row_order);
  const MutableSpikeView out = tensor.mutable_view();
  fill(HostContext{}, out.data, 0, out.bytes());
  if (target.shape.elements() == 0) return tensor;
  const auto gather_as = [&]<class T>(T) {
    return gather<T>(elements, axes, options.window, target, out);
  };
  const auto bad = packed ? gather_as(Bit{}) : visit_element_type(array.type, name, gather_as);
  if (!bad) return tensor;
  const std::uint64_t row = *bad / target.shape.k;
  fail(name,
       fmt::format(
           "the element at (t, row, k) = ({}, {}, {}) is NaN, no {} spike, or not exact in {}",
           row / target.shape.rows, row % target.shape.rows, *bad % target.shape.k,
           to_string(options.kind), to_string(options.storage)),
       ErrorCode::invalid_value);
}

}  // namespace spiketune
