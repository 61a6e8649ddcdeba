// Products of encodings.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <string>
#include <utility>

#include "module.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::python {
namespace {

nb::object spmm(const AnyEncoded& encoded, nb::handle weights, nb::handle output, bool transposed,
                Stream stream, nb::object allocate) {
  const WeightsIn weights_here = weights_in(weights, transposed ? "[T * rows, N]" : "[K, N]");
  const ArrayIn& in = weights_here.array;
  const WeightView& w = weights_here.view;
  const Context context = context_of(in, stream);
  const std::uint64_t m = transposed ? encoded.layout().k() : encoded.layout().m();
  const Result y = result_matrix(in, "W", output, m, w.n);
  const Allocate memory = allocator(context, in, std::move(allocate));
  run_on(context,
         [&] { encoded.spmm(context, w, y.view, transposed, memory, weights_here.prepared); });
  return y.object;
}

}  // namespace

Result result_matrix(const ArrayIn& like, const char* what, nb::handle output, std::uint64_t m,
                     std::uint32_t n) {
  Result result{{nullptr, DType::f32, m, n, like.space()}, nb::none()};
  const auto rows = static_cast<std::size_t>(m);
  if (output.is_none() && like.torch != nullptr && like.device >= 0) {
    TorchMemory made(*like.torch, dlpack_type(DType::f32, true),
                     {static_cast<std::int64_t>(m), static_cast<std::int64_t>(n)}, like.device);
    result.view.data = made.data();
    result.object = made.object();
  } else if (output.is_none()) {
    Numpy made = make_array(DType::f32, {rows, n});
    result.view.data = made.data();
    result.object = nb::cast(made);
  } else {
    const ArrayIn out = array_in(output, "out");
    if (out.keep.is_valid()) {  // a copy, which nobody would see
      throw Error(ErrorCode::invalid_argument, "out must be contiguous");
    }
    if (out.shape != std::vector<std::size_t>{rows, n} || out.device != like.device) {
      throw Error(ErrorCode::invalid_argument, "out must have the shape [" + std::to_string(m) +
                                                   ", " + std::to_string(n) +
                                                   "] and be in the memory of " + what);
    }
    result.view.data = out.data;
    result.view.type = out.type;
  }
  return result;
}

void define_products(nb::module_& module) {
  module.def("spmm", &spmm, nb::arg("encoded"), nb::arg("weights"), nb::arg("out").none(),
             nb::arg("transposed"), nb::arg("stream").none(), nb::arg("allocate").none());
}

}  // namespace spiketune::python
