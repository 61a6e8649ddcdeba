#pragma once
/// \file
/// Products of Dense.

#include "spiketune/formats/dense.hpp"
#include "spiketune/kernels/rows.hpp"
#include "spiketune/kernels/tiled.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Dense> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Dense> {
  using list = KernelList<Tiled>;
};

}  // namespace spiketune
