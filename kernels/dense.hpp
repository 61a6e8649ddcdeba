#pragma once
/// \file
/// Products of Dense.

#include "spiketune/formats/dense.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Dense> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Dense> {
  using list = KernelList<RowGather>;
};

}  // namespace spiketune
