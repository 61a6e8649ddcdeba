#include "spiketune/kernels/two_four.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const TwoFour&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
