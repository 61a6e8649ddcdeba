#include "spiketune/datasets/readers/hdf5.hpp"

#include "spiketune/core/error.hpp"

#if defined(SPIKETUNE_HAVE_HDF5)

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hdf5.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include "spiketune/datasets/byte_source.hpp"
#include "spiketune/datasets/readers/child_process.hpp"
#include "spiketune/datasets/readers/readers.hpp"

namespace spiketune {
namespace {

constexpr std::size_t most_candidates = 1000;
constexpr std::uint32_t shd_channels = 700;

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::parse) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

/// The innermost reason that the library has for its last failure, in brackets; or nothing.
std::string reason() {
  std::string text;
  const auto first = [](unsigned, const H5E_error2_t* entry, void* data) -> herr_t {
    if (entry->desc != nullptr)
      *static_cast<std::string*>(data) = fmt::format(" ({})", entry->desc);
    return 1;  // no further
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &text);
  return text;
}

/// An identifier of the library, closed at the end.
class Handle {
 public:
  /// Throws Error(parse) where the library gave none.
  Handle(hid_t id, herr_t (*close)(hid_t), const std::string& name, const char* what)
      : id_(id), close_(close) {
    if (id < 0) fail(name, fmt::format("{} cannot be read{}", what, reason()));
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle& operator=(Handle&&) = delete;
  operator hid_t() const { return id_; }  // NOLINT(google-explicit-constructor)

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// A file open in the child.
struct File {
  std::string name;
  std::uint64_t bytes;
  hid_t id;
};

/// A dataset with what must be known before it is read.
struct Dataset {
  std::string name;
  Handle id;
  Handle type;
  std::vector<std::uint64_t> shape;

  [[nodiscard]] std::uint64_t elements() const {
    std::uint64_t product = 1;
    for (const std::uint64_t length : shape) product *= length;
    return product;
  }
};

bool has_link(hid_t parent, const std::string& path) {
  return H5Lexists(parent, path.c_str(), H5P_DEFAULT) > 0;
}

/// The library takes a chunk into memory as a whole, and follows names of other files.
void check_layout(const Dataset& dataset, const File& file) {
  const Handle list(H5Dget_create_plist(dataset.id), H5Pclose, dataset.name, "its layout");
  const H5D_layout_t layout = H5Pget_layout(list);
  if (layout == H5D_VIRTUAL || H5Pget_external_count(list) > 0) {
    fail(dataset.name, "its data is in other files, which are not followed",
         ErrorCode::unsupported);
  }
  if (layout != H5D_CHUNKED) return;
  std::vector<hsize_t> chunk(std::max<std::size_t>(dataset.shape.size(), 1));
  if (H5Pget_chunk(list, static_cast<int>(chunk.size()), chunk.data()) < 0) {
    fail(dataset.name, "its chunks cannot be read");
  }
  const std::vector<std::uint64_t> lengths(chunk.begin(), chunk.end());
  check_elements(lengths, file.bytes, dataset.name + ", a chunk");
}

Dataset open_dataset(const File& file, hid_t parent, const std::string& path) {
  std::string name = fmt::format("{}, dataset '{}'", file.name, path);
  Handle id(H5Dopen2(parent, path.c_str(), H5P_DEFAULT), H5Dclose, name, "it");
  Handle type(H5Dget_type(id), H5Tclose, name, "its type");
  const Handle space(H5Dget_space(id), H5Sclose, name, "its shape");
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0) fail(name, "its shape cannot be read");
  std::vector<hsize_t> lengths(static_cast<std::size_t>(rank));
  if (rank > 0 && H5Sget_simple_extent_dims(space, lengths.data(), nullptr) < 0) {
    fail(name, "its shape cannot be read");
  }
  Dataset dataset{
      std::move(name), std::move(id), std::move(type), {lengths.begin(), lengths.end()}};
  check_elements(dataset.shape, file.bytes, dataset.name);
  check_layout(dataset, file);
  return dataset;
}

struct MemoryType {
  NpyType numpy;
  hid_t hdf5;
};

/// How elements are read into memory; half floats as the floats that hold them.
MemoryType memory_type(const Dataset& dataset) {
  const std::size_t size = H5Tget_size(dataset.type);
  const H5T_class_t kind = H5Tget_class(dataset.type);
  const auto size_index = [&]() -> std::size_t {
    return size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : size == 8 ? 3 : 4;
  }();
  if (kind == H5T_INTEGER && size_index < 4) {
    const bool is_signed = H5Tget_sign(dataset.type) == H5T_SGN_2;
    const hid_t unsigned_types[] = {H5T_NATIVE_UINT8, H5T_NATIVE_UINT16, H5T_NATIVE_UINT32,
                                    H5T_NATIVE_UINT64};
    const hid_t signed_types[] = {H5T_NATIVE_INT8, H5T_NATIVE_INT16, H5T_NATIVE_INT32,
                                  H5T_NATIVE_INT64};
    return {{is_signed ? 'i' : 'u', static_cast<std::uint32_t>(size)},
            is_signed ? signed_types[size_index] : unsigned_types[size_index]};
  }
  if (kind == H5T_FLOAT && size <= 4) return {{'f', 4}, H5T_NATIVE_FLOAT};
  if (kind == H5T_FLOAT && size == 8) return {{'f', 8}, H5T_NATIVE_DOUBLE};
  if (kind == H5T_ENUM && size == 1) return {{'i', 1}, H5T_NATIVE_INT8};  // h5py's truth values
  fail(dataset.name, "its elements are neither integers, floats of up to 64 bits nor truth values",
       ErrorCode::unsupported);
}

void read_into(const Dataset& dataset, hid_t memory, void* to) {
  if (dataset.elements() == 0) return;
  if (H5Dread(dataset.id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, to) < 0) {
    fail(dataset.name, "its data cannot be read" + reason());
  }
}

NpyArray read_array(const Dataset& dataset) {
  const MemoryType type = memory_type(dataset);
  NpyArray array{type.numpy, dataset.shape, false, {}};
  array.data.resize(dataset.elements() * type.numpy.size);
  read_into(dataset, type.hdf5, array.data.data());
  return array;
}

template <class T>
std::vector<T> read_as(const Dataset& dataset, hid_t memory) {
  std::vector<T> values(dataset.elements());
  read_into(dataset, memory, values.data());
  return values;
}

/// A dataset of lists of different lengths, read one list at a time as T.
template <class T>
class Lists {
 public:
  Lists(Dataset dataset, hid_t element)
      : dataset_(std::move(dataset)),
        type_(H5Tvlen_create(element), H5Tclose, dataset_.name, "its type"),
        file_space_(H5Dget_space(dataset_.id), H5Sclose, dataset_.name, "its shape"),
        one_(H5Screate(H5S_SCALAR), H5Sclose, dataset_.name, "its shape") {
    const bool lists = H5Tget_class(dataset_.type) == H5T_VLEN && dataset_.shape.size() == 1;
    if (!lists) fail(dataset_.name, "is no list of lists of numbers");
  }

