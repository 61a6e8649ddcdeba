#pragma once
/// \file
/// Products of Bytes.

#include "spiketune/formats/bytes.hpp"
#include "spiketune/kernels/byte_mma.hpp"
#include "spiketune/kernels/expand.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Bytes> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Bytes> {
  using list = KernelList<ExpandBytes, RowGather, ByteMma>;
};

}  // namespace spiketune
