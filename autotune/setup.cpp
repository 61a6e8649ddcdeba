#include "spiketune/autotune/setup.hpp"

#include <fmt/format.h>

#include <exception>

#include "spiketune/autotune/candidates.hpp"
#include "spiketune/autotune/embedded_assets.hpp"
#include "spiketune/autotune/environment.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/datasets/readers/readers.hpp"

#if SPIKETUNE_HAVE_CUDA
#include "spiketune/core/cuda/stream.hpp"
#endif

namespace spiketune {
namespace {

using nlohmann::json;

json describe_plugin(const FormatPlugin& plugin) {
  json kernels = json::array();
  for (const KernelInfo& kernel : plugin.kernels()) {
    kernels.push_back({{"name", kernel.name}, {"configs", kernel.configs}});
  }
  const std::string why = plugin.why_unavailable();
  json params = json::array();
  if (why.empty()) {
    // Parameters may depend on the problem; these are those of an ordinary one.
    Problem problem;
    problem.rows = 1024;
    problem.k = 1024;
    problem.n = 1024;
    problem.density = 0.05;
    try {
      params = plugin.params(layout_of(problem), problem.weights);
    } catch (const std::exception&) {
      // Only for show.
    }
  }
  return {{"name", plugin.name()},
          {"backend", plugin.backend()},
          {"baseline", plugin.baseline()},
          {"lossy", plugin.lossy()},
          {"unavailable", why.empty() ? json(nullptr) : json(why)},
          {"params", params},
          {"kernels", kernels}};
}

}  // namespace

Registry make_registry(const std::vector<std::string>& plugin_files) {
  Registry registry;
  add_host_formats(registry);
  add_host_baselines(registry);
#if SPIKETUNE_HAVE_CUDA
  add_cuda_formats(registry);
  add_cuda_baselines(registry);
#endif
  for (const std::string& file : plugin_files) load_plugin(file, registry);
  return registry;
}

std::string why_no_cuda([[maybe_unused]] int device) {
#if SPIKETUNE_HAVE_CUDA
  return cuda_unavailable_reason(device);
#else
  return "this build has no CUDA backend; install a CUDA toolkit 12.4 or later and build again "
         "with "
         "-DSPIKETUNE_CUDA=ON";
#endif
}

std::string choose_backend(std::string_view which, int device) {
  const bool automatic = which == "auto";
  if (!automatic && which != "host" && which != "cuda") {
    throw Error(ErrorCode::invalid_argument,
                "unknown backend '" + std::string(which) + "'; known are host, cuda, auto");
  }
  if (which != "host") {
    const std::string why = why_no_cuda(device);
    if (why.empty()) return "cuda";
    if (!automatic) throw Error(ErrorCode::unsupported, why);
  }
  return "host";
}

std::unique_ptr<Backend> open_backend(std::string_view which, [[maybe_unused]] int device,
                                      int threads) {
#if SPIKETUNE_HAVE_CUDA
  if (choose_backend(which, device) == "cuda") return make_cuda_backend(device);
#else
  static_cast<void>(choose_backend(which, device));
#endif
  return make_host_backend(threads);
}

json describe_installation(const Registry& registry) {
  json missing = json::array();
  const std::string no_cuda = why_no_cuda();
  if (!no_cuda.empty()) missing.push_back({{"what", "CUDA"}, {"why", no_cuda}});
  if (embedded::vega_script().empty()) {
    missing.push_back({{"what", "HTML reports"},
                       {"why", "Vega was not found; install libjs-vega and build again"}});
  }
  json read = json::array();
  for (const Reader& reader : readers()) {
    read.push_back(
        {{"name", reader.name},
         {"endings", reader.endings},
         {"unavailable", reader.missing.empty() ? json(nullptr) : json(reader.missing)}});
    if (!reader.missing.empty()) {
      missing.push_back(
          {{"what", fmt::format("reading {}", reader.name)}, {"why", reader.missing}});
    }
  }
  json formats = json::array();
  for (const auto& plugin : registry.plugins()) {
    formats.push_back(describe_plugin(*plugin));
    const json& why = formats.back()["unavailable"];
    // Without CUDA, none of its formats can run: said once.
    if (why.is_null() || (plugin->backend() == "cuda" && !no_cuda.empty())) continue;
    std::string what = plugin->name() + " on " + plugin->backend();
    for (const KernelInfo& kernel : plugin->kernels()) what += ", " + kernel.name;
    missing.push_back({{"what", what}, {"why", why}});
  }
  return {{"version", build_version()},
          {"git", build_revision().empty() ? json(nullptr) : json(build_revision())},
          {"environment", open_backend("auto", 0, 0)->environment()},
          {"readers", read},
          {"formats", formats},
          {"missing", missing}};
}

}  // namespace spiketune
