#include "spiketune/autotune/backend.hpp"

#include "spiketune/autotune/environment.hpp"

namespace spiketune {
namespace {

class HostBackend final : public detail::ContextBackend<HostContext> {
 public:
  using ContextBackend::ContextBackend;

  std::uint64_t memory_budget() const override {
    const std::uint64_t available = available_host_memory();
    return available == 0 ? std::uint64_t{2} << 30 : available / 2;
  }
  double peak_operations(DType) const override { return 0; }
  std::string why_broken() const override { return ""; }
};

}  // namespace

std::unique_ptr<Backend> make_host_backend(int threads) {
  return std::make_unique<HostBackend>(HostContext{threads});
}

}  // namespace spiketune
