#pragma once
/// \file
/// Points as they end, in a file: a line of JSON each, written at once, so that a sweep that is
/// killed has lost nothing that it finished.
///
/// The first line says which sweep it is (`plan`, a hash) and where it ran; each other line is a
/// point as in a report, or a list of points that ended together. A process that dies within a line
/// leaves a torn one, which is cut off when the journal is opened again. (What the system has not
/// yet put on disk survives the death of the process, not that of the machine.)

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

namespace spiketune {

class Journal {
 public:
  /// In a nameless file that ends with the process.
  Journal();
  /// A new file, or, where `resume`, what there is of an old one of the same sweep.
  /// \param header   what the first line holds; `plan` must be that of the old file
  /// Throws Error(io), and Error(invalid_argument) where there is an old file but no `resume`,
  /// where it belongs to another sweep or machine, or where another process is writing it.
  Journal(const std::string& path, const nlohmann::json& header, bool resume);
  ~Journal();
  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&& other) noexcept;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Keeps points that end together: all of them or, after a kill, none. Throws Error(io).
  void append(std::span<const nlohmann::json> points);
  /// Text of a point, without the newline. Throws Error(io).
  [[nodiscard]] std::string line(std::size_t index) const;
  /// Where each point is, by its index.
  struct Entry {
    std::uint64_t offset;
    std::uint64_t size;
  };
  [[nodiscard]] const std::map<std::size_t, Entry>& entries() const { return entries_; }
  /// The first line; of the old file where it was resumed.
  [[nodiscard]] const nlohmann::json& header() const { return header_; }
  /// Deletes the file: the report holds everything now.
  void remove();

 private:
  void read_back(const nlohmann::json& header);
  void add_entries(const nlohmann::json& value, Entry where, std::size_t line);
  void write_line(const std::string& text);

  int file_ = -1;
  std::string path_;  ///< empty: nameless
  std::uint64_t end_ = 0;
  std::map<std::size_t, Entry> entries_;
  nlohmann::json header_;
};

/// The file beside a report that holds what is finished of it.
[[nodiscard]] std::string journal_path(const std::string& report_path);

}  // namespace spiketune
