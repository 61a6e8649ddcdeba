#include "spiketune/autotune/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

constexpr const char* schema = "spiketune.journal/1";

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw Error(ErrorCode::io,
              fmt::format("cannot {} {}: {}", what, path.empty() ? "a temporary file" : path,
                          std::strerror(errno)));
}

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string read_range(int file, std::uint64_t offset, std::uint64_t size,
                       const std::string& path) {
  std::string text(size, '\0');
  std::uint64_t done = 0;
  while (done < size) {
    const ssize_t got =
        pread(file, text.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail("read", path);
    done += static_cast<std::uint64_t>(got);
  }
  return text;
}

}  // namespace

Journal::Journal() {
  std::FILE* nameless = std::tmpfile();
  if (nameless == nullptr) fail("make", path_);
  file_ = dup(fileno(nameless));
  std::fclose(nameless);
  if (file_ < 0) fail("open", path_);
}

Journal::Journal(const std::string& path, const json& header, bool resume) : path_(path) {
  file_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) fail("write", path);
  try {
    if (flock(file_, LOCK_EX | LOCK_NB) != 0) {
      throw Error(ErrorCode::invalid_argument, path + " is being written by another process");
    }
    struct stat status {};
    if (fstat(file_, &status) != 0) fail("read", path);
    end_ = static_cast<std::uint64_t>(status.st_size);
    if (end_ > 0) read_back(header);
    if (!entries_.empty() && !resume) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("{} holds {} points of a sweep that did not end: continue it with "
                              "--resume, or delete that file",
                              path, entries_.size()));
    }
    if (end_ == 0) {
      header_ = header;
      header_["schema"] = schema;
      write_line(text_of(header_));
    }
  } catch (...) {
    close(file_);
    throw;
  }
}

Journal::~Journal() {
  if (file_ >= 0) close(file_);
}

Journal::Journal(Journal&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      path_(std::move(other.path_)),
      end_(other.end_),
      entries_(std::move(other.entries_)),
      header_(std::move(other.header_)) {}

Journal& Journal::operator=(Journal&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(path_, other.path_);
  std::swap(end_, other.end_);
  std::swap(entries_, other.entries_);
  std::swap(header_, other.header_);
  return *this;
}

/// Finds the lines of an old file, cuts a torn one off, and compares the first with `header`.
void Journal::read_back(const json& header) {
  const std::string text = read_range(file_, 0, end_, path_);
  std::uint64_t at = 0;
  for (std::size_t line = 0;; ++line) {
    const std::size_t newline = text.find('\n', at);
    if (newline == std::string::npos) break;
    const json value =
        json::parse(text.begin() + static_cast<std::ptrdiff_t>(at),
                    text.begin() + static_cast<std::ptrdiff_t>(newline), nullptr, false);
    if (line == 0) {
      if (!value.is_object() || value.value("schema", json()) != schema) {
        throw Error(ErrorCode::invalid_argument, path_ + " is not the journal of a sweep");
      }
      header_ = value;
      for (const char* key : {"plan", "version", "git", "gpu", "cpu"}) {
        if (value.value(key, json()) == header.value(key, json())) continue;
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{} belongs to another sweep: its {} is {}, not {}; delete it to "
                                "begin anew",
                                path_, key, text_of(value.value(key, json())),
                                text_of(header.value(key, json()))));
      }
    } else {
      add_entries(value, {at, newline - at}, line + 1);
    }
    at = newline + 1;
  }
  end_ = at;
  if (ftruncate(file_, static_cast<off_t>(end_)) != 0) fail("write", path_);
}

/// Notes the points of a line.
void Journal::add_entries(const json& value, Entry where, std::size_t line) {
  const auto refuse = [&] {
    throw Error(ErrorCode::parse, fmt::format("{}, line {}: not a point", path_, line));
  };
  const auto add = [&](const json& point, Entry entry) {
    if (!point.is_object() || !point.contains("index") || !point["index"].is_number_unsigned()) {
      refuse();
    }
    entries_.try_emplace(point["index"].get<std::size_t>(), entry);
  };
  if (!value.is_array()) {
    add(value, where);
    return;
  }
  // A list is as append() wrote it, without a space.
  if (value.dump().size() != where.size) refuse();
  std::uint64_t offset = where.offset + 1;
  for (const json& point : value) {
    const std::uint64_t size = text_of(point).size();
    add(point, {offset, size});
    offset += size + 1;
  }
}

void Journal::write_line(const std::string& text) {
  const std::string line = text + "\n";
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t wrote =
        pwrite(file_, line.data() + done, line.size() - done, static_cast<off_t>(end_ + done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) fail("write", path_);
    done += static_cast<std::size_t>(wrote);
  }
  end_ += line.size();
}

void Journal::append(std::span<const json> points) {
  if (points.empty()) return;
  const bool list = points.size() > 1;
  std::string text = list ? "[" : "";
  std::vector<std::pair<std::size_t, Entry>> added;
  for (const json& point : points) {
    if (!added.empty()) text += ",";
    const std::string each = text_of(point);
    added.emplace_back(point.at("index").get<std::size_t>(),
                       Entry{end_ + text.size(), each.size()});
    text += each;
  }
  if (list) text += "]";
  write_line(text);
  entries_.insert(added.begin(), added.end());
}

std::string Journal::line(std::size_t index) const {
  const Entry& entry = entries_.at(index);
  return read_range(file_, entry.offset, entry.size, path_);
}

void Journal::remove() {
  if (!path_.empty()) std::remove(path_.c_str());
}

std::string journal_path(const std::string& report_path) {
  return report_path + ".journal";
}

}  // namespace spiketune
