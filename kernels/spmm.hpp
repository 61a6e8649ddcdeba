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
/// Every element of Y is written. Nothing is allocated, nothing waits for the device. `format` must
/// hold a complete encoding (no overflow); on the device its counts stay on the device.
/// A Config is a plain aggregate with a `name`, `fields()`, the list `all()` that it offers, and
/// why_invalid(), which says why it cannot run a problem, or nothing.

#include <cstdint>
#include <string>

#include "spiketune/core/context.hpp"
#include "spiketune/core/dtype.hpp"
#include "spiketune/formats/format.hpp"

namespace spiketune {

/// W: row-major [K, N], leading dimension N; f32, f16 or bf16.
struct WeightView {
  const void* data = nullptr;
  DType type = DType::f32;
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  Space space = Space::host;

  [[nodiscard]] std::uint64_t bytes() const { return std::uint64_t{k} * n * bits_of(type) / 8; }
};

/// Y: row-major [M, N], leading dimension N, rows in the order of the format; f32 or W's type.
struct OutputView {
  void* data = nullptr;
  DType type = DType::f32;
  std::uint64_t m = 0;
  std::uint32_t n = 0;
  Space space = Space::host;

  [[nodiscard]] std::uint64_t bytes() const { return m * n * bits_of(type) / 8; }
};

/// Throws Error(invalid_argument) unless shapes, types and memory spaces fit together.
void check_spmm(const FormatBase& format, const WeightView& weights, const OutputView& output,
                Space space);

/// The kernels of a format on a context, default first; specialised in kernels/<format>.hpp.
template <class... Configs>
struct KernelList {};
template <class ContextT, class Format>
struct SpmmKernels;

}  // namespace spiketune
