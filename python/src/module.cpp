// The module spiketune._core: arrays come in through DLPack or the buffer protocol and leave as
// NumPy arrays over the same memory. python/spiketune/__init__.py is what users see.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>

#include "encoded.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/encoders/lif.hpp"

namespace nb = nanobind;

namespace spiketune::python {
namespace {

using nlohmann::json;
using In = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<nb::numpy>;

constexpr nb::dlpack::dtype numpy_type(DType type) {
  const auto code = [](nb::dlpack::dtype_code kind) { return static_cast<std::uint8_t>(kind); };
  const auto bits = static_cast<std::uint8_t>(bits_of(type));
  if (type == DType::f16 || type == DType::f32)
    return {code(nb::dlpack::dtype_code::Float), bits, 1};
  // NumPy has no bfloat16: its bits.
  return {code(nb::dlpack::dtype_code::UInt), bits, 1};
}

DType type_of(const In& array, const char* what) {
  const nb::dlpack::dtype type = array.dtype();
  const auto is = [&](nb::dlpack::dtype_code code, unsigned bits) {
    return type.code == static_cast<std::uint8_t>(code) && type.bits == bits;
  };
  using Code = nb::dlpack::dtype_code;
  if (is(Code::UInt, 8) || is(Code::Int, 8) || is(Code::Bool, 8)) return DType::u8;
  if (is(Code::UInt, 32)) return DType::bit;
  if (is(Code::Float, 16)) return DType::f16;
  if (is(Code::Bfloat, 16)) return DType::bf16;
  if (is(Code::Float, 32)) return DType::f32;
  throw Error(ErrorCode::invalid_argument,
              std::string(what) + " must be of type uint8, bool, float16, bfloat16 or float32");
}

/// [T, rows, K] of an array [rows, K] or [T, rows, K].
SpikeShape shape_of(const In& array, const char* what) {
  if (array.ndim() != 2 && array.ndim() != 3) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " must have the shape [rows, K] " +
                                                 "or [T, rows, K], not " +
                                                 std::to_string(array.ndim()) + " dimensions");
  }
  constexpr std::uint64_t most = 0xfffffffeu;
  const bool steps = array.ndim() == 3;
  const std::uint64_t timesteps = steps ? array.shape(0) : 1;
  const std::uint64_t k = array.shape(array.ndim() - 1);
  if (timesteps > most || k > most) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " is too large");
  }
  return {static_cast<std::uint32_t>(timesteps), array.shape(array.ndim() - 2),
          static_cast<std::uint32_t>(k)};
}

ValueKind parse_kind(const std::string& name) {
  if (name == "binary") return ValueKind::binary;
  if (name == "graded2") return ValueKind::graded2;
  if (name == "graded") return ValueKind::graded;
  throw Error(ErrorCode::invalid_argument, "kind must be binary, graded2 or graded, not " + name);
}

json parse_params(const std::optional<std::string>& text) {
  return text ? json::parse(*text) : json();
}

/// A new NumPy array.
Out make_array(DType type, std::initializer_list<std::size_t> shape) {
  std::size_t count = 1;
  for (const std::size_t size : shape) count *= size;
  auto* bytes = new std::byte[std::max<std::size_t>(count * bits_of(type) / 8, 1)];
  const nb::capsule owner(bytes,
                          [](void* data) noexcept { delete[] static_cast<std::byte*>(data); });
  return Out(bytes, shape, owner, {}, numpy_type(type));
}

std::unique_ptr<AnyEncoded> encode(const In& spikes, const std::string& format,
                                   const std::optional<std::string>& params,
                                   const std::string& kind, const std::string& row_order,
                                   const std::string& encoded_order,
                                   std::optional<std::uint32_t> k) {
  SpikeView view{spikes.data(),    shape_of(spikes, "spikes"), type_of(spikes, "spikes"),
                 parse_kind(kind), parse_row_order(row_order), Space::host};
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
  const json chosen = parse_params(params);
  const RowOrder order = parse_row_order(encoded_order);
  const nb::gil_scoped_release release;
  return encode_any(format, chosen, view, order);
}

