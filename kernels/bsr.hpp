#pragma once
/// \file
/// Products of Bsr.

#include "spiketune/formats/bsr.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Bsr> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Bsr> {
  using list = KernelList<RowGather>;
};

}  // namespace spiketune
