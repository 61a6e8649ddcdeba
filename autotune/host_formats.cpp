#include "spiketune/autotune/builtin_formats.hpp"

namespace spiketune {

void add_host_formats(Registry& registry) {
  add_builtin_formats<HostContext>(registry);
}

}  // namespace spiketune