  [[nodiscard]] const std::string& name() const { return dataset_.name; }
  [[nodiscard]] std::uint64_t size() const { return dataset_.shape[0]; }
  [[nodiscard]] std::vector<T> operator[](std::uint64_t index) const {
    const hsize_t at = index;
    const hsize_t count = 1;
    hvl_t list{0, nullptr};
    if (H5Sselect_hyperslab(file_space_, H5S_SELECT_SET, &at, nullptr, &count, nullptr) < 0 ||
        H5Dread(dataset_.id, type_, one_, file_space_, H5P_DEFAULT, &list) < 0) {
      fail(dataset_.name, fmt::format("list {} cannot be read{}", index, reason()));
    }
    const T* values = static_cast<const T*>(list.p);
    std::vector<T> result(values, values + (values == nullptr ? 0 : list.len));
    H5Dvlen_reclaim(type_, one_, H5P_DEFAULT, &list);
    return result;
  }

 private:
  Dataset dataset_;
  Handle type_;
  Handle file_space_;
  Handle one_;
};

/// Events as arrays, which the parent puts together again.
struct EventArrays {
  std::vector<std::int64_t> times_us;
  std::vector<std::uint32_t> units;
  std::vector<std::uint32_t> samples;

  void add(double seconds, std::int64_t unit, std::size_t sample, const std::string& name) {
    const double us = std::round(seconds * 1e6);
    if (!(us >= 0 && us < 0x1p62)) {
      fail(name, fmt::format("an event of sample {} at {} seconds", sample, seconds));
    }
    if (unit < 0 || unit >= std::numeric_limits<std::uint32_t>::max()) {
      fail(name, fmt::format("an event of sample {} in channel {}", sample, unit));
    }
    times_us.push_back(static_cast<std::int64_t>(us));
    units.push_back(static_cast<std::uint32_t>(unit));
    samples.push_back(static_cast<std::uint32_t>(sample));
  }

