#include "spiketune/kernels/cvs.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Cvs&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
