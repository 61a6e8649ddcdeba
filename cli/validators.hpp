#pragma once
/// \file
/// Checks of flags, each with a sentence of its own where one fails.

#include <CLI/CLI.hpp>
#include <string>

namespace spiketune::cli {

/// A number for which `holds`; `sentence` ends "'text' is".
inline CLI::Validator number_that(bool (*holds)(double), const std::string& sentence) {
  return {[holds, sentence](const std::string& text) {
            double value = 0;
            // CLI11 reads nothing as 0.
            const bool number = !text.empty() && CLI::detail::lexical_cast(text, value);
            return number && holds(value) ? std::string() : "'" + text + "' is " + sentence;
          },
          "", sentence};
}

inline CLI::Validator positive() {
  return number_that([](double value) { return value > 0; }, "not more than 0");
}

inline CLI::Validator not_negative() {
  return number_that([](double value) { return value >= 0; }, "not a number from 0");
}

}  // namespace spiketune::cli
