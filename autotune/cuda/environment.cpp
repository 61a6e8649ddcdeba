#include "spiketune/autotune/environment.hpp"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cusparse.h>
#include <fmt/core.h>

#include "spiketune/autotune/cuda/nvml.hpp"
#include "spiketune/core/cuda/check.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// "13.0" of 13000.
std::string dotted(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string cusparse_version() {
  int major = 0;
  int minor = 0;
  int patch = 0;
  cusparseGetProperty(MAJOR_VERSION, &major);
  cusparseGetProperty(MINOR_VERSION, &minor);
  cusparseGetProperty(PATCH_LEVEL, &patch);
  return fmt::format("{}.{}.{}", major, minor, patch);
}

json clocks_of(const cuda::Nvml& nvml) {
  json clocks = json::object();
  if (!nvml.why_unavailable().empty()) {
    clocks["note"] = nvml.why_unavailable();
    return clocks;
  }
  if (const auto mhz = nvml.sm_clock()) clocks["sm_mhz"] = *mhz;
  if (const auto mhz = nvml.max_sm_clock()) clocks["sm_max_mhz"] = *mhz;
  if (const auto mhz = nvml.memory_clock()) clocks["memory_mhz"] = *mhz;
  return clocks;
}

}  // namespace

json describe_environment(const CudaContext& context) {
  json result = describe_environment(HostContext{});
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, context.device));
  int driver_cuda = 0;
  int runtime_cuda = 0;
  cuda::check(cudaDriverGetVersion(&driver_cuda));
  cuda::check(cudaRuntimeGetVersion(&runtime_cuda));
  const cuda::Nvml nvml(context.device);
  const std::string driver = nvml.driver_version();
  result["gpu"] = properties.name;
  result["compute_capability"] = fmt::format("{}.{}", properties.major, properties.minor);
  result["sms"] = properties.multiProcessorCount;
  result["l2_bytes"] = properties.l2CacheSize;
  result["memory_bytes"] = properties.totalGlobalMem;
  result["driver"] = driver.empty() ? "CUDA " + dotted(driver_cuda) : driver;
  result["cuda"] = dotted(runtime_cuda);
  result["clocks"] = clocks_of(nvml);
  result["versions"]["cuda_runtime"] = dotted(runtime_cuda);
  result["versions"]["cuda_driver"] = dotted(driver_cuda);
  result["versions"]["cublaslt"] = std::to_string(cublasLtGetVersion());
  result["versions"]["cusparse"] = cusparse_version();
  return result;
}

}  // namespace spiketune
