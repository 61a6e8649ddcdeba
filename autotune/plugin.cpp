#include "spiketune/autotune/plugin.hpp"

#include <dlfcn.h>

#include <filesystem>

#include "spiketune/core/error.hpp"

namespace spiketune {

void load_plugin(const std::string& path, Registry& registry) {
  // dlopen searches the library path for bare names; a file in the current folder is meant here.
  const std::string file = std::filesystem::absolute(path).string();
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(ErrorCode::io, "cannot load plugin " + path + ": " + dlerror());
  }
  const auto abi = reinterpret_cast<int (*)()>(dlsym(library, "spiketune_plugin_abi"));
  const auto add = reinterpret_cast<void (*)(Registry&)>(dlsym(library, "spiketune_register"));
  if (abi == nullptr || add == nullptr) {
    throw Error(ErrorCode::unsupported,
                path +
                    " is not a spiketune plugin: it has no spiketune_plugin_abi and "
                    "spiketune_register");
  }
  if (abi() != plugin_abi) {
    throw Error(ErrorCode::unsupported, path + " was built for plugin interface " +
                                            std::to_string(abi()) + ", this is " +
                                            std::to_string(plugin_abi) + "; rebuild it");
  }
  add(registry);
}

}  // namespace spiketune
