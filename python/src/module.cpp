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
#include "spiketune/encoders/bitmap.hpp"
#include "spiketune/encoders/dense.hpp"
#include "spiketune/encoders/lif.hpp"
#include "spiketune/kernels/lif_gradient.hpp"

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

std::unique_ptr<AnyEncoded> encode_array(nb::handle spikes, const std::string& format,
                                         const std::optional<std::string>& params,
                                         const std::string& kind, const std::string& row_order,
                                         const std::string& encoded_order,
                                         std::optional<std::uint32_t> k,
                                         std::optional<std::uint64_t> capacity,
                                         std::optional<double> density, bool wait,
                                         bool wide_indices, Stream stream, nb::object allocate) {
  const ArrayIn in = array_in(spikes, "spikes");
  const SpikeView view = spike_view(in, kind, row_order, k);
  const json chosen = params ? json::parse(*params) : json();
  const Context context = context_of(in, stream);
  const bool host = view.space == Space::host;
  const EncodeRequest request{parse_row_order(encoded_order), capacity, density, wait || host,
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

WeightView weight_view(const ArrayIn& array, const char* shape_in_words) {
  array.check_matrix("W", shape_in_words);
  return {array.data, array.type, static_cast<std::uint32_t>(array.shape[0]),
          static_cast<std::uint32_t>(array.shape[1]), array.space()};
}

/// Quantised weights, and whose array they were made of.
struct Quantised {
  PreparedWeights made;
  const ExchangeApi* torch;
};

struct WeightsIn {
  ArrayIn array;  ///< of quantised weights: where they are
  WeightView view;
  Workspace prepared;
};

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

/// dY
GradientView gradient_view(const ArrayIn& array) {
  array.check_matrix("the gradient", "[T * rows, N]");
  return {array.data, array.type, array.shape[0], static_cast<std::uint32_t>(array.shape[1]),
          array.space()};
}

/// A matrix to write into, and the object that is returned: None where it was given.
struct Result {
  OutputView view;
  nb::object object;
};

/// `output` where it is given, else of f32: a new tensor of PyTorch's for its array on a device, or
/// a new NumPy array for one on the host.
/// \param like   the array in whose memory it is, `what` in errors
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

/// Bits of time-major rows [T, rows, ceil(n / 32)] in memory of the caller's, like `like`.
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
    throw Error(ErrorCode::invalid_argument,
                "the gradient must have a row for each of the " +
                    std::to_string(given.timesteps * given.rows) + " of the spikes, not " +
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
  module.def("takes_as_it_is", [](nb::handle array) {
    const Quantised* quantised = nullptr;
    if (torch_api(array) != nullptr) return true;
    return nb::try_cast(array, quantised) && quantised->torch != nullptr;
  });
  module.def("quantize", &quantize_array, nb::arg("weights"), nb::arg("bits"),
             nb::arg("stream").none());
  module.def("encode", &encode_array, nb::arg("spikes"), nb::arg("format"),
             nb::arg("params").none(), nb::arg("kind"), nb::arg("row_order"),
             nb::arg("encoded_order"), nb::arg("k").none(), nb::arg("capacity").none(),
             nb::arg("density").none(), nb::arg("wait"), nb::arg("wide_indices"),
             nb::arg("stream").none(), nb::arg("allocate").none());
  module.def("encode_into", &encode_into, nb::arg("spikes"), nb::arg("out"), nb::arg("k").none(),
             nb::arg("stream").none());
  module.def("spmm", &spmm, nb::arg("encoded"), nb::arg("weights"), nb::arg("out").none(),
             nb::arg("transposed"), nb::arg("stream").none(), nb::arg("allocate").none());
  module.def("lif", &fire, nb::arg("currents"), nb::arg("leak"), nb::arg("gain"),
             nb::arg("threshold"), nb::arg("reset"), nb::arg("reset_value"), nb::arg("convention"),
             nb::arg("state").none(), nb::arg("spikes").none(), nb::arg("after").none(),
             nb::arg("stream").none());
  module.def("weight_gradient", &gradient_of_weights, nb::arg("encoded"), nb::arg("gradient"),
             nb::arg("out").none(), nb::arg("stream").none(), nb::arg("allocate").none());
  module.def("spike_gradient", &gradient_of_spikes, nb::arg("gradient"), nb::arg("weights"),
             nb::arg("mask"), nb::arg("values").none(), nb::arg("out").none(),
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
  module.def("lif_gradient", &gradient_of_currents, nb::arg("gradient"), nb::arg("spikes"),
             nb::arg("near"), nb::arg("leak"), nb::arg("gain"), nb::arg("threshold"),
             nb::arg("reset"), nb::arg("reset_value"), nb::arg("convention"), nb::arg("width"),
             nb::arg("factor"), nb::arg("out"), nb::arg("stream").none());
  module.def("im2col", &windows, nb::arg("encoded"), nb::arg("height"), nb::arg("width"),
             nb::arg("kernel_h"), nb::arg("kernel_w"), nb::arg("stride"), nb::arg("padding"),
             nb::arg("stream").none(), nb::arg("allocate").none());
  module.def("device_array", &device_array);
  module.def("allocate_device", &allocate_device);
  nb::class_<DeviceMemory>(module, "DeviceMemory").def("data_ptr", [](const DeviceMemory& self) {
    return reinterpret_cast<std::uintptr_t>(self.block.data);
  });
  nb::class_<Quantised>(module, "QuantisedWeights")
      .def_prop_ro("bits",
                   [](const Quantised& self) { return bits_of(self.made.weights.view.type); })
      .def_prop_ro("shape",
                   [](const Quantised& self) {
                     const WeightView& view = self.made.weights.view;
                     return nb::make_tuple(view.k, view.n);
                   })
      .def_prop_ro("device",
                   [](const Quantised& self) {
                     const auto* cuda = std::get_if<CudaContext>(&self.made.context);
                     return cuda == nullptr ? -1 : cuda->device;
                   })
      .def_prop_ro("relative_error",
                   [](const Quantised& self) { return self.made.weights.relative_error; })
      .def_prop_ro("largest_error",
                   [](const Quantised& self) { return self.made.weights.largest_error; })
      .def_prop_ro("integers", [](const Quantised& self) { return part_of(self, false); })
      .def_prop_ro("scales", [](const Quantised& self) { return part_of(self, true); });
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
