#pragma once
/// \file
/// Products of Coo.

#include "spiketune/formats/coo.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Coo> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Coo> {
  using list = KernelList<RowGather>;
};

}  // namespace spiketune
