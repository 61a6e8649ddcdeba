#pragma once
/// \file
/// Products of Ell.

#include "spiketune/formats/ell.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Ell> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Ell> {
  using list = KernelList<RowGather>;
};

}  // namespace spiketune
