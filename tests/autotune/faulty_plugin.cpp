// A plugin that does to its process what candidates should not: CSR under other names that crashes,
// hangs, aborts or takes all memory, when it encodes or when it multiplies. Built as a library and
// given to `spiketune sweep --plugin` by faults_test.py.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "spiketune/autotune/adapt.hpp"
#include "spiketune/autotune/plugin.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/csr.hpp"

namespace {

using namespace spiketune;
using nlohmann::json;

void misbehave(const std::string& how) {
  if (how == "segfault") {
    std::raise(SIGSEGV);
  } else if (how == "abort") {
    std::abort();
  } else if (how == "exit") {
    std::_Exit(7);
  } else if (how == "hang") {
    for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
  } else if (how == "memory") {
    std::vector<std::unique_ptr<char[]>> all;
    constexpr std::size_t piece = std::size_t{1} << 28;
    for (;;) all.push_back(std::make_unique<char[]>(piece));  // zeroed, so really there
  }
}

class Faulty final : public AnyEncoding {
 public:
  Faulty(std::unique_ptr<AnyEncoding> csr, std::string how, bool in_encode, int calls)
      : csr_(std::move(csr)), how_(std::move(how)), in_encode_(in_encode), calls_(calls) {}
  std::function<void()> bind_encode(const SpikeView& spikes) override {
    return [this, encode = csr_->bind_encode(spikes)] {
      if (in_encode_ && calls_-- == 0) misbehave(how_);
      encode();
    };
  }
  std::function<void()> bind_spmm(std::string_view kernel, const json& config,
                                  const WeightView& weights, const OutputView& output) override {
    return [this, product = csr_->bind_spmm(kernel, config, weights, output)] {
      if (!in_encode_ && calls_-- == 0) misbehave(how_);
      product();
    };
  }
  void post_status(EncodeStatus* to) override { csr_->post_status(to); }
  EncodeStatus status() override { return csr_->status(); }
  void decode(const MutableSpikeView& spikes) override { csr_->decode(spikes); }
  void validate() override { csr_->validate(); }
  std::uint64_t capacity() const override { return csr_->capacity(); }
  std::uint64_t bytes(std::uint64_t stored) const override { return csr_->bytes(stored); }

 private:
  std::unique_ptr<AnyEncoding> csr_;
  std::string how_;
  bool in_encode_;
  int calls_;  ///< that still go well
};

class FaultyFormat final : public FormatPlugin {
 public:
  FaultyFormat(std::string how, bool in_encode, int calls)
      : how_(std::move(how)), in_encode_(in_encode), calls_(calls) {}
  std::string name() const override {
    return how_ + (in_encode_ ? "_encode" : "_spmm") + (calls_ > 0 ? "_later" : "");
  }
  std::string backend() const override { return "host"; }
  std::vector<KernelInfo> kernels() const override { return csr_->kernels(); }
  std::vector<json> params(const EncodedLayout& layout, DType weights) const override {
    return csr_->params(layout, weights);
  }
  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json& params, double density,
                                    std::optional<std::uint64_t> capacity) const override {
    return std::make_unique<Faulty>(csr_->plan(context, layout, params, density, capacity), how_,
                                    in_encode_, calls_);
  }
  std::string why_invalid(std::string_view kernel, const json& config, const EncodedLayout& layout,
                          const WeightView& weights, const OutputView& output) const override {
    return csr_->why_invalid(kernel, config, layout, weights, output);
  }

 private:
  std::unique_ptr<FormatPlugin> csr_ = adapt<Csr, HostContext>();
  std::string how_;
  bool in_encode_;
  int calls_;
};

}  // namespace

extern "C" int spiketune_plugin_abi() {
  return plugin_abi;
}

extern "C" void spiketune_register(Registry& registry) {
  for (const char* how : {"segfault", "abort", "exit", "hang", "memory"}) {
    for (const bool in_encode : {true, false}) {
      registry.add(std::make_unique<FaultyFormat>(how, in_encode, 0));
    }
  }
  // While it is timed among others, not when it is tried.
  registry.add(std::make_unique<FaultyFormat>("segfault", false, 6));
  registry.add(std::make_unique<FaultyFormat>("hang", true, 6));
}
