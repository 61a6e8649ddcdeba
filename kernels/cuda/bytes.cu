#include "spiketune/kernels/bytes.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Bytes&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
