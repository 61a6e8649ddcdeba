#pragma once
/// \file
/// Checks of flags, each with a sentence of its own where one fails.

#include <CLI/CLI.hpp>
#include <string>

namespace spiketune::cli {

/// A number more than 0.
inline CLI::Validator positive() {
  return {[](const std::string& text) {
            double value = 0;
            // CLI11 reads nothing as 0.
            const bool number = !text.empty() && CLI::detail::lexical_cast(text, value);
            return number && value > 0 ? std::string() : "'" + text + "' is not more than 0";
          },
          "", "positive"};
}

/// 0 or a number more than that.
inline CLI::Validator not_negative() {
  return {[](const std::string& text) {
            double value = 0;
            // CLI11 reads nothing as 0.
            const bool number = !text.empty() && CLI::detail::lexical_cast(text, value);
            return number && value >= 0 ? std::string() : "'" + text + "' is not a number from 0";
          },
          "", "not_negative"};
}

}  // namespace spiketune::cli
