/// cuSPARSELt. It holds 2:4 and nothing else, so its encode prunes: of every four neighbours of a
/// row two are kept. Spikes that fit lose nothing; EncodeStatus::lost counts those of others, and
/// the product is that of what was kept.

#include <memory>
#include <utility>
#include <variant>

#include "spiketune/autotune/cuda/cuda_baselines.hpp"
#include "spiketune/autotune/format_encoding.hpp"
#include "spiketune/encoders/dense.hpp"
#include "spiketune/encoders/pack.hpp"
#include "spiketune/kernels/baselines/cuda/cusparselt.hpp"
#include "spiketune/kernels/baselines/cuda/padded_operands.hpp"

namespace spiketune {
namespace {

using namespace baselines;
using nlohmann::json;

constexpr std::string_view kernel_name = "cusparselt.matmul";

std::uint64_t round_up(std::uint64_t size, std::uint64_t multiple) {
  return ceil_div(size, multiple) * multiple;
}

/// Encode: this project's cast to W's type, the library's pruning of it in place, its compression.
/// Shapes that the library does not take are padded with zeros.
class CusparseltEncoding final : public FormatEncoding<Dense, CudaContext> {
 public:
  CusparseltEncoding(const CudaContext& context, const Dense& planned)
      : FormatEncoding(context, planned),
        m_(round_up(planned.layout.m(), CusparseltMatrix::multiple)),
        k_(round_up(planned.layout.k(), CusparseltMatrix::multiple)) {
    if (planned.layout.shape.elements() == 0) return;
    matrix_ = std::make_unique<CusparseltMatrix>(context, m_, k_, type());
    if (m_ != planned.layout.m() || k_ != planned.layout.k()) {
      padded_ = allocate(context, m_ * k_ * bits_of(type()) / 8);
      fill(context, padded_.data(), 0, padded_.bytes());
    }
  }

  std::function<void()> bind_encode(const SpikeView& spikes) override {
    return [this, cast = FormatEncoding::bind_encode(spikes)] {
      cast();
      if (matrix_ != nullptr) prune_and_compress();
    };
  }

  std::function<void()> bind_spmm(std::string_view kernel, const json&, const WeightView& weights,
                                  const OutputView& output) override {
    require_kernel(kernel, kernel_name);
    check_spmm(*encoded_, weights, output, Space::device);
    check_weight_type(type(), weights);
    if (matrix_ == nullptr || output.bytes() == 0) {
      return [this, output] { fill(context_, output.data, 0, output.bytes()); };
    }
    auto matmul = std::make_shared<CusparseltMatmul>(
        *matrix_, PaddedOperands(context_, weights, output, m_,
                                 round_up(weights.n, CusparseltMatmul::multiple), k_));
    return [matmul = std::move(matmul)] { matmul->run(); };
  }

  EncodeStatus status() override {
    EncodeStatus status = FormatEncoding::status();
    status.lost = status.nnz - kept();
    return status;
  }

  /// The rule of Dense, for what was kept.
  void validate() override {
    const Encoded<Dense> host = copy_to_host(context_, *encoded_);
    EncodeStatus counts = *host->status;
    counts.nnz = kept();
    host->validate(counts);
  }

  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const override {
    return matrix_ == nullptr ? FormatEncoding::bytes(stored) : matrix_->bytes();
  }

 private:
  [[nodiscard]] DType type() const { return encoded_->params.type; }

  void prune_and_compress() const {
    const Dense& dense = *encoded_;
    const EncodedLayout& layout = dense.layout;
    if (padded_.data() == nullptr) {
      matrix_->encode(dense.values.data);
      return;
    }
    copy_matrix(context_, padded_.data(), k_, dense.values.data, layout.k(), layout.m(), layout.k(),
                type());
    matrix_->encode(padded_.data());
    // decode() reads the matrix that was cast.
    copy_matrix(context_, dense.values.data, layout.k(), padded_.data(), k_, layout.m(), layout.k(),
                type());
  }

  /// Nonzeros after pruning. Allocates and waits.
  [[nodiscard]] std::uint64_t kept() const {
    const EncodedLayout& layout = encoded_->layout;
    if (layout.shape.elements() == 0) return 0;
    const SpikeView pruned{encoded_->values.data, layout.shape,     type(),
                           ValueKind::graded,     layout.row_order, Space::device};
    const Buffer words = allocate(context_, packed_words(pruned) * sizeof(std::uint32_t));
    const Buffer counters = allocate(context_, sizeof(EncodeStatus));
    auto* status = static_cast<EncodeStatus*>(counters.data());
    static_cast<void>(pack(context_, pruned, layout.row_order,
                           static_cast<std::uint32_t*>(words.data()), status));
    EncodeStatus counted{};
    copy(context_, &counted, status, sizeof counted);
    synchronize(context_);
    return counted.nnz;
  }

  std::uint64_t m_;
  std::uint64_t k_;
  std::unique_ptr<CusparseltMatrix> matrix_;  ///< null where there are no elements
  Buffer padded_;
};

class CusparseltPlugin final : public CudaBaseline {
 public:
  std::string name() const override { return "two_four"; }
  bool lossy() const override { return true; }
  /// Whether its encode can be captured is not documented.
  bool synchronous() const override { return true; }
  std::string why_unavailable() const override {
    const std::string reason = CudaBaseline::why_unavailable();
    return reason.empty() ? cusparselt().why_unavailable : reason;
  }

  std::vector<KernelInfo> kernels() const override {
    return {{std::string(kernel_name), {json::object()}}};
  }

  std::vector<json> params(const EncodedLayout&, DType weights) const override {
    if (!is_floating(weights)) return {};
    // For f32 the library does not do 2:4; why_invalid() says so.
    return {fields_to_json(ValueType{weights == DType::f32 ? DType::f16 : weights})};
  }

  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json& params, double,
                                    std::optional<std::uint64_t>) const override {
    const DType type = fields_from_json<ValueType>(params, true).type;
    require(type != DType::f32, ErrorCode::unsupported, "cuSPARSELt's 2:4 is for f16 and bf16");
    check_value_type(layout, type);
    return std::make_unique<CusparseltEncoding>(std::get<CudaContext>(context),
                                                Dense::plan(layout, {type}));
  }

  std::string why_invalid(std::string_view kernel, const json&, const EncodedLayout&,
                          const WeightView& weights, const OutputView& output) const override {
    if (kernel != kernel_name) return "no such kernel";
    if (weights.type != DType::f16 && weights.type != DType::bf16) {
      return "cuSPARSELt's 2:4 is for W in f16 and bf16";
    }
    return output.type == weights.type ? "" : "cuSPARSELt writes Y in W's type only";
  }
};

}  // namespace

void add_cusparselt_baselines(Registry& registry) {
  registry.add(std::make_unique<CusparseltPlugin>());
}

}  // namespace spiketune
