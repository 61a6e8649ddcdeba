#pragma once
/// \file
/// The list of built-in formats. A new one costs its include and its line here.

#include "spiketune/autotune/adapt.hpp"
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/encoders/dense.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/kernels/csr.hpp"
#include "spiketune/kernels/dense.hpp"

namespace spiketune {

template <class ContextT>
void add_builtin_formats(Registry& registry) {
  registry.add(adapt<Dense, ContextT>());
  registry.add(adapt<Csr, ContextT>());
  registry.add(adapt<Bitmap, ContextT>());
}

}  // namespace spiketune
