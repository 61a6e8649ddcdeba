#include "spiketune/kernels/dense.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Dense&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
