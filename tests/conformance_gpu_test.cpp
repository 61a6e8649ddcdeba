#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/tests/conformance.hpp"

namespace spiketune::test {
namespace {

class Cuda final : public Device {
 public:
  Context context() const override { return stream_.context(); }
  Space space() const override { return Space::device; }
  Buffer make(std::size_t bytes) override { return allocate(stream_.context(), bytes); }
  void write(void* to, const void* from, std::size_t bytes) override { download(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) override {
    copy(stream_.context(), to, from, bytes);
    synchronize(stream_.context());
  }

 private:
  CudaStream stream_;
};

class CudaConformance : public ConformanceTests {
 protected:
  void SetUp() override {
    if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
    if (const std::string reason = plugin().why_unavailable(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
    device = std::make_unique<Cuda>();
  }
};

std::vector<Case> cuda_cases() {
  auto registry = std::make_shared<Registry>();
  add_cuda_formats(*registry);
#if !defined(SPIKETUNE_EMULATED)  // libraries for GPUs have no emulation
  add_cuda_baselines(*registry);
#endif
  return cases(registry);
}

SPIKETUNE_CONFORMANCE(CudaConformance)

INSTANTIATE_TEST_SUITE_P(Formats, CudaConformance, ::testing::ValuesIn(cuda_cases()),
                         [](const auto& test) { return test.param.label; });

}  // namespace
}  // namespace spiketune::test
