#pragma once
/// \file
/// Files as bytes in the library: nothing has to be installed or found to write a page, or to plan
/// for a device that comes with tuned points.

#include <string_view>

namespace spiketune::embedded {

/// autotune/report_page.html, with {{name}} where the other parts go.
[[nodiscard]] std::string_view page_template();
/// autotune/report_page.css.
[[nodiscard]] std::string_view page_style();
/// autotune/report_charts.js: from points to Vega specifications.
[[nodiscard]] std::string_view chart_script();
/// autotune/report_bars.js and report_map.js: more of these.
[[nodiscard]] std::string_view bar_script();
[[nodiscard]] std::string_view map_script();
/// autotune/report_model.js: the page's data and helpers.
[[nodiscard]] std::string_view model_script();
/// autotune/report_views.js: which charts a report has, and what is in them.
[[nodiscard]] std::string_view view_script();
/// autotune/report_figures.js: those charts as SVG.
[[nodiscard]] std::string_view figure_script();
/// autotune/report_tables.js: tables, and the details of a point.
[[nodiscard]] std::string_view table_script();
/// autotune/report_finder.js: the answer for one workload.
[[nodiscard]] std::string_view finder_script();
/// autotune/report_page.js: switches, drawing.
[[nodiscard]] std::string_view page_script();
/// results/h200/plans.json: tuned points (plan_cache.hpp).
[[nodiscard]] std::string_view h200_plans();
/// A script that defines the global `vega`; empty in a build without it.
[[nodiscard]] std::string_view vega_script();

}  // namespace spiketune::embedded
