#pragma once
/// \file
/// NumPy's .npz: a zip archive of .npy members, stored or deflated.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spiketune/datasets/npy.hpp"

struct zip;  // libzip's archive; public headers need no libzip header

namespace spiketune {

/// Name (without ".npy") and content of a member.
using NpzMember = std::pair<std::string, NpyArray>;

/// An archive open for reading. Members are read when asked for, one at a time.
class NpzFile {
 public:
  /// Throws Error(io) where the file cannot be read, Error(parse) where it is no zip archive.
  explicit NpzFile(const std::string& path);

  /// Names of the .npy members without that ending, in the archive's order.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] bool contains(std::string_view name) const;
  /// Throws Error(parse) where there is no such member or it is damaged (its checksum is verified),
  /// Error(unsupported) for encryption and other compressions. Memory grows with the data that is
  /// found, not with what the archive claims.
  [[nodiscard]] NpyArray read(std::string_view name) const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(zip* archive) const noexcept;
  };
  std::string path_;
  std::uint64_t bytes_ = 0;
  std::unique_ptr<zip, Close> archive_;
  std::vector<std::string> names_;
};

/// A member of non-negative integers. Throws Error(parse) for others, and as NpzFile::read() does.
[[nodiscard]] std::vector<std::uint64_t> read_sizes(const NpzFile& file, std::string_view member);

enum class NpzCompression { stored, deflated };

/// Replaces the file. The bytes depend on the members alone (no time stamps). Throws Error(io), and
/// Error(invalid_argument) where there is no member.
void write_npz(const std::string& path, std::span<const NpzMember> members,
               NpzCompression compression = NpzCompression::deflated);

}  // namespace spiketune
