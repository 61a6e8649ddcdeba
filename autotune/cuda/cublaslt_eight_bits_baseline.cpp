/// cuBLASLt's dense products of 8 bits, for quantised W: what somebody who has no bits of spikes
/// but tensor cores would run. Spikes of a byte each are operands as they lie. As s8 they are 0
/// to 3. As e4m3 those are 0 to 3 · 2⁻⁹, exactly, by which the scales make up.

#include <memory>
#include <utility>
#include <variant>

#include "spiketune/autotune/cuda/cuda_baselines.hpp"
#include "spiketune/autotune/cuda/eight_bits.hpp"
#include "spiketune/autotune/format_encoding.hpp"
#include "spiketune/encoders/bytes.hpp"
#include "spiketune/kernels/baselines/cuda/check.hpp"
#include "spiketune/kernels/baselines/cuda/cublaslt.hpp"
#include "spiketune/kernels/cuda/weight_columns.cuh"

namespace spiketune {
namespace {

using nlohmann::json;

constexpr std::string_view integers = "cublaslt.int8";
constexpr std::string_view floats = "cublaslt.fp8";
/// cuBLASLt's kernels of 8 bits want rows that begin at multiples of 16 bytes.
constexpr std::uint32_t multiple = 16;
constexpr float e4m3_units = 512.0f;  // e4m3 of the bits 1 is 2⁻⁹

struct FloatConfig {
  bool fast_accumulation = true;  ///< sums stay in the tensor cores, which keep some 14 bits

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("fast_accumulation", self.fast_accumulation);
  }
};

struct ByteType {
  DType type = DType::u8;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("type", self.type);
  }
};

/// A product, with what it reads and writes besides its operands.
struct EightBitProduct {
  Buffer weights;
  Buffer sums;    ///< of integers
  Buffer scales;  ///< of e4m3: of columns, then of rows
  std::unique_ptr<baselines::CublasltMatmul> matmul;
};

class EightBitEncoding final : public FormatEncoding<Bytes, CudaContext> {
 public:
  using FormatEncoding::FormatEncoding;

  std::function<void()> bind_spmm(std::string_view kernel, const json& config,
                                  const WeightView& weights, const OutputView& output) override {
    check_spmm(*encoded_, weights, output, Space::device);
    if (encoded_->layout.k() == 0 || output.bytes() == 0) {
      return [this, output] { fill(context_, output.data, 0, output.bytes()); };
    }
    const bool is_integer = kernel == integers;
    auto product = std::make_shared<EightBitProduct>();
    product->weights = allocate(context_, std::uint64_t{weights.k} * weights.n);
    cuda::put_by_column(context_, weights, is_integer ? DType::s8 : DType::e4m3, weights.k,
                        product->weights.data());
    if (is_integer) return bind_integers(std::move(product), weights, output);
    return bind_floats(std::move(product), fields_from_json<FloatConfig>(config, true), weights,
                       output);
  }

 private:
  using Product = std::shared_ptr<EightBitProduct>;

  [[nodiscard]] baselines::CublasltOperands operands(const EightBitProduct& product,
                                                     const OutputView& output) const {
    return {.spikes = encoded_->values.data,
            .weights = product.weights.data(),
            .output = output.data,
            .m = output.m,
            .k = encoded_->layout.k(),
            .n = output.n};
  }

  /// Sums leave as s32, for a kernel that scales them.
  std::function<void()> bind_integers(Product product, const WeightView& weights,
                                      const OutputView& output) const {
    product->sums = allocate(context_, output.m * output.n * sizeof(std::int32_t));
    auto wanted = operands(*product, output);
    wanted.output = product->sums.data();
    wanted.type = CUDA_R_8I;
    wanted.output_type = CUDA_R_32I;
    product->matmul = std::make_unique<baselines::CublasltMatmul>(context_, wanted);
    return [this, product = std::move(product), scales = weights.scales, output] {
      product->matmul->run(encoded_->values.data);
      cuda::scale_sums(context_, static_cast<const std::int32_t*>(product->sums.data()), scales,
                       output);
    };
  }

  std::function<void()> bind_floats(Product product, const FloatConfig& config,
                                    const WeightView& weights, const OutputView& output) const {
    product->scales = allocate(context_, (output.n + output.m) * sizeof(float));
    auto* columns = static_cast<float*>(product->scales.data());
    float* rows = columns + output.n;
    cuda::scale_floats(context_, weights.scales, e4m3_units, output.n, columns);
    cuda::scale_floats(context_, nullptr, 1.0f, output.m, rows);
    auto wanted = operands(*product, output);
    wanted.type = CUDA_R_8F_E4M3;
    wanted.output_type = baselines::data_type(output.type);
    wanted.row_scales = rows;
    wanted.column_scales = columns;
    wanted.fast_accumulation = config.fast_accumulation;
    product->matmul = std::make_unique<baselines::CublasltMatmul>(context_, wanted);
    return [this, product = std::move(product)] { product->matmul->run(encoded_->values.data); };
  }
};

class EightBitPlugin final : public CudaBaseline {
 public:
  std::string name() const override { return "dense"; }
  std::vector<KernelInfo> kernels() const override {
    return {{std::string(integers), {json::object()}},
            {std::string(floats),
             {fields_to_json(FloatConfig{true}), fields_to_json(FloatConfig{false})}}};
  }

  std::vector<json> params(const EncodedLayout&, DType weights) const override {
    if (!is_quantised(weights)) return {};
    return {fields_to_json(ByteType{})};
  }

  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json& params, double,
                                    std::optional<std::uint64_t>) const override {
    const DType type = fields_from_json<ByteType>(params, true).type;
    require(type == DType::u8, ErrorCode::invalid_argument,
            "dense products of 8 bits take spikes of type u8");
    return std::make_unique<EightBitEncoding>(std::get<CudaContext>(context),
                                              Bytes::plan(layout, {}));
  }

  std::string why_invalid(std::string_view kernel, const json&, const EncodedLayout& layout,
                          const WeightView& weights, const OutputView&) const override {
    if (kernel == integers && weights.type != DType::s8 && weights.type != DType::s4) {
      return "it multiplies W in s8 or s4";
    }
    if (kernel == floats && weights.type != DType::e4m3 && weights.type != DType::s4) {
      return "it multiplies W in e4m3 or s4";
    }
    if (layout.k() % multiple != 0 || weights.n % multiple != 0) {
      return "cuBLASLt's products of 8 bits want K and N that are multiples of 16";
    }
    return kernel == integers || kernel == floats ? "" : "no such kernel";
  }
};

}  // namespace

void add_cublaslt_eight_bits_baselines(Registry& registry) {
  registry.add(std::make_unique<EightBitPlugin>());
}

}  // namespace spiketune
