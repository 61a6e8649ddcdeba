#pragma once
/// \file
/// The charts of a report as files for papers and talks.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace spiketune {

struct FiguresWritten {
  std::size_t svg = 0;
  std::size_t png = 0;
  std::string note;  ///< why there are no PNG files; empty where there are
};

/// Writes every chart of the page into `directory`, which is made where it is missing: NAME.svg,
/// 720 units wide with its own legend, and NAME.png at three times that in pixels. The winner map,
/// the floors of products and encoders, and the charts of each workload, numbered in the order of
/// the page.
///
/// Vega draws the SVG in Node (`node`, `nodejs`) or else in headless Chromium; PNG is made by
/// rsvg-convert or else by Chromium, and left out with a note where neither is installed. Throws
/// Error(unsupported) where there is neither Node nor Chromium or the build has no Vega, and
/// Error(io) where a file cannot be written.
[[nodiscard]] FiguresWritten write_figures(const nlohmann::json& report,
                                           const std::filesystem::path& directory);

}  // namespace spiketune
