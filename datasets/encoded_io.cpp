#include "spiketune/datasets/encoded_io.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>

#include "spiketune/core/error.hpp"
#include "spiketune/datasets/npy_elements.hpp"
#include "spiketune/datasets/npz.hpp"
#include "spiketune/datasets/to_spikes.hpp"

namespace spiketune {
namespace {

constexpr std::uint64_t most_entries = std::numeric_limits<std::int32_t>::max();
constexpr std::uint32_t most_block_size = 65536;

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::parse) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

/// Offsets of `segments` runs: from 0, ascending, to `entries`. Returns what is wrong, or "".
std::string wrong_offsets(std::span<const std::uint32_t> offsets, std::uint64_t segments,
                          std::uint64_t entries) {
  if (offsets.size() != segments + 1) {
    return fmt::format("there are {} offsets, not {}", offsets.size(), segments + 1);
  }
  if (offsets.front() != 0) return "the first offset is not 0";
  const auto descent = std::adjacent_find(offsets.begin(), offsets.end(), std::greater<>());
  if (descent != offsets.end()) {
    return fmt::format("offset {} is smaller than the one before", descent - offsets.begin() + 1);
  }
  if (offsets.back() > entries) {
    return fmt::format("the last offset is {}, but there are {} indices", offsets.back(), entries);
  }
  return "";
}

/// Indices of each run strictly ascending and below `limit`. Returns what is wrong, or "".
template <class IndexAt>
std::string wrong_indices(std::span<const std::uint32_t> offsets, std::uint64_t limit,
                          IndexAt&& index_at) {
  for (std::size_t run = 0; run + 1 < offsets.size(); ++run) {
    for (std::uint64_t i = offsets[run]; i < offsets[run + 1]; ++i) {
      if (index_at(i) >= limit) {
        return fmt::format("index {} is {}, not below {}", i, index_at(i), limit);
      }
      if (i > offsets[run] && index_at(i) <= index_at(i - 1)) {
        return fmt::format("index {} does not ascend (see scipy's sum_duplicates)", i);
      }
    }
  }
  return "";
}

// ---- Writing.

/// What all writers do: members of scipy, then ours.
class Writer {
 public:
  Writer(const std::string& path, const char* format, const MatrixShape& matrix)
      : path_(path), matrix_(matrix) {
    check_limits();
    add("format", make_npy_text(format));
  }

  void require_valid(const std::string& wrong) const {
    if (!wrong.empty()) fail(path_, wrong, ErrorCode::invalid_argument);
  }
  void add(std::string name, NpyArray array) {
    members_.emplace_back(std::move(name), std::move(array));
  }
  void add_shape(const char* name, std::uint64_t rows, std::uint64_t columns) {
    const std::array<std::int64_t, 2> lengths{static_cast<std::int64_t>(rows),
                                              static_cast<std::int64_t>(columns)};
    add(name, make_npy<std::int64_t>({2}, lengths));
  }
  void add_offsets(std::span<const std::uint32_t> offsets) {
    const std::vector<std::int32_t> values(offsets.begin(), offsets.end());
    add("indptr", make_npy<std::int32_t>({values.size()}, values));
  }
  void add_indices(const char* name, const AnyArray& indices, std::uint64_t count) {
    if (count > most_entries) {
      fail(path_, fmt::format("{} entries, more than scipy's 32-bit indices can count", count),
           ErrorCode::unsupported);
    }
    if (indices.size < count || (indices.type != DType::u16 && indices.type != DType::u32)) {
      fail(path_, fmt::format("{} must be {} indices of u16 or u32", name, count),
           ErrorCode::invalid_argument);
    }
    std::vector<std::int32_t> values(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      values[i] = static_cast<std::int32_t>(load_index(indices, i));
    }
    add(name, make_npy<std::int32_t>({count}, values));
  }
  /// `shape` has as many elements as there are values to write.
  void add_values(const AnyArray& values, std::vector<std::uint64_t> shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t length : shape) count *= length;
    if (values.type != DType::bit && values.size < count) {
      fail(path_, fmt::format("{} values, but {} are needed", values.size, count),
           ErrorCode::invalid_argument);
    }
    if (values.type == DType::bit || values.type == DType::u8) {
      std::vector<std::uint8_t> bytes(count, 1);
      if (values.type == DType::u8) std::copy_n(values.as<std::uint8_t>(), count, bytes.begin());
      add("data", make_npy<std::uint8_t>(std::move(shape), bytes));
      return;
    }
    if (!is_floating(values.type)) {
      fail(path_, fmt::format("values of type {}", to_string(values.type)),
           ErrorCode::invalid_argument);
    }
    std::vector<float> floats(count);
    for (std::uint64_t i = 0; i < count; ++i) floats[i] = load_value(values, i);
    add("data", make_npy<float>(std::move(shape), floats));
  }
  void finish() {
    const std::array<std::int64_t, 1> timesteps{std::int64_t{matrix_.shape.timesteps}};
    const std::array<std::uint8_t, 1> token_major{matrix_.row_order == RowOrder::token_major};
    add("timesteps", make_npy<std::int64_t>({}, timesteps));
    add("token_major", make_npy<std::uint8_t>({}, token_major, {'b', 1}));
    write_npz(path_, members_);
  }

