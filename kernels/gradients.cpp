#include "spiketune/kernels/gradients.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

void require_argument(bool holds, const std::string& otherwise) {
  if (!holds) throw Error(ErrorCode::invalid_argument, otherwise);
}

void require_matrix(const std::string& name, const OutputView& output, std::uint64_t rows,
                    std::uint64_t columns) {
  require_argument(output.m == rows && output.n == columns,
                   name + " is " + std::to_string(output.m) + " x " + std::to_string(output.n) +
                       ", not " + std::to_string(rows) + " x " + std::to_string(columns));
}

}  // namespace

void check_weight_gradient(const FormatBase& spikes, const GradientView& gradient,
                           const OutputView& result, Space space) {
  require_argument(gradient.m == spikes.layout.m(),
                   "weight_gradient: dY has " + std::to_string(gradient.m) + " rows, but S " +
                       std::to_string(spikes.layout.m()));
  require_argument(gradient.m <= 0xffffffffu, "weight_gradient: S must have less than 2^32 rows");
  require_matrix("weight_gradient: dW", result, spikes.layout.k(), gradient.n);
  require_argument(is_floating(gradient.type), "weight_gradient: dY must be f32, f16 or bf16");
  require_argument(result.type == DType::f32, "weight_gradient: dW must be f32");
  require_argument(gradient.space == space && result.space == space,
                   "weight_gradient: dY and dW must be in the memory of the context");
  require_argument(gradient.data != nullptr || gradient.bytes() == 0,
                   "weight_gradient: dY is null");
  require_argument(result.data != nullptr || result.bytes() == 0, "weight_gradient: dW is null");
  require_argument(spikes.status != nullptr, "weight_gradient: the format has no memory");
}

void check_spike_gradient(const GradientView& gradient, const WeightView& weights,
                          const SurrogateView& surrogate, const OutputView& result, Space space) {
  require_argument(weights.n == gradient.n, "spike_gradient: W has " + std::to_string(weights.n) +
                                                " columns, but dY " + std::to_string(gradient.n));
  require_matrix("spike_gradient: dS", result, gradient.m, weights.k);
  require_argument(is_floating(weights.type) && weights.type == gradient.type,
                   "spike_gradient: dY and W must be of one type, f32, f16 or bf16");
  require_argument(result.type == DType::f32 || result.type == weights.type,
                   "spike_gradient: dS must be f32 or of W's type");
  require_argument(surrogate.values == nullptr || is_floating(surrogate.type),
                   "spike_gradient: values of the surrogate must be f32, f16 or bf16");
  require_argument(gradient.space == space && weights.space == space && result.space == space &&
                       surrogate.space == space,
                   "spike_gradient: dY, W, the surrogate and dS must be in the memory of the "
                   "context");
  require_argument(gradient.data != nullptr || gradient.bytes() == 0, "spike_gradient: dY is null");
  require_argument(weights.data != nullptr || weights.bytes() == 0, "spike_gradient: W is null");
  require_argument(result.data != nullptr || result.bytes() == 0, "spike_gradient: dS is null");
  require_argument(surrogate.mask != nullptr || result.bytes() == 0,
                   "spike_gradient: the mask is null");
}

}  // namespace spiketune
