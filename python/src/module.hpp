#pragma once
/// \file
/// What the parts of the module share, and the parts.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "arrays.hpp"
#include "spiketune/encoders/lif.hpp"

namespace spiketune::python {

using Stream = std::optional<std::uintptr_t>;

/// Calls `work` without the GIL on the host, and with the device of the context current elsewhere.
template <class Work>
auto run_on(const Context& context, Work&& work) {
  if (std::holds_alternative<HostContext>(context)) {
    const nb::gil_scoped_release release;
    return work();
  }
  const DeviceGuard guard(context);
  return work();
}

/// Calls `work` with the context of the host or of the device, as what it is.
template <class Work>
void visit_context(const Context& context, Work&& work) {
#if SPIKETUNE_HAVE_CUDA
  if (const auto* cuda = std::get_if<CudaContext>(&context)) return work(*cuda);
#endif
  work(std::get<HostContext>(context));
}

/// Null where there is no such array.
[[nodiscard]] const NamedArray* find_array(const AnyEncoded& encoded, const std::string& name);

/// CUDA device of an encoding; -1: the host's.
[[nodiscard]] int device_of(const AnyEncoded& encoded);

[[nodiscard]] WeightView weight_view(const ArrayIn& array, const char* shape_in_words);

/// W as an array or quantised.
struct WeightsIn {
  ArrayIn array;  ///< of quantised weights: where they are
  WeightView view;
  Workspace prepared;
};

[[nodiscard]] WeightsIn weights_in(nb::handle weights, const char* shape_in_words);

/// A matrix to write into, and the object that is returned: None where it was given.
struct Result {
  OutputView view;
  nb::object object;
};

/// `output` where it is given, else of f32: a new tensor of PyTorch's for its array on a device, or
/// a new NumPy array for one on the host.
/// \param like   the array in whose memory it is, `what` in errors
[[nodiscard]] Result result_matrix(const ArrayIn& like, const char* what, nb::handle output,
                                   std::uint64_t m, std::uint32_t n);

[[nodiscard]] LifParams lif_params(float leak, float gain, float threshold,
                                   const std::string& reset, float reset_value,
                                   const std::string& convention);

/// Bits of time-major rows [T, rows, ceil(n / 32)] in memory of the caller's, like `like`.
[[nodiscard]] std::uint32_t* words_in(nb::handle given, const char* what, const SpikeShape& shape,
                                      const ArrayIn& like, ArrayIn& array);

/// Each adds its part to the module.
void define_encoded(nb::module_& module);
void define_quantised(nb::module_& module);
void define_products(nb::module_& module);
void define_neurons(nb::module_& module);
void define_training(nb::module_& module);

}  // namespace spiketune::python
