#include "spiketune/autotune/builtin_formats.hpp"

namespace spiketune {

void add_cuda_formats(Registry& registry) {
  add_builtin_formats<CudaContext>(registry);
}

}  // namespace spiketune
