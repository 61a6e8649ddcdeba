#pragma once
/// \file
/// The list of built-in formats. A new one costs its include and its line here.

#include "spiketune/autotune/adapt.hpp"
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/encoders/coo.hpp"
#include "spiketune/encoders/csc.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/encoders/dense.hpp"
#include "spiketune/encoders/ell.hpp"
#include "spiketune/encoders/hyb.hpp"
#include "spiketune/encoders/sell.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/kernels/coo.hpp"
#include "spiketune/kernels/csc.hpp"
#include "spiketune/kernels/csr.hpp"
#include "spiketune/kernels/dense.hpp"
#include "spiketune/kernels/ell.hpp"
#include "spiketune/kernels/hyb.hpp"
#include "spiketune/kernels/sell.hpp"

namespace spiketune {

template <class ContextT>
void add_builtin_formats(Registry& registry) {
  registry.add(adapt<Dense, ContextT>());
  registry.add(adapt<Coo, ContextT>());
  registry.add(adapt<Csr, ContextT>());
  registry.add(adapt<Csc, ContextT>());
  registry.add(adapt<Ell, ContextT>());
  registry.add(adapt<Sell, ContextT>());
  registry.add(adapt<Hyb, ContextT>());
  registry.add(adapt<Bitmap, ContextT>());
}

}  // namespace spiketune
