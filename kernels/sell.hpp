#pragma once
/// \file
/// Products of Sell.

#include "spiketune/formats/sell.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Sell> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Sell> {
  using list = KernelList<RowGather>;
};

}  // namespace spiketune
