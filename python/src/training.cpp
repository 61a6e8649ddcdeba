// Gradients.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <string>
#include <utility>
#include <vector>

#include "module.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/gradients.hpp"
#include "spiketune/kernels/lif_gradient.hpp"

namespace spiketune::python {
namespace {

/// dY
GradientView gradient_view(const ArrayIn& array) {
  array.check_matrix("the gradient", "[T * rows, N]");
  return {array.data, array.type, array.shape[0], static_cast<std::uint32_t>(array.shape[1]),
          array.space()};
}

nb::object gradient_of_weights(const AnyEncoded& encoded, nb::handle gradient, nb::handle output,
                               Stream stream, nb::object allocate) {
  const ArrayIn in = array_in(gradient, "the gradient");
  const GradientView dy = gradient_view(in);
  const Context context = context_of(in, stream);
  const Result dw = result_matrix(in, "the gradient", output, encoded.layout().k(), dy.n);
  const Allocate memory = allocator(context, in, std::move(allocate));
  run_on(context, [&] { encoded.weight_gradient(context, dy, dw.view, memory); });
  return dw.object;
}

/// Words of [M, ceil(K / 32)], of an array, or of a bitmap in rows.
ArrayIn mask_words(nb::handle mask, std::uint64_t m, std::uint32_t k) {
  const std::vector<std::size_t> shape{static_cast<std::size_t>(m),
                                       static_cast<std::size_t>(ceil_div(k, 32))};
  ArrayIn words;
  const AnyEncoded* encoded = nullptr;
  if (nb::try_cast(mask, encoded)) {
    const NamedArray* found = find_array(*encoded, "words");
    if (encoded->format() != "bitmap" || encoded->params().value("tiles", false) ||
        encoded->layout().m() != m || encoded->layout().k() != k) {
      throw Error(ErrorCode::invalid_argument,
                  "an encoding as the mask must be a bitmap in rows, " + std::to_string(m) + " x " +
                      std::to_string(k));
    }
    words.data = found->array.data;
    words.device = device_of(*encoded);
    return words;
  }
  words = array_in(mask, "mask");
  if (words.type != DType::bit || words.shape != shape) {
    throw Error(ErrorCode::invalid_argument,
                "mask must be uint32 of the shape [" + std::to_string(shape[0]) + ", " +
                    std::to_string(shape[1]) + "], rows of bits, or a bitmap");
  }
  return words;
}

nb::object gradient_of_spikes(nb::handle gradient, nb::handle weights, nb::handle mask,
                              nb::handle values, nb::handle output, Stream stream) {
  const ArrayIn in = array_in(gradient, "the gradient");
  const GradientView dy = gradient_view(in);
  const ArrayIn w_in = array_in(weights, "W");
  const WeightView w = weight_view(w_in, "[K, N]");
  const ArrayIn words = mask_words(mask, dy.m, w.k);
  SurrogateView surrogate{static_cast<const std::uint32_t*>(words.data), nullptr, DType::f32,
                          words.space()};
  ArrayIn factors;
  if (!values.is_none()) {
    factors = array_in(values, "values");
    if (factors.shape != std::vector<std::size_t>{static_cast<std::size_t>(dy.m), w.k} ||
        factors.device != in.device) {
      throw Error(ErrorCode::invalid_argument,
                  "values must have the shape [" + std::to_string(dy.m) + ", " +
                      std::to_string(w.k) + "] and be in the memory of the gradient");
    }
    surrogate.values = factors.data;
    surrogate.type = factors.type;
  }
  const Context context = context_of(in, stream);
  const Result ds = result_matrix(in, "the gradient", output, dy.m, w.k);
  run_on(context, [&] {
    visit_context(context, [&](const auto& here) {
      spiketune::spike_gradient(here, dy, w, surrogate, ds.view);
    });
  });
  return ds.object;
}

/// lif_gradient() of a gradient [T * rows, N] into `out`, of the bits [T, rows, words] that
/// fire_bits() wrote.
void gradient_of_currents(nb::handle gradient, nb::handle spikes, nb::handle near, float leak,
                          float gain, float threshold, const std::string& reset, float reset_value,
                          const std::string& convention, float width, float factor, nb::handle out,
                          Stream stream) {
  const LifParams params = lif_params(leak, gain, threshold, reset, reset_value, convention);
  const ArrayIn in = array_in(gradient, "the gradient");
  const ArrayIn result = array_in(out, "out");
  ArrayIn fired = array_in(spikes, "spikes"), close;
  in.check_matrix("the gradient", "[T * rows, N]");
  const SpikeShape given = fired.spike_shape("spikes");
  const CurrentView view{in.data,
                         {given.timesteps, given.rows, static_cast<std::uint32_t>(in.shape[1])},
                         in.type,
                         in.space()};
  if (in.shape[0] != given.timesteps * given.rows) {
    throw Error(ErrorCode::invalid_argument, "the gradient must have a row for each of the " +
                                                 std::to_string(given.timesteps * given.rows) +
                                                 " of the spikes, not " +
                                                 std::to_string(in.shape[0]));
  }
  if (result.keep.is_valid() || result.shape != in.shape || result.type != in.type ||
      result.device != in.device) {
    throw Error(ErrorCode::invalid_argument, "out must be contiguous, and as the gradient");
  }
  const SpikeView bits{words_in(spikes, "spikes", view.shape, in, fired),
                       view.shape,
                       DType::bit,
                       ValueKind::binary,
                       RowOrder::time_major,
                       view.space};
  const LifSurrogate surrogate{words_in(near, "near", view.shape, in, close), width};
  const Context context = context_of(in, stream);
  run_on(context, [&] {
    visit_context(context, [&](const auto& here) {
      spiketune::lif_gradient(here, bits, surrogate, params, view, factor, result.data);
    });
  });
}

}  // namespace

void define_training(nb::module_& module) {
  module.def("weight_gradient", &gradient_of_weights, nb::arg("encoded"), nb::arg("gradient"),
             nb::arg("out").none(), nb::arg("stream").none(), nb::arg("allocate").none());
  module.def("spike_gradient", &gradient_of_spikes, nb::arg("gradient"), nb::arg("weights"),
             nb::arg("mask"), nb::arg("values").none(), nb::arg("out").none(),
             nb::arg("stream").none());
  module.def("lif_gradient", &gradient_of_currents, nb::arg("gradient"), nb::arg("spikes"),
             nb::arg("near"), nb::arg("leak"), nb::arg("gain"), nb::arg("threshold"),
             nb::arg("reset"), nb::arg("reset_value"), nb::arg("convention"), nb::arg("width"),
             nb::arg("factor"), nb::arg("out"), nb::arg("stream").none());
}

}  // namespace spiketune::python
