#include "spiketune/kernels/hyb.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Hyb&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
