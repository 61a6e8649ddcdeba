#pragma once
/// \file
/// A context as the sweep sees it: the few operations that host and CUDA share by overload,
/// type-erased, so that the sweep is written and tested once.

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "spiketune/autotune/environment.hpp"
#include "spiketune/autotune/measure.hpp"
#include "spiketune/autotune/verify.hpp"
#include "spiketune/core/buffer.hpp"
#include "spiketune/core/context.hpp"
#include "spiketune/core/spike_tensor.hpp"
#include "spiketune/datasets/generate.hpp"
#include "spiketune/kernels/reference.hpp"
#include "spiketune/kernels/spmm.hpp"

namespace spiketune {

class Backend {
 public:
  virtual ~Backend() = default;

  [[nodiscard]] virtual std::string name() const = 0;  ///< "host" or "cuda"
  [[nodiscard]] virtual Context context() const = 0;
  [[nodiscard]] virtual Space space() const = 0;
  [[nodiscard]] virtual Meter& meter() = 0;
  /// `environment` of a report, but for what has to be measured.
  [[nodiscard]] virtual nlohmann::json environment() const = 0;

  [[nodiscard]] virtual Buffer allocate(std::size_t bytes) const = 0;
  /// Between the backend's memory and the host's, either way; waits until it is done.
  virtual void copy(void* to, const void* from, std::size_t bytes) const = 0;
  virtual void fill(void* data, unsigned char value, std::size_t bytes) const = 0;
  virtual void synchronize() const = 0;
  [[nodiscard]] virtual SpikeTensor make_spikes(SpikeShape shape, DType storage, ValueKind kind,
                                                RowOrder order) const = 0;
  virtual void generate(const PatternSpec& pattern, const MutableSpikeView& spikes) const = 0;
  virtual void reference(const SpikeView& spikes, RowOrder order, const WeightView& weights,
                         double* y) const = 0;
  [[nodiscard]] virtual Comparison compare(const OutputView& output,
                                           const double* reference) const = 0;
  [[nodiscard]] virtual std::uint64_t first_difference(const SpikeView& a,
                                                       const SpikeView& b) const = 0;

  /// Bytes that candidates measured together may occupy.
  [[nodiscard]] virtual std::uint64_t memory_budget() const = 0;
  /// Operations per second that dense products of this type can reach; 0 where it is not known.
  [[nodiscard]] virtual double peak_operations(DType weights) const = 0;
  /// Why nothing will work any more (an earlier error that CUDA cannot recover from), or "".
  [[nodiscard]] virtual std::string why_broken() const = 0;
};

[[nodiscard]] std::unique_ptr<Backend> make_host_backend(int threads);
/// Defined in builds with CUDA. Throws Error(unsupported) where there is no such device.
[[nodiscard]] std::unique_ptr<Backend> make_cuda_backend(int device);

namespace detail {

/// What is the same for every context.
template <class ContextT>
class ContextBackend : public Backend {
 public:
  explicit ContextBackend(const ContextT& context) : context_(context) {}

  std::string name() const override { return std::string(ContextT::name); }
  Context context() const override { return context_; }
  Space space() const override { return ContextT::space; }
  Meter& meter() override {
    if (!meter_) meter_ = make_meter(context_);
    return *meter_;
  }
  nlohmann::json environment() const override { return describe_environment(context_); }

  Buffer allocate(std::size_t bytes) const override { return spiketune::allocate(context_, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) const override {
    spiketune::copy(context_, to, from, bytes);
    spiketune::synchronize(context_);
  }
  void fill(void* data, unsigned char value, std::size_t bytes) const override {
    spiketune::fill(context_, data, value, bytes);
  }
  void synchronize() const override { spiketune::synchronize(context_); }
  SpikeTensor make_spikes(SpikeShape shape, DType storage, ValueKind kind,
                          RowOrder order) const override {
    return {context_, shape, storage, kind, order};
  }
  void generate(const PatternSpec& pattern, const MutableSpikeView& spikes) const override {
    spiketune::generate(context_, pattern, spikes);
  }
  void reference(const SpikeView& spikes, RowOrder order, const WeightView& weights,
                 double* y) const override {
    reference_spmm(context_, spikes, order, weights, y);
  }
  Comparison compare(const OutputView& output, const double* reference) const override {
    return spiketune::compare(context_, output, reference);
  }
  std::uint64_t first_difference(const SpikeView& a, const SpikeView& b) const override {
    return spiketune::first_difference(context_, a, b);
  }

 protected:
  ContextT context_;
  std::unique_ptr<Meter> meter_;
};

}  // namespace detail
}  // namespace spiketune
