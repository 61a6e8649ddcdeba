#include <memory>
#include <utility>
#include <variant>

#include "spiketune/autotune/cuda/cuda_baselines.hpp"
#include "spiketune/autotune/format_encoding.hpp"
#include "spiketune/encoders/dense.hpp"
#include "spiketune/kernels/baselines/cuda/cublaslt.hpp"
#include "spiketune/kernels/quantize.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

constexpr std::string_view kernel_name = "cublaslt.heuristic";

/// Encode: this project's cast to W's type. Quantised W is turned into f16 when it is bound, which
/// no time counts: what somebody without a product of integers would run.
class CublasltEncoding final : public FormatEncoding<Dense, CudaContext> {
 public:
  using FormatEncoding::FormatEncoding;

  std::function<void()> bind_spmm(std::string_view kernel, const json&, const WeightView& weights,
                                  const OutputView& output) override {
    require_kernel(kernel, kernel_name);
    check_spmm(*encoded_, weights, output, Space::device);
    if (is_quantised(weights.type)) return bind_dequantised(weights, output);
    check_weight_type(encoded_->params.type, weights);
    if (encoded_->layout.k() == 0 || output.bytes() == 0) {
      return [this, output] { fill(context_, output.data, 0, output.bytes()); };
    }
    auto matmul = std::make_shared<baselines::CublasltMatmul>(context_, encoded_->values.data,
                                                              weights, output);
    return [matmul = std::move(matmul)] { matmul->run(); };
  }

 private:
  std::function<void()> bind_dequantised(const WeightView& weights, const OutputView& output) {
    auto values = std::make_shared<Buffer>(
        allocate(context_, std::uint64_t{weights.k} * weights.n * sizeof(Half)));
    dequantize(context_, weights, values->data(), DType::f16);
    const WeightView halves{values->data(), DType::f16, weights.k, weights.n, Space::device};
    return [bound = bind_spmm(kernel_name, {}, halves, output), values = std::move(values)] {
      bound();
    };
  }
};

class CublasltPlugin final : public CudaBaseline {
 public:
  std::string name() const override { return std::string(Dense::name); }
  std::vector<KernelInfo> kernels() const override {
    return {{std::string(kernel_name), {json::object()}}};
  }

  std::vector<json> params(const EncodedLayout&, DType weights) const override {
    json result = fields_to_json(Dense::Params{is_quantised(weights) ? DType::f16 : weights});
    // The tensor cores round f32 to 10 bits of mantissa: not the same product for every W.
    if (weights == DType::f32) result["compute"] = "tf32";
    return {result};
  }

  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json& params, double,
                                    std::optional<std::uint64_t>) const override {
    const auto chosen = fields_from_json<Dense::Params>(params, true);
    check_value_type(layout, chosen.type);
    return std::make_unique<CublasltEncoding>(std::get<CudaContext>(context),
                                              Dense::plan(layout, chosen));
  }

  std::string why_invalid(std::string_view kernel, const json&, const EncodedLayout&,
                          const WeightView& weights, const OutputView& output) const override {
    if (is_quantised(weights.type) && output.type == DType::bf16) {
      return "quantised W becomes f16, of which Y must be, or f32";
    }
    return kernel == kernel_name ? "" : "no such kernel";
  }
};

}  // namespace

void add_cublaslt_baselines(Registry& registry) {
  registry.add(std::make_unique<CublasltPlugin>());
}

}  // namespace spiketune