nb::object array_of(nb::handle self, const std::string& name) {
  const auto& encoded = nb::cast<const AnyEncoded&>(self);
  for (const NamedArray& named : encoded.arrays()) {
    if (named.name != name || named.array.type == DType::bit) continue;
    const std::size_t size = named.array.size;
    return nb::cast(nb::ndarray<nb::numpy, nb::ro>(named.array.data, {size}, self, {},
                                                   numpy_type(named.array.type)));
  }
  return nb::none();
}

Out decode(const AnyEncoded& encoded) {
  const EncodedLayout& layout = encoded.layout();
  const bool real = layout.kind == ValueKind::graded;
  const DType storage = real ? DType::f32 : DType::u8;
  const SpikeShape& shape = layout.shape;
  Out result =
      make_array(storage, {shape.timesteps, static_cast<std::size_t>(shape.rows), shape.k});
  encoded.decode({result.data(), shape, storage, layout.kind, RowOrder::time_major, Space::host});
  return result;
}

Out spmm(const AnyEncoded& encoded, const In& weights) {
  if (weights.ndim() != 2) throw Error(ErrorCode::invalid_argument, "W must have the shape [K, N]");
  const DType type = type_of(weights, "W");
  constexpr std::uint64_t most = 0xfffffffeu;
  if (weights.shape(0) > most || weights.shape(1) > most) {
    throw Error(ErrorCode::invalid_argument, "W is too large");
  }
  const WeightView w{weights.data(), type, static_cast<std::uint32_t>(weights.shape(0)),
                     static_cast<std::uint32_t>(weights.shape(1)), Space::host};
  const std::uint64_t m = encoded.layout().m();
  Out result = make_array(DType::f32, {static_cast<std::size_t>(m), w.n});
  const OutputView y{result.data(), DType::f32, m, w.n, Space::host};
  const nb::gil_scoped_release release;
  encoded.spmm(w, y);
  return result;
}

nb::tuple fire(const In& currents, float leak, float gain, float threshold,
               const std::string& reset, float reset_value, const std::string& convention,
               const std::optional<In>& state) {
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
  const CurrentView view{currents.data(), shape_of(currents, "currents"),
                         type_of(currents, "currents"), Space::host};
  const auto rows = static_cast<std::size_t>(view.shape.rows);
  if (state && (state->ndim() != 2 || state->shape(0) != rows || state->shape(1) != view.shape.k ||
                type_of(*state, "state") != DType::f32)) {
    throw Error(ErrorCode::invalid_argument,
                "state must be float32 of the shape [rows, N] of the currents");
  }
  Out spikes = make_array(DType::u8, {view.shape.timesteps, rows, view.shape.k});
  Out after = make_array(DType::f32, {rows, view.shape.k});
  const LifState memory{state ? static_cast<const float*>(state->data()) : nullptr,
                        static_cast<float*>(after.data())};
  {
    const nb::gil_scoped_release release;
    lif(HostContext{}, view, params, memory,
        {spikes.data(), view.shape, DType::u8, ValueKind::binary, RowOrder::time_major,
         Space::host});
  }
  return nb::make_tuple(spikes, after);
}

}  // namespace
}  // namespace spiketune::python

NB_MODULE(_core, module) {
  using namespace spiketune;
  using namespace spiketune::python;
  nb::exception<Error>(module, "Error", PyExc_ValueError);
  module.def("format_names", &format_names);
  module.def("encode", &encode, nb::arg("spikes"), nb::arg("format"), nb::arg("params").none(),
             nb::arg("kind"), nb::arg("row_order"), nb::arg("encoded_order"), nb::arg("k").none());
  module.def("spmm", &spmm, nb::arg("encoded"), nb::arg("weights"));
  module.def("lif", &fire, nb::arg("currents"), nb::arg("leak"), nb::arg("gain"),
             nb::arg("threshold"), nb::arg("reset"), nb::arg("reset_value"), nb::arg("convention"),
             nb::arg("state").none());
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
      .def("decode", [](const AnyEncoded& self) { return decode(self); });
}