 private:
  void check_limits() const {
    if (matrix_.shape.m() > most_entries || matrix_.shape.k > most_entries) {
      fail(path_, "more rows or columns than scipy's 32-bit indices can count",
           ErrorCode::unsupported);
    }
  }

  std::string path_;
  MatrixShape matrix_;
  std::vector<NpzMember> members_;
};

/// csr, and csc with the roles of rows and columns exchanged.
void write_compressed(const std::string& path, const char* format, const MatrixShape& matrix,
                      std::uint64_t segments, std::uint64_t limit,
                      std::span<const std::uint32_t> offsets, const AnyArray& indices,
                      const AnyArray& values) {
  Writer writer(path, format, matrix);
  writer.require_valid(wrong_offsets(offsets, segments, indices.size));
  writer.add_indices("indices", indices, offsets.back());
  writer.require_valid(
      wrong_indices(offsets, limit, [&](std::uint64_t i) { return load_index(indices, i); }));
  writer.add_offsets(offsets);
  writer.add_shape("shape", matrix.shape.m(), matrix.shape.k);
  writer.add_values(values, {offsets.back()});
  writer.finish();
}

/// Whether entry i of a coo matrix comes after the one before. Returns what is wrong, or "".
template <class RowAt, class ColumnAt>
std::string wrong_entries(const SpikeShape& shape, std::uint64_t nnz, RowAt&& row_at,
                          ColumnAt&& column_at) {
  for (std::uint64_t i = 0; i < nnz; ++i) {
    if (row_at(i) >= shape.m() || column_at(i) >= shape.k) {
      return fmt::format("entry {} is outside the matrix", i);
    }
    if (i > 0 && std::pair(row_at(i), column_at(i)) <= std::pair(row_at(i - 1), column_at(i - 1))) {
      return fmt::format(
          "entry {} is not after the one before, by row and column "
          "(see scipy's sum_duplicates)",
          i);
    }
  }
  return "";
}

}  // namespace

void write_scipy_coo(const std::string& path, const MatrixShape& matrix, std::uint64_t nnz,
                     const AnyArray& row_indices, const AnyArray& column_indices,
                     const AnyArray& values) {
  Writer writer(path, "coo", matrix);
  writer.add_indices("row", row_indices, nnz);
  writer.add_indices("col", column_indices, nnz);
  writer.require_valid(wrong_entries(
      matrix.shape, nnz, [&](std::uint64_t i) { return load_index(row_indices, i); },
      [&](std::uint64_t i) { return load_index(column_indices, i); }));
  writer.add_shape("shape", matrix.shape.m(), matrix.shape.k);
  writer.add_values(values, {nnz});
  writer.finish();
}

