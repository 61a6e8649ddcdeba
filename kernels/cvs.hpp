#pragma once
/// \file
/// Products of Cvs.

#include "spiketune/formats/cvs.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"
#include "spiketune/kernels/union_mma.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Cvs> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Cvs> {
  using list = KernelList<UnionMma, RowGather>;
};

}  // namespace spiketune
