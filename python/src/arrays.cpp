#include "arrays.hpp"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "spiketune/core/error.hpp"

namespace spiketune::python {
namespace {

[[noreturn]] void bad_type(const char* what) {
  throw Error(ErrorCode::invalid_argument,
              std::string(what) + " must be of type uint8, bool, float16, bfloat16 or float32");
}

DType type_of(nb::dlpack::dtype type, const char* what) {
  const auto is = [&](nb::dlpack::dtype_code code, unsigned bits) {
    return type.code == static_cast<std::uint8_t>(code) && type.bits == bits;
  };
  using Code = nb::dlpack::dtype_code;
  if (is(Code::UInt, 8) || is(Code::Int, 8) || is(Code::Bool, 8)) return DType::u8;
  if (is(Code::UInt, 32)) return DType::bit;
  if (is(Code::Float, 16)) return DType::f16;
  if (is(Code::Bfloat, 16)) return DType::bf16;
  if (is(Code::Float, 32)) return DType::f32;
  bad_type(what);
}

DType type_of(const std::string& name, const char* what) {
  constexpr std::array<std::pair<std::string_view, DType>, 8> names{{{"uint8", DType::u8},
                                                                     {"int8", DType::u8},
                                                                     {"bool", DType::u8},
                                                                     {"uint32", DType::bit},
                                                                     {"float16", DType::f16},
                                                                     {"bfloat16", DType::bf16},
                                                                     {"float32", DType::f32},
                                                                     {"int32", DType::bit}}};
  for (const auto& [known, type] : names) {
    if (name == known) return type;
  }
  bad_type(what);
}

/// What keeps a block alive, if it is a Python object: released with the GIL.
struct PythonOwner {
  nb::object object;
  explicit PythonOwner(nb::object value) : object(std::move(value)) {}
  PythonOwner(const PythonOwner&) = delete;
  PythonOwner& operator=(const PythonOwner&) = delete;
  ~PythonOwner() {
    const nb::gil_scoped_acquire gil;
    object.reset();
  }
};

/// Tells a block of that owner from others.
template <class Owner>
struct OwnerOfKind {
  void operator()(Owner* owner) const { delete owner; }
};

template <class Owner>
Block block_of(void* data, Owner* owner) {
  return {data, std::shared_ptr<Owner>(owner, OwnerOfKind<Owner>{})};
}

template <class Owner>
Owner* owner_of(const Block& block) {
  const bool same = std::get_deleter<OwnerOfKind<Owner>>(block.owner) != nullptr;
  return same ? static_cast<Owner*>(block.owner.get()) : nullptr;
}

bool is_contiguous(const nb::dlpack::dltensor& tensor) {
  if (std::find(tensor.shape, tensor.shape + tensor.ndim, 0) != tensor.shape + tensor.ndim) {
    return true;
  }
  std::int64_t expected = 1;
  for (std::int32_t i = tensor.ndim; i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

/// CUDA device; -1: the host's.
int device_of(std::int32_t kind, std::int32_t index, const char* what) {
  if (kind == nb::device::cuda::value) return index;
  if (kind == nb::device::cpu::value) return -1;
  throw Error(ErrorCode::unsupported,
              std::string(what) + " must be in the memory of the host or of a CUDA device");
}

ArrayIn array_of_torch(const ExchangeApi& api, nb::handle array, const char* what) {
  nb::dlpack::dltensor tensor;
  if (api.view(array.ptr(), &tensor) != 0) {
    PyErr_Clear();
    const nb::object layout = array.attr("layout"), device = array.attr("device");
    const std::string kind = nb::str(layout).c_str();
    if (kind != "torch.strided") {
      throw Error(ErrorCode::unsupported, std::string(what) + " must be strided, not " + kind);
    }
    throw Error(ErrorCode::unsupported,
                std::string(what) +
                    " must be in the memory of the host or of a CUDA device, not on " +
                    nb::str(device).c_str());
  }
  ArrayIn result;
  if (!is_contiguous(tensor)) {
    nb::object copy = array.attr("contiguous")();
    result = array_of_torch(api, copy, what);
    result.keep = std::move(copy);
    return result;
  }
  // PyTorch computes with signed words.
  if (tensor.dtype.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Int) &&
      tensor.dtype.bits == 32) {
    tensor.dtype.code = static_cast<std::uint8_t>(nb::dlpack::dtype_code::UInt);
  }
  result.device = device_of(tensor.device.device_type, tensor.device.device_id, what);
  result.data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  result.shape.assign(tensor.shape, tensor.shape + tensor.ndim);
  result.type = type_of(tensor.dtype, what);
  result.torch = &api;
  return result;
}

}  // namespace

SpikeShape ArrayIn::spike_shape(const char* what) const {
  if (shape.size() != 2 && shape.size() != 3) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " must have the shape [rows, K] " +
                                                 "or [T, rows, K], not " +
                                                 std::to_string(shape.size()) + " dimensions");
  }
  constexpr std::uint64_t most = 0xfffffffeu;
  const std::uint64_t timesteps = shape.size() == 3 ? shape[0] : 1;
  const std::uint64_t k = shape.back();
  if (timesteps > most || k > most) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " is too large");
  }
  return {static_cast<std::uint32_t>(timesteps), shape[shape.size() - 2],
          static_cast<std::uint32_t>(k)};
}