void write_scipy_csr(const std::string& path, const MatrixShape& matrix,
                     std::span<const std::uint32_t> row_offsets, const AnyArray& column_indices,
                     const AnyArray& values) {
  write_compressed(path, "csr", matrix, matrix.shape.m(), matrix.shape.k, row_offsets,
                   column_indices, values);
}

void write_scipy_csc(const std::string& path, const MatrixShape& matrix,
                     std::span<const std::uint32_t> column_offsets, const AnyArray& row_indices,
                     const AnyArray& values) {
  write_compressed(path, "csc", matrix, matrix.shape.k, matrix.shape.m(), column_offsets,
                   row_indices, values);
}

void write_scipy_bsr(const std::string& path, const MatrixShape& matrix, std::uint32_t block_size,
                     std::span<const std::uint32_t> block_row_offsets,
                     const AnyArray& block_columns, const AnyArray& blocks) {
  require(block_size > 0 && block_size <= most_block_size && blocks.type != DType::bit,
          ErrorCode::invalid_argument,
          "bsr: blocks need a size of 1 to 65536, and a value for every position");
  Writer writer(path, "bsr", matrix);
  const std::uint64_t block_rows = ceil_div(matrix.shape.m(), block_size);
  const std::uint64_t block_cols = ceil_div(matrix.shape.k, block_size);
  writer.require_valid(wrong_offsets(block_row_offsets, block_rows, block_columns.size));
  writer.add_indices("indices", block_columns, block_row_offsets.back());
  writer.require_valid(wrong_indices(block_row_offsets, block_cols, [&](std::uint64_t i) {
    return load_index(block_columns, i);
  }));
  writer.add_offsets(block_row_offsets);
  writer.add_shape("shape", block_rows * block_size, block_cols * block_size);
  writer.add_shape("logical_shape", matrix.shape.m(), matrix.shape.k);
  writer.add_values(blocks, {block_row_offsets.back(), block_size, block_size});
  writer.finish();
}

// ---- Reading.

