#pragma once
/// \file
/// The interface that all products share: Y = S·W, accumulated in f32.
///
/// A kernel is an overload of spmm() for a context, a format and a config type:
///
///   std::size_t spmm_workspace_bytes(const ContextT&, const F&, const WeightView&,
///                                    const OutputView&, const Config&);
///   void spmm(const ContextT&, const F&, const WeightView&, const OutputView&, const Config&,
///             Workspace);
///
/// A kernel that wants W in a layout of its own also has
///
///   void prepare(const ContextT&, const WeightView&, const Config&, Workspace);
///
/// which writes it into the workspace, once for each content of W, before spmm() with the same
/// workspace. Plans that are bound to weights (autotune) do so when they are bound.
///
/// Every element of Y is written. Nothing is allocated, nothing waits for the device. `format` must
/// hold a complete encoding (no overflow); on the device its counts stay on the device.
/// A Config is a plain aggregate with a `name`, `fields()`, the list `all()` that it offers, and
/// why_invalid(), which says why it cannot run a problem, or nothing.

#include <cstdint>
#include <string>

#include "spiketune/core/context.hpp"
#include "spiketune/core/dtype.hpp"
#include "spiketune/core/half.hpp"
#include "spiketune/core/portable.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune {

/// W: row-major [K, N], leading dimension N; f32, f16 or bf16, or quantised: s8, s4 or e4m3, of
/// which column n stands for scales[n] times as much. Element row·N + column of s4 is in byte
/// (row·N + column) / 2, whatever N is.
struct WeightView {
  const void* data = nullptr;
  DType type = DType::f32;
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  Space space = Space::host;
  const float* scales = nullptr;  ///< [N] where quantised, in the memory of W; null: all 1

  [[nodiscard]] std::uint64_t bytes() const {
    return (std::uint64_t{k} * n * bits_of(type) + 7) / 8;
  }
};

/// Element `i` = row·N + column of s8 or s4.
SPIKETUNE_HD inline int load_integer(const void* data, DType type, std::uint64_t i) {
  if (type == DType::s8) return static_cast<const std::int8_t*>(data)[i];
  const unsigned both = static_cast<const std::uint8_t*>(data)[i / 2];
  const unsigned nibble = both >> (i % 2 * 4) & 15u;
  return static_cast<int>(nibble ^ 8u) - 8;
}

/// Element `i` = row·N + column of quantised weights, without its scale.
SPIKETUNE_HD inline float load_quantised(const void* data, DType type, std::uint64_t i) {
  if (type == DType::e4m3) return to_float(static_cast<const E4m3*>(data)[i]);
  return static_cast<float>(load_integer(data, type, i));
}

/// Y: row-major [M, N], leading dimension N, rows in the order of the format; f32 or W's type, or
/// any of f32, f16 and bf16 where W is quantised.
struct OutputView {
  void* data = nullptr;
  DType type = DType::f32;
  std::uint64_t m = 0;
  std::uint32_t n = 0;
  Space space = Space::host;

  [[nodiscard]] std::uint64_t bytes() const { return m * n * bits_of(type) / 8; }
};

/// Why W and Y cannot be of these types; empty where they can.
[[nodiscard]] std::string why_not_types(DType weights, DType output);

/// Throws Error(invalid_argument) unless shapes, types and memory spaces fit together.
void check_spmm(const FormatBase& format, const WeightView& weights, const OutputView& output,
                Space space);

/// The kernels of a format on a context, default first; specialised in `kernels/<format>.hpp`.
template <class... Configs>
struct KernelList {};
template <class ContextT, class Format>
struct SpmmKernels;

}  // namespace spiketune
