#pragma once
/// \file
/// Products of Bsr.

#include "spiketune/formats/bsr.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"
#include "spiketune/kernels/union_mma.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Bsr> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Bsr> {
  using list = KernelList<UnionMma, RowGather>;
};

}  // namespace spiketune
