#include "spiketune/datasets/npz.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zip.h>

#include <algorithm>
#include <filesystem>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

constexpr std::string_view ending = ".npy";
/// No deflated stream expands further (zlib's technical details: 1032 : 1).
constexpr std::uint64_t most_expansion = 1032;

struct CloseMember {
  void operator()(zip_file_t* member) const noexcept { static_cast<void>(zip_fclose(member)); }
};

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::parse) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

/// What the archive says about a member, rejected where it cannot be true.
zip_stat_t describe(zip_t* archive, zip_uint64_t index, std::uint64_t archive_bytes,
                    const std::string& name) {
  zip_stat_t about;
  zip_stat_init(&about);
  constexpr zip_uint64_t wanted = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  if (zip_stat_index(archive, index, 0, &about) != 0 || (about.valid & wanted) != wanted) {
    fail(name, "the archive does not say how large it is");
  }
  if ((about.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && about.encryption_method != ZIP_EM_NONE) {
    fail(name, "is encrypted", ErrorCode::unsupported);
  }
  if (about.comp_method != ZIP_CM_STORE && about.comp_method != ZIP_CM_DEFLATE) {
    fail(
        name,
        fmt::format("zip compression method {} (known are stored and deflated)", about.comp_method),
        ErrorCode::unsupported);
  }
  const std::uint64_t expansion = about.comp_method == ZIP_CM_STORE ? 1 : most_expansion;
  if (about.comp_size > archive_bytes || about.size / expansion > about.comp_size) {
    fail(name, fmt::format("claims {} bytes from {} in an archive of {}", about.size,
                           about.comp_size, archive_bytes));
  }
  return about;
}

std::string describe_error(zip_error_t* error) {
  std::string result = zip_error_strerror(error);
  zip_error_fini(error);
  return result;
}

}  // namespace

void NpzFile::Close::operator()(zip* archive) const noexcept {
  zip_discard(archive);
}

NpzFile::NpzFile(const std::string& path) : path_(path) {
  std::error_code status;
  bytes_ = std::filesystem::file_size(path, status);
  if (status) fail(path, "cannot be read: " + status.message(), ErrorCode::io);
  if (bytes_ == 0) fail(path, "is empty, no .npz archive");  // libzip takes it for one of 0 members
  int code = 0;
  archive_.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (archive_ == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const bool unreadable = code == ZIP_ER_OPEN || code == ZIP_ER_NOENT || code == ZIP_ER_READ;
    fail(path, "no readable .npz archive: " + describe_error(&error),
         unreadable ? ErrorCode::io : ErrorCode::parse);
  }
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
    if (name == nullptr) fail(path, fmt::format("member {} has no readable name", i));
    const std::string_view full = name;
    if (full.ends_with(ending)) names_.emplace_back(full.substr(0, full.size() - ending.size()));
  }
}

bool NpzFile::contains(std::string_view name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

NpyArray NpzFile::read(std::string_view name) const {
  const std::string label = fmt::format("{}, member '{}'", path_, name);
  const std::string file_name = std::string(name) + std::string(ending);
  const zip_int64_t index = zip_name_locate(archive_.get(), file_name.c_str(), 0);
  if (index < 0) fail(label, fmt::format("is missing; there are '{}'", fmt::join(names_, "', '")));
  const auto member_index = static_cast<zip_uint64_t>(index);
  const zip_stat_t about = describe(archive_.get(), member_index, bytes_, label);
  const std::unique_ptr<zip_file_t, CloseMember> member(
      zip_fopen_index(archive_.get(), member_index, 0));
  if (member == nullptr) fail(label, zip_strerror(archive_.get()));
  return read_npy({label, about.size, [&](std::span<std::byte> to) {
                     std::size_t done = 0;
                     while (done < to.size()) {
                       const zip_int64_t count =
                           zip_fread(member.get(), to.data() + done, to.size() - done);
                       if (count < 0) fail(label, zip_file_strerror(member.get()));
                       if (count == 0) break;
                       done += static_cast<std::size_t>(count);
                     }
                     return done;
                   }});
}

std::vector<std::uint64_t> read_sizes(const NpzFile& file, std::string_view member) {
  const std::string label = fmt::format("{}, member '{}'", file.path(), member);
  std::vector<std::uint64_t> result;
  for (const std::int64_t value : to_integers(file.read(member), label)) {
    if (value < 0) fail(label, fmt::format("{} is negative", value));
    result.push_back(static_cast<std::uint64_t>(value));
  }
  return result;
}

void write_npz(const std::string& path, std::span<const NpzMember> members,
               NpzCompression compression) {
  require(!members.empty(), ErrorCode::invalid_argument, "an .npz archive needs a member");
  for (const auto& [name, array] : members) check_npy(array, name);
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (archive == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    fail(path, "cannot be written: " + describe_error(&error), ErrorCode::io);
  }
  const auto give_up = [&](const std::string& why) {
    zip_discard(archive);
    fail(path, "cannot be written: " + why, ErrorCode::io);
  };
  constexpr zip_uint32_t level = 6;  // libzip would take 9, which is several times slower
  std::vector<std::string> headers;  // read by zip_close(), like the arrays themselves
  headers.reserve(members.size());
  for (const auto& [name, array] : members) {
    const std::string& header = headers.emplace_back(npy_header(array));
    const zip_buffer_fragment_t pieces[] = {
        {reinterpret_cast<zip_uint8_t*>(const_cast<char*>(header.data())), header.size()},
        {reinterpret_cast<zip_uint8_t*>(const_cast<std::byte*>(array.data.data())),
         array.data.size()}};
    zip_source_t* source =
        zip_source_buffer_fragment(archive, pieces, array.data.empty() ? 1 : 2, 0);
    if (source == nullptr) give_up(zip_strerror(archive));
    const zip_int64_t index =
        zip_file_add(archive, (name + std::string(ending)).c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      const std::string why = zip_strerror(archive);
      zip_source_free(source);
      give_up(why);
    }
    const auto at = static_cast<zip_uint64_t>(index);
    const zip_int32_t method =
        compression == NpzCompression::stored ? ZIP_CM_STORE : ZIP_CM_DEFLATE;
    constexpr zip_uint16_t first_day = 0x21;  // 1 January 1980, as numpy.savez writes
    if (zip_set_file_compression(archive, at, method, level) != 0 ||
        zip_file_set_dostime(archive, at, 0, first_day, 0) != 0) {
      give_up(zip_strerror(archive));
    }
  }
  if (zip_close(archive) != 0) give_up(zip_strerror(archive));
}

}  // namespace spiketune
