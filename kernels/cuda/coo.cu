#include "spiketune/kernels/coo.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Coo&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
