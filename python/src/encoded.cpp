// Encodings: made of arrays, and their arrays as other libraries see them.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>

#include "module.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/encoders/dense.hpp"

namespace spiketune::python {
namespace {

using nlohmann::json;

ValueKind parse_kind(const std::string& name) {
  if (name == "binary") return ValueKind::binary;
  if (name == "graded2") return ValueKind::graded2;
  if (name == "graded") return ValueKind::graded;
  throw Error(ErrorCode::invalid_argument, "kind must be binary, graded2 or graded, not " + name);
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

std::unique_ptr<AnyEncoded> encode_array(nb::handle spikes, const std::string& format,
                                         const std::optional<std::string>& params,
                                         const std::string& kind, const std::string& row_order,
                                         const std::string& encoded_order,
                                         std::optional<std::uint32_t> k,
                                         std::optional<std::uint64_t> capacity,
                                         std::optional<double> density, std::optional<bool> wait,
                                         bool wide_indices, Stream stream, nb::object allocate) {
  const ArrayIn in = array_in(spikes, "spikes");
  const SpikeView view = spike_view(in, kind, row_order, k);
  const json chosen = params ? json::parse(*params) : json();
  const Context context = context_of(in, stream);
  const bool host = view.space == Space::host;
  const EncodeRequest request{parse_row_order(encoded_order), capacity, density, host ? true : wait,
                              wide_indices};
  const Allocate memory = allocator(context, in, std::move(allocate));
  return run_on(context,
                [&] { return encode_any(format, chosen, context, view, request, memory); });
}

/// The array of a format whose size follows from the shape, into memory of the caller's: bits of
/// rows, or the dense matrix, by the type of `output`. Bad spikes are not looked for; on a device
/// nothing waits.
void encode_into(nb::handle spikes, nb::handle output, std::optional<std::uint32_t> k,
                 Stream stream) {
  const ArrayIn in = array_in(spikes, "spikes");
  const ArrayIn out = array_in(output, "out");
  const SpikeView view = spike_view(in, "binary", "time-major", k);
  const EncodedLayout layout = layout_of(view, RowOrder::time_major);
  const bool bits = out.type == DType::bit;
  const std::size_t columns = bits ? ceil_div(layout.k(), 32) : layout.k();
  if (out.keep.is_valid() || out.device != in.device ||
      out.shape != std::vector<std::size_t>{static_cast<std::size_t>(layout.m()), columns}) {
    throw Error(ErrorCode::invalid_argument,
                "out must be contiguous, in the memory of the spikes, and have the shape [" +
                    std::to_string(layout.m()) + ", " + std::to_string(columns) + "]");
  }
  const Context context = context_of(in, stream);
  const Allocate memory = allocator(context, in, nb::none());
  const auto write = [&](auto format) {
    visit_context(context, [&](const auto& here) {
      const std::size_t bytes = encode_workspace_bytes(here, view, format);
      const Block block = memory(alignment + bytes);
      format.status = static_cast<EncodeStatus*>(block.data);
      encode(here, view, format, {static_cast<std::byte*>(block.data) + alignment, bytes});
    });
  };
  run_on(context, [&] {
    if (bits) {
      Bitmap bitmap = Bitmap::plan(layout, {});
      bitmap.words.data = static_cast<std::uint32_t*>(out.data);
      write(bitmap);
    } else {
      Dense dense = Dense::plan(layout, {out.type});
      dense.values.data = out.data;
      write(dense);
    }
  });
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

std::unique_ptr<AnyEncoded> windows(const AnyEncoded& encoded, std::uint32_t height,
                                    std::uint32_t width, std::uint32_t kernel_h,
                                    std::uint32_t kernel_w, std::uint32_t stride,
                                    std::uint32_t padding, Stream stream, nb::object allocate) {
  const Convolution convolution{height, width, kernel_h, kernel_w, stride, padding};
  ArrayIn where;
  where.device = device_of(encoded);
  const Context context = context_of(where, stream);
  const Allocate room = allocator(context, where, std::move(allocate));
  return run_on(context, [&] { return encoded.im2col(context, convolution, room); });
}

}  // namespace

const NamedArray* find_array(const AnyEncoded& encoded, const std::string& name) {
  for (const NamedArray& named : encoded.arrays()) {
    if (named.name == name && named.array.type != DType::bit) return &named;
  }
  return nullptr;
}

int device_of(const AnyEncoded& encoded) {
  const auto* device = std::get_if<CudaContext>(&encoded.context());
  return device == nullptr ? -1 : device->device;
}

void define_encoded(nb::module_& module) {
  nb::class_<AnyEncoded>(module, "Encoded")
      .def_prop_ro("format", &AnyEncoded::format)
      .def_prop_ro("params", [](const AnyEncoded& self) { return self.params().dump(); })
      .def_prop_ro("shape",
                   [](const AnyEncoded& self) {
                     const SpikeShape& shape = self.layout().shape;
                     return std::tuple(shape.timesteps, shape.rows, shape.k);
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
      .def("array", &array_of, nb::arg("name"))
      .def("decode", &decode_to_numpy)
      .def("decode_into", &decode_into, nb::arg("spikes"), nb::arg("stream").none());
  module.def("encode", &encode_array, nb::arg("spikes"), nb::arg("format"),
             nb::arg("params").none(), nb::arg("kind"), nb::arg("row_order"),
             nb::arg("encoded_order"), nb::arg("k").none(), nb::arg("capacity").none(),
             nb::arg("density").none(), nb::arg("wait").none(), nb::arg("wide_indices"),
             nb::arg("stream").none(), nb::arg("allocate").none());
  module.def("encode_into", &encode_into, nb::arg("spikes"), nb::arg("out"), nb::arg("k").none(),
             nb::arg("stream").none());
  module.def("im2col", &windows, nb::arg("encoded"), nb::arg("height"), nb::arg("width"),
             nb::arg("kernel_h"), nb::arg("kernel_w"), nb::arg("stride"), nb::arg("padding"),
             nb::arg("stream").none(), nb::arg("allocate").none());
}

}  // namespace spiketune::python
