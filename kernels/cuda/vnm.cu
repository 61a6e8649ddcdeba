#include "spiketune/kernels/vnm.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Vnm&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
