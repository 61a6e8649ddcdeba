#pragma once
/// \file
/// The few questions we have for NVIDIA's management library, which is opened at run time: it comes
/// with the driver, and a machine without it still measures.

#include <optional>
#include <string>
#include <vector>

namespace spiketune::cuda {

class Nvml {
 public:
  /// Opens the library and finds `device` (a CUDA index) by its PCI address. Does not throw.
  explicit Nvml(int device);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  /// Why nothing can be asked; empty where it can.
  [[nodiscard]] const std::string& why_unavailable() const { return why_unavailable_; }
  [[nodiscard]] std::string driver_version() const;
  /// MHz now, and at most.
  [[nodiscard]] std::optional<unsigned> sm_clock() const;
  [[nodiscard]] std::optional<unsigned> memory_clock() const;
  [[nodiscard]] std::optional<unsigned> max_sm_clock() const;
  /// What holds the clocks down now: "power cap", "heat", ... Idling does not count.
  [[nodiscard]] std::vector<std::string> throttle_reasons() const;

 private:
  [[nodiscard]] std::optional<unsigned> clock(const char* function, int type) const;
  template <class Function>
  [[nodiscard]] Function find(const char* name) const;

  void* library_ = nullptr;
  void* device_ = nullptr;  // nvmlDevice_t
  std::string why_unavailable_;
};

}  // namespace spiketune::cuda
