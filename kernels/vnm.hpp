#pragma once
/// \file
/// Products of Vnm.

#include "spiketune/formats/vnm.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Vnm> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Vnm> {
  using list = KernelList<RowGather>;
};

}  // namespace spiketune
