#pragma once
/// \file
/// Numbers in lines of text, with the line in every message.

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "spiketune/core/error.hpp"

namespace spiketune {

class TextCursor {
 public:
  /// Both outlive the cursor. `name` is for messages.
  TextCursor(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  [[nodiscard]] bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }

  /// The rest of the current line, without its end.
  [[nodiscard]] std::string_view rest_of_line() {
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string_view line = text_.substr(at_, end - at_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at_ = std::min(end + 1, text_.size());
    ++line_;
    return line;
  }

  /// The next number of that type, on this line or a later one. `what` it is, for messages.
  template <class T>
  [[nodiscard]] T number(const char* what) {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '+') ++at_;
    T value{};
    const char* begin = text_.data() + at_;
    const auto [end, status] = std::from_chars(begin, text_.data() + text_.size(), value);
    const bool whole = end == text_.data() + text_.size() || *end == ',' ||
                       std::isspace(static_cast<unsigned char>(*end)) != 0;
    if (status != std::errc{} || !whole) {
      fail(fmt::format("no {} where one must be, but '{}'", what, word()));
    }
    at_ += static_cast<std::size_t>(end - begin);
    return value;
  }

  /// Passes a ',' if that is next.
  void accept_comma() {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == ',') ++at_;
  }

  [[nodiscard]] char peek() {
    skip_blanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorCode::parse, fmt::format("{}, line {}: {}", name_, line_, why));
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) {
      if (text_[at_] == '\n') ++line_;
      ++at_;
    }
  }

  /// What stands here, printable and short.
  [[nodiscard]] std::string word() const {
    std::string result;
    for (std::size_t i = at_; i < text_.size() && result.size() < 20; ++i) {
      const auto c = static_cast<unsigned char>(text_[i]);
      if (std::isspace(c) != 0) break;
      result += std::isprint(c) != 0 ? text_[i] : '?';
    }
    return at_ == text_.size() ? "the end of the file" : result;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

}  // namespace spiketune