namespace {

class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path) {}

  ScipyMatrix read() {
    result_.format = text("format");
    const NpyArray data = file_.read("data");
    const std::size_t rank = result_.format == "bsr" ? 3 : 1;
    if (data.shape.size() != rank) {
      fail(label("data"), fmt::format("has {} dimensions, not {}", data.shape.size(), rank));
    }
    if (rank == 3) read_block_size(data);
    read_values(data);
    read_shape();
    if (result_.format == "coo") {
      read_entries();
    } else if (result_.format == "csr" || result_.format == "csc" || result_.format == "bsr") {
      read_runs();
    } else {
      fail(label("format"), fmt::format("is '{}'; known are coo csr csc bsr", result_.format),
           ErrorCode::unsupported);
    }
    return std::move(result_);
  }

 private:
  std::string label(const char* member) const {
    return fmt::format("{}, member '{}'", file_.path(), member);
  }

  std::string text(const char* member) const {
    const NpyArray array = file_.read(member);
    const std::size_t step = array.type.kind == 'U' ? 4 : 1;
    if ((array.type.kind != 'S' && step == 1) || array.size() != 1) {
      fail(label(member), "is no single text");
    }
    std::string result;
    for (std::size_t i = 0; i < array.data.size(); i += step) {
      const char character = static_cast<char>(array.data[i]);
      if (character != '\0') result += character;
    }
    return result;
  }

  /// `count` numbers from 0 up to 2^31 - 1; any number of them where count is 0.
  std::vector<std::uint32_t> numbers(const char* member, std::size_t count = 0) const {
    const std::vector<std::int64_t> values = to_integers(file_.read(member), label(member));
    if (count != 0 && values.size() != count) {
      fail(label(member), fmt::format("has {} elements, not {}", values.size(), count));
    }
    for (const std::int64_t value : values) {
      if (value < 0 || static_cast<std::uint64_t>(value) > most_entries) {
        fail(label(member), fmt::format("{} is not in 0..{}", value, most_entries));
      }
    }
    return {values.begin(), values.end()};
  }

  void read_block_size(const NpyArray& data) {
    if (data.shape[1] != data.shape[2]) {
      fail(label("data"),
           fmt::format("blocks of {} x {} are not square", data.shape[1], data.shape[2]),
           ErrorCode::unsupported);
    }
    if (data.shape[1] == 0 || data.shape[1] > most_block_size) {
      fail(label("data"), fmt::format("a block size of {}, not 1 to 65536", data.shape[1]));
    }
    result_.block_size = static_cast<std::uint32_t>(data.shape[1]);
  }

  void read_values(const NpyArray& data) {
    const NpyArray ordered = to_c_order(data);
    result_.values.resize(ordered.size());
    visit_element_type(ordered.type, label("data"), [&]<class T>(T) {
      for (std::size_t i = 0; i < result_.values.size(); ++i) {
        const double value = load_element<T>(ordered.data.data(), i);
        if (!is_spike_value(value, ValueKind::graded, DType::f32)) {
          fail(label("data"), fmt::format("element {} is {}, no exact f32", i, value));
        }
        result_.values[i] = static_cast<float>(value);
      }
    });
  }

  void read_shape() {
    const std::vector<std::uint32_t> outer = numbers("shape", 2);
    const std::vector<std::uint32_t> logical =
        file_.contains("logical_shape") ? numbers("logical_shape", 2) : outer;
    for (std::size_t i = 0; i < 2; ++i) {
      if (logical[i] > outer[i] || outer[i] - logical[i] >= result_.block_size ||
          outer[i] % result_.block_size != 0) {
        fail(file_.path(),
             fmt::format("shape ({}, {}) and logical shape ({}, {}) do not fit blocks "
                         "of {}",
                         outer[0], outer[1], logical[0], logical[1], result_.block_size));
      }
    }
    SpikeShape& shape = result_.matrix.shape;
    if (file_.contains("timesteps")) shape.timesteps = numbers("timesteps", 1)[0];
    if (shape.timesteps == 0 || logical[0] % shape.timesteps != 0) {
      fail(file_.path(),
           fmt::format("{} rows are no multiple of {} time steps", logical[0], shape.timesteps));
    }
    shape.rows = logical[0] / shape.timesteps;
    shape.k = logical[1];
    if (file_.contains("token_major") && numbers("token_major", 1)[0] != 0) {
      result_.matrix.row_order = RowOrder::token_major;
    }
  }

  void require_valid(const std::string& wrong) const {
    if (!wrong.empty()) fail(file_.path(), wrong);
  }

  /// Sorts entries (or blocks) begin .. end-1, values too: scipy does not mind their order, and
  /// makes blocks in any.
  void sort_range(std::size_t begin, std::size_t end) {
    const bool with_rows = !result_.row_indices.empty();
    const auto key = [&](std::size_t i) {
      return std::pair(with_rows ? result_.row_indices[i] : 0u, result_.indices[i]);
    };
    std::vector<std::size_t> order(end - begin);
    std::iota(order.begin(), order.end(), begin);
    const auto before = [&](std::size_t a, std::size_t b) { return key(a) < key(b); };
    if (std::is_sorted(order.begin(), order.end(), before)) return;
    std::sort(order.begin(), order.end(), before);
    const auto permute = [&](auto& items, std::size_t size) {
      using Item = typename std::decay_t<decltype(items)>::value_type;
      std::vector<Item> sorted;
      sorted.reserve(order.size() * size);
      for (const std::size_t from : order) {
        const Item* const item = items.data() + from * size;
        sorted.insert(sorted.end(), item, item + size);
      }
      std::copy(sorted.begin(), sorted.end(),
                items.begin() + static_cast<std::ptrdiff_t>(begin * size));
    };
    permute(result_.values, std::size_t{result_.block_size} * result_.block_size);
    permute(result_.indices, 1);
    if (with_rows) permute(result_.row_indices, 1);
  }

  void read_entries() {
    result_.row_indices = numbers("row");
    result_.indices = numbers("col");
    const std::size_t nnz = result_.values.size();
    if (result_.row_indices.size() != nnz || result_.indices.size() != nnz) {
      fail(file_.path(), "row, col and data differ in length");
    }
    sort_range(0, nnz);
    require_valid(wrong_entries(
        result_.matrix.shape, nnz, [&](std::uint64_t i) { return result_.row_indices[i]; },
        [&](std::uint64_t i) { return result_.indices[i]; }));
  }

  void read_runs() {
    result_.indices = numbers("indices");
    result_.offsets = numbers("indptr");
    const std::uint64_t block = result_.block_size;
    const std::uint64_t rows = ceil_div(result_.matrix.shape.m(), block);
    const std::uint64_t columns = ceil_div(result_.matrix.shape.k, block);
    const bool by_column = result_.format == "csc";
    require_valid(
        wrong_offsets(result_.offsets, by_column ? columns : rows, result_.indices.size()));
    if (result_.offsets.back() != result_.indices.size() ||
        result_.values.size() / (block * block) != result_.indices.size()) {
      fail(file_.path(), "indptr, indices and data differ in how many entries there are");
    }
    for (std::size_t run = 0; run + 1 < result_.offsets.size(); ++run) {
      sort_range(result_.offsets[run], result_.offsets[run + 1]);
    }
    require_valid(wrong_indices(result_.offsets, by_column ? rows : columns,
                                [&](std::uint64_t i) { return result_.indices[i]; }));
  }

  NpzFile file_;
  ScipyMatrix result_;
};