  /// \param neurons  0: not said in the file
  /// \param end_us   0: not said in the file
  [[nodiscard]] std::vector<NpyArray> arrays(std::size_t sample_count, std::int64_t neurons,
                                             std::int64_t end_us) const {
    const std::vector<std::int64_t> header{static_cast<std::int64_t>(sample_count), neurons,
                                           end_us};
    const std::uint64_t count = times_us.size();
    return {make_npy<std::int64_t>({3}, header), make_npy<std::int64_t>({count}, times_us),
            make_npy<std::uint32_t>({count}, units), make_npy<std::uint32_t>({count}, samples)};
  }
};

std::vector<NpyArray> read_heidelberg(const File& file, hid_t group) {
  const Lists<double> times(open_dataset(file, group, "times"), H5T_NATIVE_DOUBLE);
  const Lists<std::int64_t> units(open_dataset(file, group, "units"), H5T_NATIVE_INT64);
  if (times.size() != units.size()) fail(times.name(), "there are more or fewer units");
  EventArrays events;
  for (std::uint64_t sample = 0; sample < times.size(); ++sample) {
    const std::vector<double> seconds = times[sample];
    const std::vector<std::int64_t> channels = units[sample];
    if (seconds.size() != channels.size()) {
      fail(times.name(), fmt::format("sample {} has {} times, but {} units", sample, seconds.size(),
                                     channels.size()));
    }
    for (std::size_t i = 0; i < seconds.size(); ++i) {
      events.add(seconds[i], channels[i], sample, times.name());
    }
  }
  return events.arrays(times.size(), 0, 0);
}

double read_attribute(hid_t object, const char* attribute, const std::string& name) {
  const Handle id(H5Aopen(object, attribute, H5P_DEFAULT), H5Aclose, name, attribute);
  const Handle space(H5Aget_space(id), H5Sclose, name, attribute);
  double value = 0;
  if (H5Sget_simple_extent_npoints(space) != 1 || H5Aread(id, H5T_NATIVE_DOUBLE, &value) < 0) {
    fail(name, fmt::format("its attribute {} is no number", attribute));
  }
  return value;
}

std::vector<NpyArray> read_nir_events(const File& file, hid_t group) {
  const Dataset index = open_dataset(file, group, "idx");
  const Dataset time = open_dataset(file, group, "time");
  if (has_link(group, "value")) {
    fail(index.name, "its events carry values, which spikes do not", ErrorCode::unsupported);
  }
  if (index.shape.size() != 2 || index.shape != time.shape) {
    fail(index.name, "idx and time are no two arrays [samples, events]");
  }
  const double neurons = read_attribute(group, "n_neurons", index.name);
  const double end = std::ceil(read_attribute(group, "t_max", index.name) * 1e6);
  if (!(neurons >= 1 && neurons < 0x1p32 && end >= 1 && end < 0x1p62)) {
    fail(index.name, fmt::format("{} neurons for {} µs", neurons, end));
  }
  const auto channels = read_as<std::int64_t>(index, H5T_NATIVE_INT64);
  const auto seconds = read_as<double>(time, H5T_NATIVE_DOUBLE);
  EventArrays events;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    if (channels[i] == -1) continue;
    events.add(seconds[i], channels[i], i / index.shape[1], index.name);
  }
  return events.arrays(index.shape[0], static_cast<std::int64_t>(neurons),
                       static_cast<std::int64_t>(end));
}

/// [samples, T, neurons] to [T, samples, neurons].
std::vector<NpyArray> read_nir_grid(const File& file, hid_t group) {
  const Dataset dataset = open_dataset(file, group, "data");
  NpyArray array = read_array(dataset);
  if (array.shape.size() != 3) fail(dataset.name, "is no array [samples, T, neurons]");
  const std::uint64_t samples = array.shape[0];
  const std::uint64_t steps = array.shape[1];
  const std::uint64_t row = array.shape[2] * array.type.size;
  NpyArray result{array.type, {steps, samples, array.shape[2]}, false, {}};
  result.data.resize(array.data.size());
  for (std::uint64_t i = 0; row > 0 && i < samples * steps; ++i) {
    const std::uint64_t to = i % steps * samples + i / steps;
    std::memcpy(&result.data[to * row], &array.data[i * row], row);
  }
  return {std::move(result)};
}

enum class Layout { none, array, heidelberg, nir_events, nir_grid };

Layout layout_of(hid_t file, const std::string& path) {
  const Handle object(H5Oopen(file, path.c_str(), H5P_DEFAULT), H5Oclose, path, "it");
  const H5I_type_t kind = H5Iget_type(object);
  if (kind == H5I_DATASET) {
    const Handle type(H5Dget_type(object), H5Tclose, path, "its type");
    const H5T_class_t element = H5Tget_class(type);
    const bool numbers = element == H5T_INTEGER || element == H5T_FLOAT || element == H5T_ENUM;
    return numbers ? Layout::array : Layout::none;
  }
  if (kind != H5I_GROUP) return Layout::none;
  if (has_link(object, "times") && has_link(object, "units")) return Layout::heidelberg;
  if (has_link(object, "idx") && has_link(object, "time")) return Layout::nir_events;
  const bool grid = has_link(object, "data") && H5Aexists(object, "dt") > 0;
  return grid ? Layout::nir_grid : Layout::none;
}

/// Paths of everything that could be spikes: groups of a known layout, and arrays outside of them.
std::vector<std::string> candidates(const File& file) {
  std::vector<std::string> paths;
  const auto collect = [](hid_t, const char* name, const H5O_info_t*, void* data) -> herr_t {
    auto& all = *static_cast<std::vector<std::string>*>(data);
    all.emplace_back(name);
    return all.size() < most_candidates ? 0 : 1;
  };
  if (H5Ovisit(file.id, H5_INDEX_NAME, H5_ITER_INC, collect, &paths) < 0) {
    fail(file.name, "its groups cannot be listed" + reason());
  }
  std::vector<std::string> result;
  std::string group;  // of a known layout; what it holds comes right after it
  for (const std::string& path : paths) {
    if (!group.empty() && path.starts_with(group)) continue;
    const Layout layout = layout_of(file.id, path);
    if (layout == Layout::none) continue;
    if (layout != Layout::array) group = path == "." ? "" : path + "/";
    result.push_back(path);
    if (path == ".") break;
  }
  return result;
}

std::vector<NpyArray> read_member(const File& file, const std::string& member) {
  std::string wanted = member;
  if (wanted.starts_with('/')) wanted.erase(0, 1);
  const std::string path = !wanted.empty() && has_link(file.id, wanted)
                               ? wanted
                               : choose_member(candidates(file), wanted, file.name);
  if (path.find_first_not_of('.') == path.npos && path != ".") fail(file.name, "has no such path");
  const Handle object(H5Oopen(file.id, path.c_str(), H5P_DEFAULT), H5Oclose, file.name, "it");
  switch (layout_of(file.id, path)) {
    case Layout::array:
      return {read_array(open_dataset(file, file.id, path))};
    case Layout::heidelberg:
      return read_heidelberg(file, object);
    case Layout::nir_events:
      return read_nir_events(file, object);
    case Layout::nir_grid:
      return read_nir_grid(file, object);
    case Layout::none:
      break;
  }
  fail(fmt::format("{}, '{}'", file.name, path), "is neither an array of numbers nor spikes",
       ErrorCode::unsupported);
}

/// In the child: nothing else of this process uses the library.
std::vector<NpyArray> read_file(const std::string& path, std::uint64_t bytes,
                                const std::string& member) {
  setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);  // reading needs none, and some file systems refuse
  H5open();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const Handle id(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, path, "it");
  // From here on no other file opens: links to outside lead nowhere.
  const rlimit none{0, 0};
  setrlimit(RLIMIT_NOFILE, &none);
  return read_member({path, bytes, id}, member);
}

