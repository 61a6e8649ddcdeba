#include "torch_memory.hpp"

#include <memory>
#include <string>

#include "spiketune/core/error.hpp"

namespace spiketune::python {
namespace {

struct Torch {
  PyTypeObject* tensor = nullptr;
  const ExchangeApi* api = nullptr;
};

Torch find_torch() {
  PyObject* modules = PyImport_GetModuleDict();
  const nb::handle module = PyDict_GetItemString(modules, "torch");
  if (!module.is_valid()) return {};
  nb::object tensor = nb::getattr(module, "Tensor", nb::none());
  if (!PyType_Check(tensor.ptr())) return {};
  Torch result;
  const nb::object capsule = nb::getattr(tensor, "__dlpack_c_exchange_api__", nb::none());
  if (PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api") != 0) {
    const auto* api =
        static_cast<const ExchangeApi*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
    if (api->version[0] == 1 && api->view != nullptr) result.api = api;
  }
  result.tensor = reinterpret_cast<PyTypeObject*>(tensor.release().ptr());
  return result;
}

/// The error becomes an exception when the call is over.
void keep_message(void* context, const char*, const char* message) {
  *static_cast<std::string*>(context) = message;
}

/// Functions of torch._C: bytes of the current device from PyTorch's pool for a stream, and back.
/// Null where one of them is missing.
struct Pool {
  PyObject* current_device = nullptr;
  PyObject* allocate = nullptr;
  PyObject* release = nullptr;
};

const Pool& pool() {
  static const Pool result = [] {
    const nb::object module = nb::module_::import_("torch._C");
    const auto find = [&](const char* name) -> PyObject* {
      return nb::hasattr(module, name) ? nb::getattr(module, name).release().ptr() : nullptr;
    };
    return Pool{find("_cuda_getDevice"), find("_cuda_cudaCachingAllocator_raw_alloc"),
                find("_cuda_cudaCachingAllocator_raw_delete")};
  }();
  return result;
}

bool takes_from_pool(int device) {
  const auto [current_device, allocate, release] = pool();
  if (current_device == nullptr || allocate == nullptr || release == nullptr) return false;
  const nb::object current = nb::steal(PyObject_CallFunctionObjArgs(current_device, nullptr));
  if (!current.is_valid()) nb::raise_python_error();
  return PyLong_AsLong(current.ptr()) == device;
}

/// A tensor of bytes of the pool.
struct PoolTensor : ManagedTensor {
  std::int64_t size = 0;
  std::int64_t stride = 1;
};

void release(ManagedTensor* self) {
  const std::unique_ptr<PoolTensor> tensor(static_cast<PoolTensor*>(self));
  if (tensor->tensor.data == nullptr || Py_IsInitialized() == 0) return;
  const nb::gil_scoped_acquire gil;
  PyObject *type, *value, *trace;  // of an exception that is on its way
  PyErr_Fetch(&type, &value, &trace);
  const nb::object address = nb::steal(PyLong_FromVoidPtr(tensor->tensor.data));
  const nb::object done =
      nb::steal(PyObject_CallFunctionObjArgs(pool().release, address.ptr(), nullptr));
  if (!done.is_valid()) PyErr_Clear();
  PyErr_Restore(type, value, trace);
}

}  // namespace

const ExchangeApi* torch_api(nb::handle array) {
  static Torch torch;
  if (torch.tensor == nullptr) torch = find_torch();
  if (torch.api == nullptr) return nullptr;
  return PyType_IsSubtype(Py_TYPE(array.ptr()), torch.tensor) != 0 ? torch.api : nullptr;
}

TorchMemory::TorchMemory(const ExchangeApi& api, nb::dlpack::dtype type,
                         std::initializer_list<std::int64_t> shape, int device)
    : api_(api) {
  nb::dlpack::dltensor prototype;
  prototype.device = {nb::device::cuda::value, device};
  prototype.ndim = static_cast<std::int32_t>(shape.size());
  prototype.dtype = type;
  prototype.shape = const_cast<std::int64_t*>(shape.begin());
  std::string message;
  if (api.allocate(&prototype, &tensor_, &message, &keep_message) != 0) {
    throw Error(ErrorCode::out_of_memory, message);
  }
  data_ = static_cast<std::byte*>(tensor_->tensor.data) + tensor_->tensor.byte_offset;
}

std::unique_ptr<TorchMemory> TorchMemory::of_bytes(const ExchangeApi& api, std::size_t bytes,
                                                   const CudaContext& context) {
  const nb::dlpack::dtype byte{static_cast<std::uint8_t>(nb::dlpack::dtype_code::UInt), 8, 1};
  const auto count = static_cast<std::int64_t>(bytes);
  if (!takes_from_pool(context.device)) {
    return std::make_unique<TorchMemory>(api, byte, std::initializer_list<std::int64_t>{count},
                                         context.device);
  }
  const nb::object size = nb::steal(PyLong_FromSize_t(bytes));
  const nb::object address = nb::steal(PyLong_FromVoidPtr(context.stream));
  const nb::object made =
      nb::steal(PyObject_CallFunctionObjArgs(pool().allocate, size.ptr(), address.ptr(), nullptr));
  if (!made.is_valid()) {
    const nb::python_error error;
    throw Error(ErrorCode::out_of_memory, nb::str(error.value()).c_str());
  }
  auto* tensor = new PoolTensor;
  tensor->version[0] = api.version[0];
  tensor->version[1] = api.version[1];
  tensor->manager = nullptr;
  tensor->deleter = &release;
  tensor->flags = 0;
  tensor->size = count;
  nb::dlpack::dltensor& view = tensor->tensor;
  view.data = PyLong_AsVoidPtr(made.ptr());
  view.device = {nb::device::cuda::value, context.device};
  view.ndim = 1;
  view.dtype = byte;
  view.shape = &tensor->size;
  view.strides = &tensor->stride;
  view.byte_offset = 0;
  return std::unique_ptr<TorchMemory>(new TorchMemory(api, tensor));
}

TorchMemory::~TorchMemory() {
  if (tensor_ != nullptr) tensor_->deleter(tensor_);
  if (!object_.is_valid()) return;
  const nb::gil_scoped_acquire gil;
  object_.reset();
}

nb::object TorchMemory::object() {
  if (tensor_ != nullptr) {
    void* made = nullptr;
    const int failed = api_.to_object(tensor_, &made);
    tensor_ = nullptr;
    if (failed != 0) nb::raise_python_error();
    object_ = nb::steal(static_cast<PyObject*>(made));
  }
  return object_;
}

}  // namespace spiketune::python
