// Neurons, alone and behind a product.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "module.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/encoders/lif.hpp"
#include "spiketune/formats/bitmap.hpp"

namespace spiketune::python {
namespace {

/// Into `spikes` and `after` where they are given, else new NumPy arrays.
nb::object fire(nb::handle currents, float leak, float gain, float threshold,
                const std::string& reset, float reset_value, const std::string& convention,
                nb::handle state, nb::handle spikes, nb::handle after, Stream stream) {
  const LifParams params = lif_params(leak, gain, threshold, reset, reset_value, convention);
  const ArrayIn in = array_in(currents, "currents");
  const CurrentView view{in.data, in.spike_shape("currents"), in.type, in.space()};
  const auto rows = static_cast<std::size_t>(view.shape.rows);
  LifState memory;
  ArrayIn before;
  if (!state.is_none()) {
    before = array_in(state, "state");
    if (before.shape != std::vector<std::size_t>{rows, view.shape.k} || before.type != DType::f32 ||
        before.device != in.device) {
      throw Error(ErrorCode::invalid_argument,
                  "state must be float32 of the shape [rows, N] of the currents, in their memory");
    }
    memory.before = static_cast<const float*>(before.data);
  }
  const Context context = context_of(in, stream);
  MutableSpikeView fired{nullptr,           view.shape,           DType::u8,
                         ValueKind::binary, RowOrder::time_major, view.space};
  nb::object result = nb::none();
  ArrayIn out, out_state;
  if (spikes.is_none()) {
    Numpy made = make_array(DType::u8, {view.shape.timesteps, rows, view.shape.k});
    Numpy made_state = make_array(DType::f32, {rows, view.shape.k});
    fired.data = made.data();
    memory.after = static_cast<float*>(made_state.data());
    result = nb::make_tuple(made, made_state);
  } else {
    out = array_in(spikes, "spikes");
    out_state = array_in(after, "state");
    fired.data = out.data;
    fired.storage = out.type;
    memory.after = static_cast<float*>(out_state.data);
  }
  run_on(context, [&] {
    visit_context(context, [&](const auto& here) { lif(here, view, params, memory, fired); });
  });
  return result;
}

/// Null where None is given; else float32 of that shape, in the memory of W.
const float* floats(nb::handle given, const char* what, const std::vector<std::size_t>& shape,
                    const char* shape_in_words, const ArrayIn& like, ArrayIn& array) {
  if (given.is_none()) return nullptr;
  array = array_in(given, what);
  if (array.shape != shape || array.type != DType::f32 || array.device != like.device) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " must be float32 of the shape " +
                                                 shape_in_words + ", in the memory of W");
  }
  return static_cast<const float*>(array.data);
}

/// `scale` is a number, or an array for the channels. `state` is read and written.
std::unique_ptr<AnyEncoded> fire_product(const AnyEncoded& encoded, nb::handle weights, float leak,
                                         float gain, float threshold, const std::string& reset,
                                         float reset_value, const std::string& convention,
                                         nb::handle scale, nb::handle bias, nb::handle state,
                                         const std::string& row_order, Stream stream,
                                         nb::object allocate) {
  const LifParams params = lif_params(leak, gain, threshold, reset, reset_value, convention);
  const WeightsIn weights_here = weights_in(weights, "[K, N]");
  const ArrayIn& in = weights_here.array;
  const WeightView& w = weights_here.view;
  const auto rows = static_cast<std::size_t>(encoded.layout().shape.rows);
  LifInput input;
  ArrayIn scales, offsets, membranes;
  if (nb::isinstance<nb::float_>(scale) || nb::isinstance<nb::int_>(scale)) {
    input.scale = nb::cast<float>(scale);
  } else {
    input.scales = floats(scale, "scale", {w.n}, "[N]", in, scales);
  }
  input.bias = floats(bias, "bias", {w.n}, "[N]", in, offsets);
  LifState memory;
  memory.before = floats(state, "state", {rows, w.n}, "[rows, N]", in, membranes);
  if (membranes.keep.is_valid()) {  // a copy, which nobody would see
    throw Error(ErrorCode::invalid_argument, "state must be contiguous");
  }
  memory.after = const_cast<float*>(memory.before);
  const RowOrder order = parse_row_order(row_order);
  const Context context = context_of(in, stream);
  const Allocate room = allocator(context, in, std::move(allocate));
  return run_on(context, [&] {
    return encoded.spmm_lif(context, w, input, params, memory, order, room, weights_here.prepared);
  });
}

