#include "spiketune/kernels/ell.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Ell&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
