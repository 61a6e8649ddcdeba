#include "spiketune/autotune/cuda/nvml.hpp"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <array>
#include <utility>

namespace spiketune::cuda {
namespace {

// From nvml.h, whose interface is stable; including it would make the library a build dependency.
constexpr int success = 0;
constexpr int clock_sm = 1;
constexpr int clock_memory = 2;

constexpr std::array<std::pair<unsigned long long, const char*>, 6> reasons{
    {{0x004, "power cap"},
     {0x008, "hardware slowdown"},
     {0x010, "synchronised with another GPU"},
     {0x020, "heat (software limit)"},
     {0x040, "heat (hardware limit)"},
     {0x080, "power brake"}}};

}  // namespace

template <class Function>
Function Nvml::find(const char* name) const {
  return library_ == nullptr ? nullptr : reinterpret_cast<Function>(dlsym(library_, name));
}

Nvml::Nvml(int device) {
  library_ = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) {
    why_unavailable_ = "libnvidia-ml.so.1 was not found: clocks and throttling are not recorded";
    return;
  }
  const auto init = find<int (*)()>("nvmlInit_v2");
  const auto by_address = find<int (*)(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2");
  std::array<char, 32> address{};
  if (init == nullptr || by_address == nullptr || init() != success ||
      cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), device) !=
          cudaSuccess ||
      by_address(address.data(), &device_) != success) {
    static_cast<void>(cudaGetLastError());
    device_ = nullptr;
    why_unavailable_ = "NVML does not know the device: clocks and throttling are not recorded";
  }
}

Nvml::~Nvml() {
  if (library_ == nullptr) return;
  if (const auto shutdown = find<int (*)()>("nvmlShutdown")) shutdown();
  dlclose(library_);
}

std::string Nvml::driver_version() const {
  const auto query = find<int (*)(char*, unsigned)>("nvmlSystemGetDriverVersion");
  std::array<char, 96> text{};
  if (device_ == nullptr || query == nullptr || query(text.data(), text.size()) != success) {
    return "";
  }
  return text.data();
}

std::optional<unsigned> Nvml::clock(const char* function, int type) const {
  const auto query = find<int (*)(void*, int, unsigned*)>(function);
  unsigned mhz = 0;
  if (device_ == nullptr || query == nullptr || query(device_, type, &mhz) != success) {
    return std::nullopt;
  }
  return mhz;
}

std::optional<unsigned> Nvml::sm_clock() const {
  return clock("nvmlDeviceGetClockInfo", clock_sm);
}
std::optional<unsigned> Nvml::memory_clock() const {
  return clock("nvmlDeviceGetClockInfo", clock_memory);
}
std::optional<unsigned> Nvml::max_sm_clock() const {
  return clock("nvmlDeviceGetMaxClockInfo", clock_sm);
}

std::vector<std::string> Nvml::throttle_reasons() const {
  const auto query =
      find<int (*)(void*, unsigned long long*)>("nvmlDeviceGetCurrentClocksThrottleReasons");
  unsigned long long mask = 0;
  std::vector<std::string> result;
  if (device_ == nullptr || query == nullptr || query(device_, &mask) != success) return result;
  for (const auto& [bit, name] : reasons) {
    if ((mask & bit) != 0) result.emplace_back(name);
  }
  return result;
}

}  // namespace spiketune::cuda
