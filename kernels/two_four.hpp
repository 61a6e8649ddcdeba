#pragma once
/// \file
/// Products of TwoFour.

#include "spiketune/formats/two_four.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"
#include "spiketune/kernels/sparse_mma.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, TwoFour> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, TwoFour> {
  using list = KernelList<SparseMma, RowGather>;
};

}  // namespace spiketune
