// The module spiketune._core: arrays come in through DLPack, the buffer protocol or as addresses,
// and leave as NumPy arrays, or as addresses on a device, over the same memory.
// python/spiketune/__init__.py is what users see.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>

#include "arrays.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/encoders/lif.hpp"

namespace spiketune::python {
namespace {

using nlohmann::json;
using Numpy = nb::ndarray<nb::numpy>;
using Stream = std::optional<std::uintptr_t>;

ValueKind parse_kind(const std::string& name) {
  if (name == "binary") return ValueKind::binary;
  if (name == "graded2") return ValueKind::graded2;
  if (name == "graded") return ValueKind::graded;
  throw Error(ErrorCode::invalid_argument, "kind must be binary, graded2 or graded, not " + name);
}

/// A new NumPy array.
Numpy make_array(DType type, std::initializer_list<std::size_t> shape) {
  std::size_t count = 1;
  for (const std::size_t size : shape) count *= size;
  auto* bytes = new std::byte[std::max<std::size_t>(count * bits_of(type) / 8, 1)];
  const nb::capsule owner(bytes,
                          [](void* data) noexcept { delete[] static_cast<std::byte*>(data); });
  return Numpy(bytes, shape, owner, {}, dlpack_type(type, false));
}

SpikeView spike_view(const ArrayIn& spikes, const std::string& kind, const std::string& row_order,
                     std::optional<std::uint32_t> k) {
  SpikeView view{spikes.data,      spikes.spike_shape("spikes"), spikes.type,
                 parse_kind(kind), parse_row_order(row_order),   spikes.space()};
  if (view.storage == DType::bit) {
    const std::uint64_t words = view.shape.k;
    if (!k || (*k + std::uint64_t{31}) / 32 != words) {
      throw Error(ErrorCode::invalid_argument,
                  "spikes of type uint32 are packed bits: give k, of which a row has " +
                      std::to_string(words) + " words of 32");
    }
    view.shape.k = *k;
  } else if (k && *k != view.shape.k) {
    throw Error(ErrorCode::invalid_argument, "k is " + std::to_string(*k) + ", but rows have " +
                                                 std::to_string(view.shape.k) + " elements");
  }
  return view;
}

std::unique_ptr<AnyEncoded> encode(nb::handle spikes, const std::string& format,
                                   const std::optional<std::string>& params,
                                   const std::string& kind, const std::string& row_order,
                                   const std::string& encoded_order, std::optional<std::uint32_t> k,
                                   std::optional<std::uint64_t> capacity,
                                   std::optional<double> density, bool wait, bool wide_indices,
                                   Stream stream, nb::object allocate) {
  const ArrayIn in = array_in(spikes, "spikes");
  const SpikeView view = spike_view(in, kind, row_order, k);
  const json chosen = params ? json::parse(*params) : json();
  const Context context = context_of(in, stream);
  const bool host = view.space == Space::host;
  const EncodeRequest request{parse_row_order(encoded_order), capacity, density, wait || host,
                              wide_indices};
  const Allocate memory = allocator(context, in, std::move(allocate));
  if (host) {
    const nb::gil_scoped_release release;
    return encode_any(format, chosen, context, view, request, memory);
  }
  const DeviceGuard guard(context);
  return encode_any(format, chosen, context, view, request, memory);
}

const NamedArray* find_array(const AnyEncoded& encoded, const std::string& name) {
  for (const NamedArray& named : encoded.arrays()) {
    if (named.name == name && named.array.type != DType::bit) return &named;
  }
  return nullptr;
}

/// A NumPy array over the memory of the encoding; on a device (bytes from the start of its block,
/// address, elements, type); None where there is no such array.
nb::object array_of(nb::handle self, const std::string& name) {
  const auto& encoded = nb::cast<const AnyEncoded&>(self);
  const NamedArray* found = find_array(encoded, name);
  if (found == nullptr) return nb::none();
  const AnyArray& array = found->array;
  if (std::holds_alternative<CudaContext>(encoded.context())) {
    const auto offset = static_cast<const std::byte*>(array.data) -
                        static_cast<const std::byte*>(encoded.storage().data);
    return nb::make_tuple(static_cast<std::size_t>(offset),
                          reinterpret_cast<std::uintptr_t>(array.data), array.size,
                          std::string(to_string(array.type)));
  }
  return nb::cast(nb::ndarray<nb::numpy, nb::ro>(array.data, {static_cast<std::size_t>(array.size)},
                                                 self, {}, dlpack_type(array.type, false)));
}

/// Memory that somebody else keeps, as an object with __dlpack__.
nb::object device_array(std::uintptr_t address, const std::vector<std::size_t>& shape,
                        const std::string& type, int device, nb::handle owner) {
  return nb::cast(nb::ndarray<nb::array_api>(
      reinterpret_cast<void*>(address), shape.size(), shape.data(), owner, nullptr,
      dlpack_type(parse_dtype(type), true), nb::device::cuda::value, device));
}

/// spiketune's own memory on a device, for arrays that no library of the caller's makes.
struct DeviceMemory {
  Block block;
};

int device_of(const AnyEncoded& encoded) {
  const auto* device = std::get_if<CudaContext>(&encoded.context());
  return device == nullptr ? -1 : device->device;
}

std::uintptr_t stream_of(const AnyEncoded& encoded) {
  const auto* device = std::get_if<CudaContext>(&encoded.context());
  return device == nullptr ? 0 : reinterpret_cast<std::uintptr_t>(device->stream);
}

void decode_into(const AnyEncoded& encoded, nb::handle spikes, Stream stream) {
  const ArrayIn out = array_in(spikes, "spikes");
  const Context context = context_of(out, stream);
  const DeviceGuard guard(context);
  const EncodedLayout& layout = encoded.layout();
  encoded.decode(
      context, {out.data, layout.shape, out.type, layout.kind, RowOrder::time_major, out.space()});
}

nb::object decode_to_numpy(const AnyEncoded& encoded) {
  const EncodedLayout& layout = encoded.layout();
  const DType storage = layout.kind == ValueKind::graded ? DType::f32 : DType::u8;
  const SpikeShape& shape = layout.shape;
  Numpy result =
      make_array(storage, {shape.timesteps, static_cast<std::size_t>(shape.rows), shape.k});
  encoded.decode(HostContext{},
                 {result.data(), shape, storage, layout.kind, RowOrder::time_major, Space::host});
  return nb::cast(result);
}

/// Into `output` where it is given, else a new tensor of PyTorch's, for its W on a device, or a new
/// NumPy array, for W on the host.
nb::object spmm(const AnyEncoded& encoded, nb::handle weights, nb::handle output, bool transposed,
                Stream stream, nb::object allocate) {
  const ArrayIn in = array_in(weights, "W");
  in.check_matrix("W", transposed ? "[T * rows, N]" : "[K, N]");
  const WeightView w{in.data, in.type, static_cast<std::uint32_t>(in.shape[0]),
                     static_cast<std::uint32_t>(in.shape[1]), in.space()};
  const Context context = context_of(in, stream);
  const std::uint64_t m = transposed ? encoded.layout().k() : encoded.layout().m();
  nb::object result = nb::none();
  OutputView y{nullptr, DType::f32, m, w.n, w.space};
  ArrayIn out;
  if (output.is_none() && in.torch != nullptr && in.device >= 0) {
    TorchMemory made(*in.torch, dlpack_type(DType::f32, true),
                     {static_cast<std::int64_t>(m), static_cast<std::int64_t>(w.n)}, in.device);
    y.data = made.data();
    result = made.object();
  } else if (output.is_none()) {
    Numpy made = make_array(DType::f32, {static_cast<std::size_t>(m), w.n});
    y.data = made.data();
    result = nb::cast(made);
  } else {
    out = array_in(output, "out");
    if (out.keep.is_valid()) {  // a copy, which nobody would see
      throw Error(ErrorCode::invalid_argument, "out must be contiguous");
    }
    if (out.shape != std::vector<std::size_t>{static_cast<std::size_t>(m), w.n} ||
        out.device != in.device) {
      throw Error(ErrorCode::invalid_argument, "out must have the shape [" + std::to_string(m) +
                                                   ", " + std::to_string(w.n) +
                                                   "] and be in the memory of W");
    }
    y.data = out.data;
    y.type = out.type;
  }
  const Allocate memory = allocator(context, in, std::move(allocate));
  if (w.space == Space::host) {
    const nb::gil_scoped_release release;
    encoded.spmm(context, w, y, transposed, memory);
  } else {
    const DeviceGuard guard(context);
    encoded.spmm(context, w, y, transposed, memory);
  }
  return result;
}

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
#if SPIKETUNE_HAVE_CUDA
  if (const auto* cuda = std::get_if<CudaContext>(&context)) {
    const DeviceGuard guard(context);
    lif(*cuda, view, params, memory, fired);
    return result;
  }
#endif
  const nb::gil_scoped_release release;
  lif(HostContext{}, view, params, memory, fired);
  return result;
}

nb::object allocate_device(std::size_t bytes, int device, std::uintptr_t stream) {
  ArrayIn where;
  where.device = device;
  const Context context = context_of(where, stream);
  const DeviceGuard guard(context);
  return nb::cast(DeviceMemory{own_memory(context)(std::max<std::size_t>(bytes, 1))});
}

}  // namespace
}  // namespace spiketune::python