EventStream join(const std::vector<NpyArray>& arrays, const std::string& name) {
  const bool fit = arrays.size() == 4 && arrays[0].size() == 3 &&
                   arrays[1].type == npy_type<std::int64_t> &&
                   arrays[2].type == npy_type<std::uint32_t> && arrays[2].type == arrays[3].type &&
                   arrays[1].size() == arrays[2].size() && arrays[2].size() == arrays[3].size();
  require(fit, ErrorCode::internal, "events lost their shape between processes");
  const auto header = to_integers(arrays[0], name);
  EventStream stream;
  stream.samples = static_cast<std::uint32_t>(
      std::min<std::int64_t>(header[0], std::numeric_limits<std::uint32_t>::max()));
  for (std::size_t i = 0; i < arrays[1].size(); ++i) {
    stream.events.push_back({arrays[1].as<std::int64_t>()[i], arrays[3].as<std::uint32_t>()[i],
                             arrays[2].as<std::uint32_t>()[i], 0, false});
    stream.end_us = std::max(stream.end_us, stream.events.back().time_us + 1);
  }
  if (header[2] > 0) stream.end_us = header[2];
  if (header[1] > 0) {
    stream.width = static_cast<std::uint32_t>(header[1]);
  } else {
    guess_sensor(stream, shd_channels, 1);
  }
  return stream;
}

}  // namespace

Recording read_hdf5(const std::string& path, const std::string& member) {
  std::error_code status;
  const std::uint64_t bytes = std::filesystem::file_size(path, status);
  if (status) fail(path, "cannot be read: " + status.message(), ErrorCode::io);
  constexpr std::uint64_t least_memory = std::uint64_t{2} << 30;
  constexpr std::uint64_t least_seconds = 10;
  constexpr std::uint64_t bytes_a_second = 1'000'000;
  auto arrays = read_in_child(path, least_memory + 8 * most_elements(bytes),
                              least_seconds + bytes / bytes_a_second,
                              [&] { return read_file(path, bytes, member); });
  const std::string name = member.empty() ? path : fmt::format("{}, '{}'", path, member);
  if (arrays.size() == 1) return {name, std::move(arrays.front())};
  EventStream stream = join(arrays, name);
  stream.file_bytes = bytes;
  return {name, std::move(stream)};
}

}  // namespace spiketune

#else

namespace spiketune {

Recording read_hdf5(const std::string& path, const std::string&) {
  throw Error(ErrorCode::unsupported, path + ": this build does not read HDF5");
}

}  // namespace spiketune

#endif