/// spmm_lif() from bits to bits in memory of the caller's, [T, rows, words], time-major; `near`:
/// where those of the surrogate go, if it is wanted.
void fire_bits(nb::handle bits, std::uint32_t k, nb::handle weights, float leak, float gain,
               float threshold, const std::string& reset, float reset_value,
               const std::string& convention, nb::handle scale, nb::handle bias, nb::handle out,
               nb::handle near, float width, Stream stream) {
  const LifParams params = lif_params(leak, gain, threshold, reset, reset_value, convention);
  const WeightsIn weights_here = weights_in(weights, "[K, N]");
  const ArrayIn& in = weights_here.array;
  const WeightView& w = weights_here.view;
  ArrayIn words, scales, offsets, fired, close;
  words = array_in(bits, "bits");
  const SpikeShape given = words.spike_shape("bits");
  const SpikeShape shape{given.timesteps, given.rows, k};
  Bitmap bitmap = Bitmap::plan({shape}, {});
  bitmap.words.data = words_in(bits, "bits", shape, in, words);
  bitmap.status = reinterpret_cast<EncodeStatus*>(bitmap.words.data);  // which no product reads
  LifInput input;
  if (nb::isinstance<nb::float_>(scale) || nb::isinstance<nb::int_>(scale)) {
    input.scale = nb::cast<float>(scale);
  } else {
    input.scales = floats(scale, "scale", {w.n}, "[N]", in, scales);
  }
  input.bias = floats(bias, "bias", {w.n}, "[N]", in, offsets);
  const SpikeShape fired_shape{given.timesteps, given.rows, w.n};
  const MutableSpikeView to{words_in(out, "out", fired_shape, in, fired),
                            fired_shape,
                            DType::bit,
                            ValueKind::binary,
                            RowOrder::time_major,
                            in.space()};
  LifSurrogate surrogate{nullptr, width};
  if (!near.is_none()) surrogate.near = words_in(near, "near", fired_shape, in, close);
  const Context context = context_of(in, stream);
  run_on(context, [&] {
    visit_context(context, [&](const auto& here) {
      spiketune::spmm_lif(here, bitmap, w, input, params, {}, to, weights_here.prepared, surrogate);
    });
  });
}

}  // namespace

LifParams lif_params(float leak, float gain, float threshold, const std::string& reset,
                     float reset_value, const std::string& convention) {
  LifParams params{leak,        gain,
                   threshold,   LifParams::Reset::hard,
                   reset_value, LifParams::Convention::spikingjelly};
  if (reset != "hard" && reset != "soft") {
    throw Error(ErrorCode::invalid_argument, "reset must be hard or soft, not " + reset);
  }
  if (convention != "spikingjelly" && convention != "snntorch") {
    throw Error(ErrorCode::invalid_argument,
                "convention must be spikingjelly or snntorch, not " + convention);
  }
  if (reset == "soft") params.reset = LifParams::Reset::soft;
  if (convention == "snntorch") params.convention = LifParams::Convention::snntorch;
  return params;
}

std::uint32_t* words_in(nb::handle given, const char* what, const SpikeShape& shape,
                        const ArrayIn& like, ArrayIn& array) {
  array = array_in(given, what);
  const std::vector<std::size_t> expected{shape.timesteps, static_cast<std::size_t>(shape.rows),
                                          static_cast<std::size_t>(ceil_div(shape.k, 32))};
  if (array.shape != expected || array.type != DType::bit || array.device != like.device ||
      array.keep.is_valid()) {
    throw Error(ErrorCode::invalid_argument,
                std::string(what) + " must be contiguous uint32 of the shape [T, rows, " +
                    std::to_string(expected[2]) + "], in the memory of W");
  }
  return static_cast<std::uint32_t*>(array.data);
}

void define_neurons(nb::module_& module) {
  module.def("lif", &fire, nb::arg("currents"), nb::arg("leak"), nb::arg("gain"),
             nb::arg("threshold"), nb::arg("reset"), nb::arg("reset_value"), nb::arg("convention"),
             nb::arg("state").none(), nb::arg("spikes").none(), nb::arg("after").none(),
             nb::arg("stream").none());
  module.def("spmm_lif", &fire_product, nb::arg("encoded"), nb::arg("weights"), nb::arg("leak"),
             nb::arg("gain"), nb::arg("threshold"), nb::arg("reset"), nb::arg("reset_value"),
             nb::arg("convention"), nb::arg("scale"), nb::arg("bias").none(),
             nb::arg("state").none(), nb::arg("row_order"), nb::arg("stream").none(),
             nb::arg("allocate").none());
  module.def("fire_bits", &fire_bits, nb::arg("bits"), nb::arg("k"), nb::arg("weights"),
             nb::arg("leak"), nb::arg("gain"), nb::arg("threshold"), nb::arg("reset"),
             nb::arg("reset_value"), nb::arg("convention"), nb::arg("scale"),
             nb::arg("bias").none(), nb::arg("out"), nb::arg("near").none(), nb::arg("width"),
             nb::arg("stream").none());
}

}  // namespace spiketune::python
