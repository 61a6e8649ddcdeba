#pragma once
/// \file
/// The list of built-in formats. A new one costs its includes and its name here.

#include "spiketune/autotune/adapt.hpp"
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/encoders/bsr.hpp"
#include "spiketune/encoders/bytes.hpp"
#include "spiketune/encoders/coo.hpp"
#include "spiketune/encoders/csc.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/encoders/cvs.hpp"
#include "spiketune/encoders/dense.hpp"
#include "spiketune/encoders/ell.hpp"
#include "spiketune/encoders/hyb.hpp"
#include "spiketune/encoders/sell.hpp"
#include "spiketune/encoders/two_four.hpp"
#include "spiketune/encoders/vnm.hpp"
#include "spiketune/kernels/bitmap.hpp"
#include "spiketune/kernels/bsr.hpp"
#include "spiketune/kernels/bytes.hpp"
#include "spiketune/kernels/coo.hpp"
#include "spiketune/kernels/csc.hpp"
#include "spiketune/kernels/csr.hpp"
#include "spiketune/kernels/cvs.hpp"
#include "spiketune/kernels/dense.hpp"
#include "spiketune/kernels/ell.hpp"
#include "spiketune/kernels/hyb.hpp"
#include "spiketune/kernels/sell.hpp"
#include "spiketune/kernels/two_four.hpp"
#include "spiketune/kernels/vnm.hpp"

namespace spiketune {

template <class... Formats>
struct FormatList {};
using BuiltinFormats =
    FormatList<Dense, Coo, Csr, Csc, Ell, Sell, Hyb, Bsr, Cvs, TwoFour, Vnm, Bitmap, Bytes>;

namespace detail {
template <class ContextT, class... Formats>
void add_each(Registry& registry, FormatList<Formats...>) {
  (registry.add(adapt<Formats, ContextT>()), ...);
}
}  // namespace detail

template <class ContextT>
void add_builtin_formats(Registry& registry) {
  detail::add_each<ContextT>(registry, BuiltinFormats{});
  registry.add(adapt_lossy<TwoFour, ContextT>("two_four_prune", {{.prune = true}}));
  registry.add(adapt_lossy<Vnm, ContextT>("vnm_prune", {{.v = 16, .m = 8, .prune = true},
                                                        {.v = 64, .m = 8, .prune = true},
                                                        {.v = 16, .m = 16, .prune = true}}));
}

}  // namespace spiketune
