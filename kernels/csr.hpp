#pragma once
/// \file
/// Products of Csr.

#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"
#include "spiketune/kernels/slab_gather.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Csr> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Csr> {
  using list = KernelList<RowGather, SlabGather>;
};

}  // namespace spiketune
