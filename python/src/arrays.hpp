#pragma once
/// \file
/// Arrays of other libraries: as views on the way in, as owners of memory on the way out.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "spiketune/c/encoded.hpp"
#include "torch_memory.hpp"

namespace spiketune::python {

using namespace bindings;
using Numpy = nb::ndarray<nb::numpy>;

/// An array that came in, contiguous. Kept alive by the caller's argument, `keep` or `view`.
struct ArrayIn {
  void* data = nullptr;
  std::vector<std::size_t> shape;
  DType type = DType::u8;
  int device = -1;                     ///< of CUDA; -1: host memory
  const ExchangeApi* torch = nullptr;  ///< of PyTorch: its stream and its memory are meant
  nb::object keep;
  nb::ndarray<nb::ro, nb::c_contig> view;

  [[nodiscard]] Space space() const { return device < 0 ? Space::host : Space::device; }
  /// [T, rows, K] of an array [rows, K] or [T, rows, K].
  [[nodiscard]] SpikeShape spike_shape(const char* what) const;
  /// Sizes of a matrix of less than 2^32 columns.
  void check_matrix(const char* what, const char* shape_in_words) const;
};

/// \param array   a tensor of PyTorch's with the exchange API; anything with DLPack or the buffer
///                protocol; or a tuple (address, shape, name of the type, CUDA device) of memory
///                that the caller keeps
/// \param what    its name in errors
[[nodiscard]] ArrayIn array_in(nb::handle array, const char* what);

/// Where a call on such an array runs; without a stream, on PyTorch's current one for its tensors
/// and on the default one for others. Throws Error(unsupported) without the CUDA backend.
[[nodiscard]] Context context_of(const ArrayIn& array, std::optional<std::uintptr_t> stream);

/// Calls `allocate(bytes)`, which returns an object with data_ptr(), where it is not None; on a
/// device, PyTorch's memory for an array of its own; memory of spiketune's own otherwise:
/// stream-ordered on a device.
[[nodiscard]] Allocate allocator(const Context& context, const ArrayIn& array, nb::object allocate);

/// The Python object of a block that allocator() made of Python's memory; None for spiketune's own.
[[nodiscard]] nb::object python_owner(const Block& block);

/// A new NumPy array.
[[nodiscard]] Numpy make_array(DType type, std::initializer_list<std::size_t> shape);

/// A type as DLPack has it: bfloat16 as 16 bits on the host, because NumPy has none.
[[nodiscard]] nb::dlpack::dtype dlpack_type(DType type, bool device);

}  // namespace spiketune::python
