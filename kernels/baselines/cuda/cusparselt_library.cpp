#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "spiketune/kernels/baselines/cuda/cusparselt.hpp"

namespace spiketune::baselines {
namespace {

constexpr const char* file_name = "libcusparseLt.so.0";

/// Where pip and its relatives put the library.
std::vector<std::string> package_files() {
  std::vector<std::string> roots;
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    const char* folder = std::getenv(variable);
    if (folder != nullptr) roots.push_back(std::string(folder) + "/lib/python3*/site-packages");
  }
  if (const char* home = std::getenv("HOME")) {
    roots.push_back(std::string(home) + "/.local/lib/python3*/site-packages");
  }
  for (const char* root :
       {"/usr/local/lib/python3*/dist-packages", "/usr/local/lib/python3*/site-packages",
        "/usr/lib/python3*/dist-packages", "/usr/lib/python3*/site-packages"}) {
    roots.emplace_back(root);
  }
  std::vector<std::string> files;
  for (const std::string& root : roots) {
    for (const char* folder :
         {"/nvidia/cusparselt/lib/", "/nvidia/cu13/lib/", "/cusparselt/lib/"}) {
      glob_t found{};
      if (glob((root + folder + file_name).c_str(), 0, nullptr, &found) == 0) {
        files.insert(files.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
      }
      globfree(&found);
    }
  }
  return files;
}

/// Opens the library wherever it is; null, and why, where it is nowhere.
void* open_library(std::string& why) {
  if (const char* path = std::getenv("SPIKETUNE_CUSPARSELT")) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) why = std::string("SPIKETUNE_CUSPARSELT: ") + dlerror();
    return library;
  }
  if (void* library = dlopen(file_name, RTLD_NOW | RTLD_LOCAL)) return library;
  for (const std::string& file : package_files()) {
    if (void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  }
  why = std::string(file_name) +
        " was not found; install cuSPARSELt (libcusparselt0, or the Python package "
        "nvidia-cusparselt), or name the file in SPIKETUNE_CUSPARSELT";
  return nullptr;
}

/// Finds functions, and remembers the first that is missing.
struct Symbols {
  void* library;
  std::string missing;

  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (function == nullptr && missing.empty()) missing = name;
  }
};

std::string why_too_old(const Cusparselt& api) {
  int major = 0;
  int minor = 0;
  const bool known = api.get_property(MAJOR_VERSION, &major) == CUSPARSE_STATUS_SUCCESS &&
                     api.get_property(MINOR_VERSION, &minor) == CUSPARSE_STATUS_SUCCESS;
  if (known && (major > 0 || minor >= 6)) return "";
  return "cuSPARSELt " + std::to_string(major) + "." + std::to_string(minor) +
         " is too old; 0.6 or later is needed";
}

Cusparselt load() {
  Cusparselt api;
  void* library = open_library(api.why_unavailable);
  if (library == nullptr) return api;
  Symbols symbols{library, ""};
  symbols.find(api.init, "cusparseLtInit");
  symbols.find(api.destroy, "cusparseLtDestroy");
  symbols.find(api.get_property, "cusparseLtGetProperty");
  symbols.find(api.dense_descriptor_init, "cusparseLtDenseDescriptorInit");
  symbols.find(api.structured_descriptor_init, "cusparseLtStructuredDescriptorInit");
  symbols.find(api.mat_descriptor_destroy, "cusparseLtMatDescriptorDestroy");
  symbols.find(api.matmul_descriptor_init, "cusparseLtMatmulDescriptorInit");
  symbols.find(api.matmul_alg_selection_init, "cusparseLtMatmulAlgSelectionInit");
  symbols.find(api.matmul_plan_init, "cusparseLtMatmulPlanInit");
  symbols.find(api.matmul_plan_destroy, "cusparseLtMatmulPlanDestroy");
  symbols.find(api.matmul_get_workspace, "cusparseLtMatmulGetWorkspace");
  symbols.find(api.matmul_search, "cusparseLtMatmulSearch");
  symbols.find(api.matmul, "cusparseLtMatmul");
  symbols.find(api.prune, "cusparseLtSpMMAPrune2");
  symbols.find(api.compressed_size, "cusparseLtSpMMACompressedSize2");
  symbols.find(api.compress, "cusparseLtSpMMACompress2");
  if (!symbols.missing.empty()) {
    api.why_unavailable = "the cuSPARSELt that was found has no " + symbols.missing;
    return api;
  }
  symbols.find(api.matmul_alg_selection_destroy, "cusparseLtMatmulAlgSelectionDestroy");
  api.why_unavailable = why_too_old(api);
  return api;
}

}  // namespace

const Cusparselt& cusparselt() {
  static const Cusparselt api = load();
  return api;
}

}  // namespace spiketune::baselines
