#pragma once
/// \file
/// Products of Hyb.

#include "spiketune/formats/hyb.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Hyb> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Hyb> {
  using list = KernelList<RowGather>;
};

}  // namespace spiketune
