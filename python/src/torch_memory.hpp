#pragma once
/// \file
/// PyTorch's tensors without a call of Python's: DLPack's C exchange API (dlpack.h 1.3), a table of
/// functions that the type of tensors has in PyTorch 2.11 and later.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "spiketune/c/memory.hpp"
#include "spiketune/core/context.hpp"

namespace spiketune::python {

namespace nb = nanobind;

/// DLManagedTensorVersioned.
struct ManagedTensor {
  std::uint32_t version[2];
  void* manager;
  void (*deleter)(ManagedTensor* self);
  std::uint64_t flags;
  nb::dlpack::dltensor tensor;
};

/// DLPackExchangeAPI. Functions return 0, or -1 with Python's error set.
struct ExchangeApi {
  using SetError = void (*)(void* context, const char* kind, const char* message);
  std::uint32_t version[2];
  ExchangeApi* previous;
  int (*allocate)(nb::dlpack::dltensor* prototype, ManagedTensor** out, void* context, SetError);
  int (*from_object)(void* object, ManagedTensor** out);
  int (*to_object)(ManagedTensor* tensor, void** out);  ///< takes the tensor over
  int (*view)(void* object, nb::dlpack::dltensor* out);
  int (*current_stream)(std::int32_t device_type, std::int32_t device, void** out);
};

/// Of PyTorch, where `array` is one of its tensors and it has the API; else null.
[[nodiscard]] const ExchangeApi* torch_api(nb::handle array);

/// A tensor of PyTorch's own that nobody has seen yet.
class TorchMemory {
 public:
  /// Made on its current stream. Throws Error(out_of_memory) with PyTorch's sentence.
  TorchMemory(const ExchangeApi& api, nb::dlpack::dtype type,
              std::initializer_list<std::int64_t> shape, int device);
  /// Bytes for a stream of PyTorch's: where its device is current they come from the pool, and a
  /// tensor around them is made when object() is called. Throws as the constructor.
  [[nodiscard]] static std::unique_ptr<TorchMemory> of_bytes(const ExchangeApi& api,
                                                             std::size_t bytes,
                                                             const CudaContext& context);
  TorchMemory(const TorchMemory&) = delete;
  TorchMemory& operator=(const TorchMemory&) = delete;
  ~TorchMemory();

  [[nodiscard]] void* data() const { return data_; }
  /// As Python sees it; the same object each time.
  [[nodiscard]] nb::object object();

 private:
  TorchMemory(const ExchangeApi& api, ManagedTensor* tensor)
      : api_(api), tensor_(tensor), data_(tensor->tensor.data) {}

  const ExchangeApi& api_;
  ManagedTensor* tensor_ = nullptr;
  void* data_ = nullptr;
  nb::object object_;
};

}  // namespace spiketune::python
