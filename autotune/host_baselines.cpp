#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "spiketune/autotune/fields.hpp"
#include "spiketune/autotune/format_encoding.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/encoders/dense.hpp"
#include "spiketune/kernels/baselines/host/eigen_spmm.hpp"
#include "spiketune/kernels/baselines/host/float_operands.hpp"
#include "spiketune/kernels/baselines/host/openblas.hpp"

namespace spiketune {
namespace {

using baselines::FloatOperands;
using nlohmann::json;

/// A library of the CPU: one kernel without configs, any type of W and Y.
class HostBaseline : public FormatPlugin {
 public:
  HostBaseline(std::string format, std::string kernel, std::string why_unavailable)
      : format_(std::move(format)),
        kernel_(std::move(kernel)),
        why_unavailable_(std::move(why_unavailable)) {}

  std::string name() const override { return format_; }
  std::string backend() const override { return std::string(HostContext::name); }
  bool baseline() const override { return true; }
  std::string why_unavailable() const override { return why_unavailable_; }
  std::vector<KernelInfo> kernels() const override { return {{kernel_, {json::object()}}}; }
  std::string why_invalid(std::string_view kernel, const json&, const EncodedLayout&,
                          const WeightView&, const OutputView&) const override {
    return kernel == kernel_ ? "" : "no such kernel";
  }

 private:
  std::string format_;
  std::string kernel_;
  std::string why_unavailable_;
};

constexpr std::string_view openblas_kernel = "openblas.sgemm";

class OpenblasEncoding final : public FormatEncoding<Dense, HostContext> {
 public:
  using FormatEncoding::FormatEncoding;

  std::function<void()> bind_spmm(std::string_view kernel, const json&, const WeightView& weights,
                                  const OutputView& output) override {
    require_kernel(kernel, openblas_kernel);
    check_spmm(*encoded_, weights, output, Space::host);
    auto operands = std::make_shared<FloatOperands>(context_, weights, output);
    return [this, operands = std::move(operands)] {
      const Dense& dense = *encoded_;
      baselines::sgemm(context_, dense.layout.m(), operands->columns(), dense.layout.k(),
                       dense.values.as<const float>(), operands->weights(), operands->output());
      operands->store();
    };
  }
};

class OpenblasPlugin final : public HostBaseline {
 public:
  OpenblasPlugin()
      : HostBaseline(std::string(Dense::name), std::string(openblas_kernel),
                     baselines::openblas_unavailable_reason()) {}

  std::vector<json> params(const EncodedLayout&, DType) const override {
    return {fields_to_json(Dense::Params{DType::f32})};
  }
  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json&, double,
                                    std::optional<std::uint64_t>) const override {
    return std::make_unique<OpenblasEncoding>(std::get<HostContext>(context),
                                              Dense::plan(layout, {DType::f32}));
  }
};

constexpr std::string_view eigen_kernel = "eigen.rowmajor";

/// This project's CSR, widened to what Eigen's matrix must have: a 32-bit index and a value of 1
/// for each spike. Both count as encode. Row offsets, and indices that are 32-bit already, are used
/// in place.
class EigenEncoding final : public FormatEncoding<Csr, HostContext> {
 public:
  EigenEncoding(const HostContext& context, const Csr& planned)
      : FormatEncoding(context, planned),
        values_(allocate(context, planned.capacity * sizeof(float))) {
    if (planned.column_indices.type != DType::u32) {
      indices_ = allocate(context, planned.capacity * sizeof(std::int32_t));
    }
  }

  std::function<void()> bind_encode(const SpikeView& spikes) override {
    return [this, encode_csr = FormatEncoding::bind_encode(spikes)] {
      encode_csr();
      if (encoded_->status->needed <= encoded_->capacity) widen();
    };
  }

  std::function<void()> bind_spmm(std::string_view kernel, const json&, const WeightView& weights,
                                  const OutputView& output) override {
    require_kernel(kernel, eigen_kernel);
    check_spmm(*encoded_, weights, output, Space::host);
    auto operands = std::make_shared<FloatOperands>(context_, weights, output);
    return [this, operands = std::move(operands)] {
      baselines::eigen_spmm(context_, matrix(), operands->weights(), operands->columns(),
                            operands->output());
      operands->store();
    };
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const override {
    return encoded_->row_offsets.bytes() + stored * (sizeof(std::int32_t) + sizeof(float));
  }

 private:
  void widen() {
    const Csr& csr = *encoded_;
    auto* values = static_cast<float*>(values_.data());
    auto* indices = static_cast<std::int32_t*>(indices_.data());
    constexpr std::uint64_t entries_per_task = 1 << 14;
    parallel_for(context_, csr.row_offsets[csr.layout.m()], entries_per_task,
                 [&csr, values, indices](std::uint64_t i) {
                   values[i] = load_value(csr.values, i);
                   if (indices != nullptr) {
                     indices[i] = static_cast<std::int32_t>(load_index(csr.column_indices, i));
                   }
                 });
  }

  [[nodiscard]] baselines::EigenCsr matrix() const {
    const Csr& csr = *encoded_;
    const void* indices = indices_.data() == nullptr ? csr.column_indices.data : indices_.data();
    // plan() keeps every offset and index below 2^31, where both types have the same bits.
    return {csr.layout.m(), csr.layout.k(),
            reinterpret_cast<const std::int32_t*>(csr.row_offsets.data),
            static_cast<const std::int32_t*>(indices), static_cast<const float*>(values_.data())};
  }

  Buffer values_;
  Buffer indices_;
};

class EigenPlugin final : public HostBaseline {
 public:
  EigenPlugin() : HostBaseline(std::string(Csr::name), std::string(eigen_kernel), "") {}

  std::vector<json> params(const EncodedLayout&, DType) const override { return {json::object()}; }

  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json&, double density,
                                    std::optional<std::uint64_t> capacity) const override {
    const std::uint64_t room = capacity ? *capacity : Csr::bound(layout, {}, density);
    constexpr std::uint64_t largest = std::numeric_limits<std::int32_t>::max();
    require(room <= largest && layout.k() <= largest, ErrorCode::unsupported,
            "Eigen's 32-bit indices hold fewer than 2^31 spikes");
    return std::make_unique<EigenEncoding>(std::get<HostContext>(context),
                                           Csr::plan(layout, {}, room));
  }
};

}  // namespace

void add_host_baselines(Registry& registry) {
  registry.add(std::make_unique<OpenblasPlugin>());
  registry.add(std::make_unique<EigenPlugin>());
}

}  // namespace spiketune