/// visit(row, column, value) for every stored value, zeros too, also those beyond the matrix in
/// blocks at its edge.
template <class Visit>
void for_each_entry(const ScipyMatrix& matrix, Visit&& visit) {
  if (matrix.format == "coo") {
    for (std::size_t i = 0; i < matrix.values.size(); ++i) {
      visit(matrix.row_indices[i], matrix.indices[i], matrix.values[i]);
    }
    return;
  }
  const std::uint64_t b = matrix.block_size;
  for (std::uint64_t run = 0; run + 1 < matrix.offsets.size(); ++run) {
    for (std::uint64_t entry = matrix.offsets[run]; entry < matrix.offsets[run + 1]; ++entry) {
      const std::uint64_t index = matrix.indices[entry];
      if (matrix.format == "csc") {
        visit(index, run, matrix.values[entry]);
        continue;
      }
      for (std::uint64_t i = 0; i < b * b; ++i) {
        visit(run * b + i / b, index * b + i % b, matrix.values[entry * b * b + i]);
      }
    }
  }
}

}  // namespace

ScipyMatrix read_scipy(const std::string& path) {
  ScipyMatrix result = Reader(path).read();
  if (result.format == "bsr") {
    for_each_entry(result, [&](std::uint64_t row, std::uint64_t column, float value) {
      const bool inside = row < result.matrix.shape.m() && column < result.matrix.shape.k;
      if (!inside && value != 0) fail(path, "a block holds a value beyond the matrix's edge");
    });
  }
  return result;
}

SpikeTensor to_spikes(const ScipyMatrix& matrix, DType storage, ValueKind kind) {
  const SpikeShape& shape = matrix.matrix.shape;
  check(SpikeView{nullptr, {1, 0, 0}, storage, kind, matrix.matrix.row_order});
  SpikeTensor tensor(HostContext{}, shape, storage, kind, matrix.matrix.row_order);
  const MutableSpikeView out = tensor.mutable_view();
  fill(HostContext{}, out.data, 0, out.bytes());
  for_each_entry(matrix, [&](std::uint64_t row, std::uint64_t column, float value) {
    if (value == 0) return;
    if (!is_spike_value(value, kind, storage)) {
      throw Error(
          ErrorCode::invalid_value,
          fmt::format("the value {} at row {}, column {} is no {} spike, or not exact in {}", value,
                      row, column, to_string(kind), to_string(storage)));
    }
    store_spike(out.data, storage, shape.k, row, static_cast<std::uint32_t>(column), value);
  });
  return tensor;
}

}  // namespace spiketune
