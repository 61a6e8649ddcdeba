#include "spiketune/kernels/csr.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Csr&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
