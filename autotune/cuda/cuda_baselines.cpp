#include "spiketune/autotune/cuda/cuda_baselines.hpp"

namespace spiketune {

void add_cuda_baselines(Registry& registry) {
  add_cublaslt_baselines(registry);
  add_cublaslt_eight_bits_baselines(registry);
  add_cusparse_baselines(registry);
  add_cusparse_block_baselines(registry);
  add_cusparselt_baselines(registry);
}

}  // namespace spiketune
