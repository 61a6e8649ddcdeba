#include "spiketune/kernels/sell.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Sell&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
