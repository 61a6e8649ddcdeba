#include "spiketune/kernels/bytes.hpp"

#include "spiketune/kernels/host/rows.hpp"

namespace spiketune {

template std::size_t spmm_workspace_bytes(const HostContext&, const Bytes&, const WeightView&,
                                          const OutputView&, const Rows&);
template void spmm(const HostContext&, const Bytes&, const WeightView&, const OutputView&,
                   const Rows&, Workspace);

}  // namespace spiketune
