#pragma once
/// \file
/// The files a report page is made of, as bytes in the library: nothing has to be installed or
/// found to write a page.

#include <string_view>

namespace spiketune::embedded {

/// autotune/report_page.html, with {{name}} where the other parts go.
[[nodiscard]] std::string_view page_template();
/// autotune/report_page.css.
[[nodiscard]] std::string_view page_style();
/// autotune/report_charts.js: from points to Vega specifications.
[[nodiscard]] std::string_view chart_script();
/// autotune/report_page.js: tables, switches, drawing.
[[nodiscard]] std::string_view page_script();
/// A script that defines the global `vega`; empty in a build without it.
[[nodiscard]] std::string_view vega_script();

}  // namespace spiketune::embedded