NB_MODULE(_core, module) {
  using namespace spiketune;
  using namespace spiketune::python;
  nb::exception<Error>(module, "Error", PyExc_ValueError);
  module.def("format_names", &format_names);
  module.def("cuda_unavailable_reason", &why_no_cuda);
  module.def("takes_as_it_is", [](nb::handle array) { return torch_api(array) != nullptr; });
  module.def("encode", &encode, nb::arg("spikes"), nb::arg("format"), nb::arg("params").none(),
             nb::arg("kind"), nb::arg("row_order"), nb::arg("encoded_order"), nb::arg("k").none(),
             nb::arg("capacity").none(), nb::arg("density").none(), nb::arg("wait"),
             nb::arg("wide_indices"), nb::arg("stream").none(), nb::arg("allocate").none());
  module.def("spmm", &spmm, nb::arg("encoded"), nb::arg("weights"), nb::arg("out").none(),
             nb::arg("transposed"), nb::arg("stream").none(), nb::arg("allocate").none());
  module.def("lif", &fire, nb::arg("currents"), nb::arg("leak"), nb::arg("gain"),
             nb::arg("threshold"), nb::arg("reset"), nb::arg("reset_value"), nb::arg("convention"),
             nb::arg("state").none(), nb::arg("spikes").none(), nb::arg("after").none(),
             nb::arg("stream").none());
  module.def("device_array", &device_array);
  module.def("allocate_device", &allocate_device);
  nb::class_<DeviceMemory>(module, "DeviceMemory").def("data_ptr", [](const DeviceMemory& self) {
    return reinterpret_cast<std::uintptr_t>(self.block.data);
  });
  nb::class_<AnyEncoded>(module, "Encoded")
      .def_prop_ro("format", &AnyEncoded::format)
      .def_prop_ro("params", [](const AnyEncoded& self) { return self.params().dump(); })
      .def_prop_ro("shape",
                   [](const AnyEncoded& self) {
                     const SpikeShape& shape = self.layout().shape;
                     return nb::make_tuple(shape.timesteps, shape.rows, shape.k);
                   })
      .def_prop_ro(
          "row_order",
          [](const AnyEncoded& self) { return std::string(to_string(self.layout().row_order)); })
      .def_prop_ro(
          "kind", [](const AnyEncoded& self) { return std::string(to_string(self.layout().kind)); })
      .def_prop_ro("device", &device_of)
      .def_prop_ro("stream", &stream_of)
      .def_prop_ro("storage", [](const AnyEncoded& self) { return python_owner(self.storage()); })
      .def_prop_ro("nnz", [](const AnyEncoded& self) { return self.status().nnz; })
      .def_prop_ro("lost", [](const AnyEncoded& self) { return self.status().lost; })
      .def_prop_ro("bytes", &AnyEncoded::bytes)
      .def_prop_ro("array_names",
                   [](const AnyEncoded& self) {
                     std::vector<std::string> names;
                     for (const NamedArray& named : self.arrays()) {
                       if (named.array.type != DType::bit) names.push_back(named.name);
                     }
                     return names;
                   })
      .def("array", [](nb::handle self, const std::string& name) { return array_of(self, name); })
      .def("decode", &decode_to_numpy)
      .def("decode_into", &decode_into, nb::arg("spikes"), nb::arg("stream").none());
}
