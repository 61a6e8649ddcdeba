#include "spiketune/kernels/bsr.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Bsr&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
