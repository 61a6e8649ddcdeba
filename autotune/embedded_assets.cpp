#include "spiketune/autotune/embedded_assets.hpp"

// The assembler's .incbin takes the bytes as they are, at no cost to the compiler; it is understood
// by GNU as and by clang on x86-64 and aarch64. The build defines
//   SPIKETUNE_REPORT_ASSETS_DIR  the directory of this file, with the page's parts in it
//   SPIKETUNE_VEGA_JS            a script that defines `vega`; left out where there is none
#ifndef SPIKETUNE_REPORT_ASSETS_DIR
#error "define SPIKETUNE_REPORT_ASSETS_DIR as the directory that holds report_page.html"
#endif

#define SPIKETUNE_EMBED(name, path)                                                            \
  asm(".pushsection .rodata\n"                                                                 \
      ".balign 16\n"                                                                           \
      ".hidden spiketune_embedded_" #name                                                      \
      "_begin\n"                                                                               \
      ".globl spiketune_embedded_" #name                                                       \
      "_begin\n"                                                                               \
      "spiketune_embedded_" #name                                                              \
      "_begin:\n"                                                                              \
      ".incbin \"" path                                                                        \
      "\"\n"                                                                                   \
      ".hidden spiketune_embedded_" #name                                                      \
      "_end\n"                                                                                 \
      ".globl spiketune_embedded_" #name                                                       \
      "_end\n"                                                                                 \
      "spiketune_embedded_" #name                                                              \
      "_end:\n"                                                                                \
      ".byte 0\n"                                                                              \
      ".popsection\n");                                                                        \
  extern "C" {                                                                                 \
  extern const char spiketune_embedded_##name##_begin[] __attribute__((visibility("hidden"))); \
  extern const char spiketune_embedded_##name##_end[] __attribute__((visibility("hidden")));   \
  }

SPIKETUNE_EMBED(page_template, SPIKETUNE_REPORT_ASSETS_DIR "/report_page.html")
SPIKETUNE_EMBED(page_style, SPIKETUNE_REPORT_ASSETS_DIR "/report_page.css")
SPIKETUNE_EMBED(chart_script, SPIKETUNE_REPORT_ASSETS_DIR "/report_charts.js")
SPIKETUNE_EMBED(bar_script, SPIKETUNE_REPORT_ASSETS_DIR "/report_bars.js")
SPIKETUNE_EMBED(map_script, SPIKETUNE_REPORT_ASSETS_DIR "/report_map.js")
SPIKETUNE_EMBED(model_script, SPIKETUNE_REPORT_ASSETS_DIR "/report_model.js")
SPIKETUNE_EMBED(table_script, SPIKETUNE_REPORT_ASSETS_DIR "/report_tables.js")
SPIKETUNE_EMBED(finder_script, SPIKETUNE_REPORT_ASSETS_DIR "/report_finder.js")
SPIKETUNE_EMBED(view_script, SPIKETUNE_REPORT_ASSETS_DIR "/report_views.js")
SPIKETUNE_EMBED(figure_script, SPIKETUNE_REPORT_ASSETS_DIR "/report_figures.js")
SPIKETUNE_EMBED(page_script, SPIKETUNE_REPORT_ASSETS_DIR "/report_page.js")
SPIKETUNE_EMBED(h200_plans, SPIKETUNE_REPORT_ASSETS_DIR "/../results/h200/plans.json")
#ifdef SPIKETUNE_VEGA_JS
SPIKETUNE_EMBED(vega_script, SPIKETUNE_VEGA_JS)
#endif

#undef SPIKETUNE_EMBED

namespace spiketune::embedded {
namespace {

std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::string_view::size_type>(end - begin)};
}

}  // namespace

std::string_view page_template() {
  return between(spiketune_embedded_page_template_begin, spiketune_embedded_page_template_end);
}

std::string_view page_style() {
  return between(spiketune_embedded_page_style_begin, spiketune_embedded_page_style_end);
}

std::string_view chart_script() {
  return between(spiketune_embedded_chart_script_begin, spiketune_embedded_chart_script_end);
}

std::string_view bar_script() {
  return between(spiketune_embedded_bar_script_begin, spiketune_embedded_bar_script_end);
}

std::string_view map_script() {
  return between(spiketune_embedded_map_script_begin, spiketune_embedded_map_script_end);
}

std::string_view model_script() {
  return between(spiketune_embedded_model_script_begin, spiketune_embedded_model_script_end);
}

std::string_view table_script() {
  return between(spiketune_embedded_table_script_begin, spiketune_embedded_table_script_end);
}

std::string_view finder_script() {
  return between(spiketune_embedded_finder_script_begin, spiketune_embedded_finder_script_end);
}

std::string_view view_script() {
  return between(spiketune_embedded_view_script_begin, spiketune_embedded_view_script_end);
}

std::string_view figure_script() {
  return between(spiketune_embedded_figure_script_begin, spiketune_embedded_figure_script_end);
}

std::string_view page_script() {
  return between(spiketune_embedded_page_script_begin, spiketune_embedded_page_script_end);
}

std::string_view h200_plans() {
  return between(spiketune_embedded_h200_plans_begin, spiketune_embedded_h200_plans_end);
}

std::string_view vega_script() {
#ifdef SPIKETUNE_VEGA_JS
  return between(spiketune_embedded_vega_script_begin, spiketune_embedded_vega_script_end);
#else
  return {};
#endif
}

}  // namespace spiketune::embedded