void ArrayIn::check_matrix(const char* what, const char* shape_in_words) const {
  if (shape.size() != 2) {
    throw Error(ErrorCode::invalid_argument,
                std::string(what) + " must have the shape " + shape_in_words);
  }
  if (shape[0] > 0xfffffffeu || shape[1] > 0xfffffffeu) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " is too large");
  }
}

ArrayIn array_in(nb::handle array, const char* what) {
  ArrayIn result;
  if (nb::isinstance<nb::tuple>(array)) {
    const auto parts = nb::borrow<nb::tuple>(array);
    result.data = reinterpret_cast<void*>(nb::cast<std::uintptr_t>(parts[0]));
    for (const nb::handle size : parts[1]) result.shape.push_back(nb::cast<std::size_t>(size));
    result.type = type_of(nb::cast<std::string>(parts[2]), what);
    result.device = nb::cast<int>(parts[3]);
    return result;
  }
  if (const ExchangeApi* torch = torch_api(array)) return array_of_torch(*torch, array, what);
  if (!nb::try_cast(array, result.view)) {
    throw nb::type_error((std::string(what) + " must be a contiguous array: NumPy's, or one with "
                                              "DLPack or __cuda_array_interface__")
                             .c_str());
  }
  const auto& in = result.view;
  result.device = device_of(in.device_type(), in.device_id(), what);
  result.data = const_cast<void*>(static_cast<const void*>(in.data()));
  for (std::size_t i = 0; i < in.ndim(); ++i) result.shape.push_back(in.shape(i));
  result.type = type_of(in.dtype(), what);
  return result;
}

Context context_of(const ArrayIn& array, std::optional<std::uintptr_t> stream) {
  if (array.device < 0) return HostContext{};
  void* current = reinterpret_cast<void*>(stream.value_or(0));
  if (!stream && array.torch != nullptr &&
      array.torch->current_stream(nb::device::cuda::value, array.device, &current) != 0) {
    nb::raise_python_error();
  }
  return cuda_context(array.device, static_cast<CUstream_st*>(current));
}

Allocate allocator(const Context& context, const ArrayIn& array, nb::object allocate) {
  if (!allocate.is_none()) {
    return [allocate = std::move(allocate)](std::size_t bytes) {
      nb::object memory = allocate(bytes);
      void* data = reinterpret_cast<void*>(nb::cast<std::uintptr_t>(memory.attr("data_ptr")()));
      return block_of(data, new PythonOwner(std::move(memory)));
    };
  }
  if (array.torch == nullptr || array.device < 0) return own_memory(context);
  return [api = array.torch, here = std::get<CudaContext>(context)](std::size_t bytes) {
    auto memory = TorchMemory::of_bytes(*api, bytes, here);
    void* data = memory->data();
    return block_of(data, memory.release());
  };
}

nb::object python_owner(const Block& block) {
  if (auto* owner = owner_of<PythonOwner>(block)) return owner->object;
  if (auto* owner = owner_of<TorchMemory>(block)) return owner->object();
  return nb::none();
}

Numpy make_array(DType type, std::initializer_list<std::size_t> shape) {
  std::size_t count = 1;
  for (const std::size_t size : shape) count *= size;
  auto* bytes = new std::byte[std::max<std::size_t>(count * bits_of(type) / 8, 1)];
  const nb::capsule owner(bytes,
                          [](void* data) noexcept { delete[] static_cast<std::byte*>(data); });
  return Numpy(bytes, shape, owner, {}, dlpack_type(type, false));
}

nb::dlpack::dtype dlpack_type(DType type, bool device) {
  using Code = nb::dlpack::dtype_code;
  const auto code = [&] {
    if (type == DType::f16 || type == DType::f32) return Code::Float;
    if (type == DType::s8) return Code::Int;
    return type == DType::bf16 && device ? Code::Bfloat : Code::UInt;
  };
  return {static_cast<std::uint8_t>(code()), static_cast<std::uint8_t>(bits_of(type)), 1};
}

}  // namespace spiketune::python
