#include "spiketune/kernels/bitmap.hpp"

#include "spiketune/kernels/cuda/row_gather.cuh"

namespace spiketune {

template void spmm(const CudaContext&, const Bitmap&, const WeightView&, const OutputView&,
                   const RowGather&, Workspace);

}  // namespace spiketune
