#include <cstdlib>

#include "spiketune/tests/conformance.hpp"

namespace spiketune::test {
namespace {

class Host final : public Device {
 public:
  Context context() const override { return HostContext{2}; }
  Space space() const override { return Space::host; }
  Buffer make(std::size_t bytes) override { return allocate(HostContext{}, bytes); }
  void write(void* to, const void* from, std::size_t bytes) override {
    copy(HostContext{}, to, from, bytes);
  }
  void download(void* to, const void* from, std::size_t bytes) override {
    copy(HostContext{}, to, from, bytes);
  }
};

class HostConformance : public ConformanceTests {
 protected:
  void SetUp() override {
    device = std::make_unique<Host>();
    if (const std::string reason = plugin().why_unavailable(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

std::vector<Case> host_cases() {
  auto registry = std::make_shared<Registry>();
  add_host_formats(*registry);
  add_host_baselines(*registry);
  // A plugin's author gets these tests too: SPIKETUNE_TEST_PLUGIN=./libmine.so spiketune_tests
  if (const char* path = std::getenv("SPIKETUNE_TEST_PLUGIN")) load_plugin(path, *registry);
  return cases(registry);
}

SPIKETUNE_CONFORMANCE(HostConformance)

INSTANTIATE_TEST_SUITE_P(Formats, HostConformance, ::testing::ValuesIn(host_cases()),
                         [](const auto& test) { return test.param.label; });

}  // namespace
}  // namespace spiketune::test
