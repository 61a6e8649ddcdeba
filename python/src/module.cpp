// The module spiketune._core: arrays come in through DLPack, the buffer protocol or as addresses,
// and leave as NumPy arrays, or as addresses on a device, over the same memory.
// python/spiketune/__init__.py is what users see.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <utility>

#include "module.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::python {
namespace {

/// Memory that somebody else keeps, as an object with __dlpack__.
nb::object device_array(std::uintptr_t address, const std::vector<std::size_t>& shape,
                        const std::string& type, int device, nb::handle owner) {
  return nb::cast(nb::ndarray<nb::array_api>(
      reinterpret_cast<void*>(address), shape.size(), shape.data(), owner, nullptr,
      dlpack_type(parse_dtype(type), true), nb::device::cuda::value, device));
}

/// spiketune's own memory on a device, for arrays that no library of the caller's makes.
struct DeviceMemory {
  nb::object stream;  ///< lives as long as the memory, which is released in its order
  Block block;
};

DeviceMemory allocate_device(std::size_t bytes, int device, std::uintptr_t stream,
                             nb::object owner) {
  ArrayIn where;
  where.device = device;
  const Context context = context_of(where, stream);
  const DeviceGuard guard(context);
  return {std::move(owner), own_memory(context)(std::max<std::size_t>(bytes, 1))};
}

/// Streams are addresses; 0 and 1 are the default one, 2 that of the thread.
void order(int device, std::uintptr_t earlier, std::uintptr_t later) {
  const auto stream = [](std::uintptr_t address) {
    return reinterpret_cast<CUstream_st*>(address == 1 ? 0 : address);
  };
  order_streams(cuda_context(device, stream(earlier)), stream(later));
}

}  // namespace
}  // namespace spiketune::python

NB_MODULE(_core, module) {
  using namespace spiketune;
  using namespace spiketune::python;
  nb::exception<Error>(module, "Error", PyExc_ValueError);
  module.def("format_names", &format_names);
  module.def("cuda_unavailable_reason", &why_no_cuda);
  module.def("device_array", &device_array, nb::arg("address"), nb::arg("shape"), nb::arg("type"),
             nb::arg("device"), nb::arg("owner"));
  module.def("allocate_device", &allocate_device, nb::arg("bytes"), nb::arg("device"),
             nb::arg("stream"), nb::arg("owner").none());
  module.def("order_streams", &order, nb::arg("device"), nb::arg("earlier"), nb::arg("later"));
  nb::class_<DeviceMemory>(module, "DeviceMemory").def("data_ptr", [](const DeviceMemory& self) {
    return reinterpret_cast<std::uintptr_t>(self.block.data);
  });
  define_encoded(module);
  define_quantised(module);
  define_products(module);
  define_neurons(module);
  define_training(module);
}
