#include "arrays.hpp"

#include <nanobind/stl/string.h>

#include <array>
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

struct OwnerOfPython {  // tells such a block from spiketune's own
  void operator()(PythonOwner* owner) const { delete owner; }
};

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
  if (!nb::try_cast(array, result.keep)) {
    throw nb::type_error((std::string(what) + " must be a contiguous array: NumPy's, or one with "
                                              "DLPack or __cuda_array_interface__")
                             .c_str());
  }
  const auto& in = result.keep;
  if (in.device_type() == nb::device::cuda::value) {
    result.device = in.device_id();
  } else if (in.device_type() != nb::device::cpu::value) {
    throw Error(ErrorCode::unsupported,
                std::string(what) + " must be in the memory of the host or of a CUDA device");
  }
  result.data = const_cast<void*>(static_cast<const void*>(in.data()));
  for (std::size_t i = 0; i < in.ndim(); ++i) result.shape.push_back(in.shape(i));
  result.type = type_of(in.dtype(), what);
  return result;
}

Context context_of(const ArrayIn& array, std::uintptr_t stream) {
  if (array.device < 0) return HostContext{};
  return cuda_context(array.device, reinterpret_cast<CUstream_st*>(stream));
}

Allocate allocator(const Context& context, nb::object allocate) {
  if (allocate.is_none()) {
    return own_memory(context);
  }
  return [allocate = std::move(allocate)](std::size_t bytes) {
    nb::object memory = allocate(bytes);
    void* data = reinterpret_cast<void*>(nb::cast<std::uintptr_t>(memory.attr("data_ptr")()));
    return Block{data,
                 std::shared_ptr<PythonOwner>(new PythonOwner(std::move(memory)), OwnerOfPython{})};
  };
}

nb::object python_owner(const Block& block) {
  if (std::get_deleter<OwnerOfPython>(block.owner) == nullptr) return nb::none();
  return static_cast<PythonOwner*>(block.owner.get())->object;
}

nb::dlpack::dtype dlpack_type(DType type, bool device) {
  using Code = nb::dlpack::dtype_code;
  const auto code = [&] {
    if (type == DType::f16 || type == DType::f32) return Code::Float;
    return type == DType::bf16 && device ? Code::Bfloat : Code::UInt;
  };
  return {static_cast<std::uint8_t>(code()), static_cast<std::uint8_t>(bits_of(type)), 1};
}

}  // namespace spiketune::python
