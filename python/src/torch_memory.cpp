#include "torch_memory.hpp"

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
