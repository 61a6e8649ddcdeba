// A plugin that does to its GPU what candidates should not: CSR under other names that reads where
// nothing is, traps, hangs, asks for more memory than there is, or aborts, when it encodes or when
// it multiplies. Built as a library and given to `spiketune sweep --plugin` by faults_gpu_test.py.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "spiketune/autotune/adapt.hpp"
#include "spiketune/autotune/plugin.hpp"
#include "spiketune/core/buffer.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/formats/csr.hpp"
#include "spiketune/kernels/csr.hpp"

namespace {

using namespace spiketune;
using nlohmann::json;

__global__ void write_to(std::uint64_t address) {
  *reinterpret_cast<volatile int*>(address) = 1;
}

__global__ void trap() {
  __trap();
}

__global__ void spin() {
  for (;;) asm volatile("nanosleep.u32 1000;");
}

void misbehave(const std::string& how, const CudaContext& context) {
  if (how == "illegal") {
    write_to<<<1, 1, 0, context.stream>>>(64);
    cuda::check_launch();
  } else if (how == "trap") {
    trap<<<1, 1, 0, context.stream>>>();
    cuda::check_launch();
  } else if (how == "spin") {
    spin<<<1, 1, 0, context.stream>>>();
    cuda::check_launch();
  } else if (how == "memory") {
    static_cast<void>(allocate(context, std::size_t{1} << 50));
  } else if (how == "abort") {
    std::abort();
  }
}

class Faulty final : public AnyEncoding {
 public:
  Faulty(std::unique_ptr<AnyEncoding> csr, const CudaContext& context, std::string how,
         bool in_encode)
      : csr_(std::move(csr)), context_(context), how_(std::move(how)), in_encode_(in_encode) {}
  std::function<void()> bind_encode(const SpikeView& spikes) override {
    return [this, encode = csr_->bind_encode(spikes)] {
      if (in_encode_) misbehave(how_, context_);
      encode();
    };
  }
  std::function<void()> bind_spmm(std::string_view kernel, const json& config,
                                  const WeightView& weights, const OutputView& output) override {
    return [this, product = csr_->bind_spmm(kernel, config, weights, output)] {
      if (!in_encode_) misbehave(how_, context_);
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
  CudaContext context_;
  std::string how_;
  bool in_encode_;
};

class FaultyFormat final : public FormatPlugin {
 public:
  FaultyFormat(std::string how, bool in_encode) : how_(std::move(how)), in_encode_(in_encode) {}
  std::string name() const override { return how_ + (in_encode_ ? "_encode" : "_spmm"); }
  std::string backend() const override { return "cuda"; }
  std::vector<KernelInfo> kernels() const override { return csr_->kernels(); }
  std::vector<json> params(const EncodedLayout& layout, DType weights) const override {
    return csr_->params(layout, weights);
  }
  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json& params, double density,
                                    std::optional<std::uint64_t> capacity) const override {
    return std::make_unique<Faulty>(csr_->plan(context, layout, params, density, capacity),
                                    std::get<CudaContext>(context), how_, in_encode_);
  }
  std::string why_invalid(std::string_view kernel, const json& config, const EncodedLayout& layout,
                          const WeightView& weights, const OutputView& output) const override {
    return csr_->why_invalid(kernel, config, layout, weights, output);
  }

 private:
  std::unique_ptr<FormatPlugin> csr_ = adapt<Csr, CudaContext>();
  std::string how_;
  bool in_encode_;
};

}  // namespace

extern "C" int spiketune_plugin_abi() {
  return plugin_abi;
}

extern "C" void spiketune_register(Registry& registry) {
  for (const char* how : {"illegal", "trap", "spin", "memory", "abort"}) {
    for (const bool in_encode : {true, false}) {
      registry.add(std::make_unique<FaultyFormat>(how, in_encode));
    }
  }
}
