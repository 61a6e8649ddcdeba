#pragma once
/// \file
/// Products of Bitmap.

#include "spiketune/formats/bitmap.hpp"
#include "spiketune/kernels/bit_planes.hpp"
#include "spiketune/kernels/expand.hpp"
#include "spiketune/kernels/expand_imma.hpp"
#include "spiketune/kernels/row_gather.hpp"
#include "spiketune/kernels/rows.hpp"

namespace spiketune {

template <>
struct SpmmKernels<HostContext, Bitmap> {
  using list = KernelList<Rows>;
};
template <>
struct SpmmKernels<CudaContext, Bitmap> {
  using list = KernelList<Expand, RowGather, BitPlanes, ExpandImma>;
};

}  // namespace spiketune
