// W rounded to integers, and W as products take it.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "module.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::python {
namespace {

/// Quantised weights, and whose array they were made of.
struct Quantised {
  PreparedWeights made;
  const ExchangeApi* torch;
};

Quantised quantize_array(nb::handle weights, int bits, Stream stream) {
  if (bits != 8 && bits != 4) {
    throw Error(ErrorCode::invalid_argument, "bits must be 8 or 4, not " + std::to_string(bits));
  }
  const ArrayIn in = array_in(weights, "W");
  const WeightView w = weight_view(in, "[K, N]");
  const Context context = context_of(in, stream);
  return run_on(context, [&] {
    return Quantised{quantize_any(context, w, bits == 8 ? DType::s8 : DType::s4), in.torch};
  });
}

/// The integers as int8 [K, N], or the scales as float32 [N], in NumPy arrays.
nb::object part_of(const Quantised& quantised, bool scales) {
  const WeightView& view = quantised.made.weights.view;
  const DeviceGuard guard(quantised.made.context);
  std::vector<std::byte> bytes(scales ? view.n * sizeof(float) : view.bytes());
  visit_context(quantised.made.context, [&](const auto& here) {
    if (bytes.empty()) return;
    copy(here, bytes.data(), scales ? static_cast<const void*>(view.scales) : view.data,
         bytes.size());
    synchronize(here);
  });
  if (scales) {
    Numpy result = make_array(DType::f32, {view.n});
    std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(result.data()));
    return nb::cast(result);
  }
  Numpy result = make_array(DType::s8, {view.k, view.n});
  auto* integers = static_cast<std::int8_t*>(result.data());
  for (std::uint64_t i = 0; i < std::uint64_t{view.k} * view.n; ++i) {
    integers[i] = static_cast<std::int8_t>(load_integer(bytes.data(), view.type, i));
  }
  return nb::cast(result);
}

}  // namespace

WeightView weight_view(const ArrayIn& array, const char* shape_in_words) {
  array.check_matrix("W", shape_in_words);
  return {array.data, array.type, static_cast<std::uint32_t>(array.shape[0]),
          static_cast<std::uint32_t>(array.shape[1]), array.space()};
}

WeightsIn weights_in(nb::handle weights, const char* shape_in_words) {
  WeightsIn result;
  const Quantised* quantised = nullptr;
  if (nb::try_cast(weights, quantised)) {
    const PreparedWeights& made = quantised->made;
    result.view = made.weights.view;
    result.prepared = made.prepared.workspace();
    if (const auto* cuda = std::get_if<CudaContext>(&made.context)) {
      result.array.device = cuda->device;
    }
    result.array.torch = quantised->torch;
    return result;
  }
  result.array = array_in(weights, "W");
  result.view = weight_view(result.array, shape_in_words);
  return result;
}

void define_quantised(nb::module_& module) {
  nb::class_<Quantised>(module, "QuantisedWeights",
                        "W [K, N] as integers with a scale for each column, of quantize().")
      // It never changes: copies of a layer share it.
      .def(
          "__deepcopy__", [](nb::object self, nb::handle) { return self; },
          nb::sig("def __deepcopy__(self, memo: object, /) -> QuantisedWeights"))
      .def_prop_ro(
          "bits", [](const Quantised& self) { return bits_of(self.made.weights.view.type); },
          "8 or 4")
      .def_prop_ro(
          "shape",
          [](const Quantised& self) {
            const WeightView& view = self.made.weights.view;
            return std::tuple(view.k, view.n);
          },
          "(K, N)")
      .def_prop_ro(
          "device",
          [](const Quantised& self) {
            const auto* cuda = std::get_if<CudaContext>(&self.made.context);
            return cuda == nullptr ? -1 : cuda->device;
          },
          "CUDA device; -1: host memory")
      .def_prop_ro(
          "relative_error", [](const Quantised& self) { return self.made.weights.relative_error; },
          "norm of W - scales * integers over that of W")
      .def_prop_ro(
          "largest_error", [](const Quantised& self) { return self.made.weights.largest_error; },
          "the largest of |W - scales * integers|")
      .def_prop_ro(
          "integers", [](const Quantised& self) { return part_of(self, false); }, "[K, N], copied",
          nb::for_getter(nb::sig("def integers(self) -> numpy.typing.NDArray[numpy.int8]")))
      .def_prop_ro(
          "scales", [](const Quantised& self) { return part_of(self, true); }, "[N], copied",
          nb::for_getter(nb::sig("def scales(self) -> numpy.typing.NDArray[numpy.float32]")));
  module.def("quantize", &quantize_array, nb::arg("weights"), nb::arg("bits"),
             nb::arg("stream").none());
  module.def(
      "takes_as_it_is",
      [](nb::handle array) {
        const Quantised* quantised = nullptr;
        if (torch_api(array) != nullptr) return true;
        return nb::try_cast(array, quantised) && quantised->torch != nullptr;
      },
      nb::arg("array"));
}

}  // namespace spiketune::python
