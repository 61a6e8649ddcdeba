#include "spiketune/autotune/report_page.hpp"

#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "spiketune/autotune/embedded_assets.hpp"
#include "spiketune/autotune/report_page_data.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

std::string escape_html(std::string_view input) {
  std::string result;
  result.reserve(input.size());
  for (const char c : input) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

/// Escaped, and with no line break between a number and its unit.
std::string sentence_html(const std::string& sentence) {
  std::string html = escape_html(sentence);
  for (const char* unit : {"%", "µs", "ms"}) {
    html = replace_all(html, std::string(" ") + unit, std::string("&nbsp;") + unit);
  }
  return html;
}

std::string summary_html(const Summary& summary, std::string_view mode, bool shown) {
  std::string html = fmt::format("<div data-mode=\"{}\"{}>\n", mode, shown ? "" : " hidden");
  html += "<p class=\"asked\">" + sentence_html(summary.asked) + "</p>\n";
  html += "<p class=\"answer\">" + sentence_html(summary.answer) + "</p>\n";
  if (!summary.quantised.empty()) {
    html += "<p class=\"answer\">" + sentence_html(summary.quantised) + "</p>\n";
  }
  std::string list = "<ul class=\"by-workload\">\n";
  for (const auto& [label, words] : summary.curves) {
    list += "<li><b>" + escape_html(label) + "</b>: " + sentence_html(words) + "</li>\n";
  }
  list += "</ul>\n";
  std::string remarks = "<ul class=\"remarks\">\n";
  for (const auto& remark : summary.remarks) {
    remarks += "<li>" + sentence_html(remark) + "</li>\n";
  }
  remarks += "</ul>\n";
  if (summary.more_curves == 0) return html + list + remarks + "</div>\n";
  // A few of many say little: they make room for the question about one.
  return html + remarks +
         fmt::format(
             "<details><summary>The first {} of {} workloads in words</summary>\n{}"
             "</details>\n</div>\n",
             summary.curves.size(), summary.curves.size() + summary.more_curves, list);
}

/// Replaces each {{name}} of the template, once: what is put in is not looked at again.
std::string fill(std::string_view page,
                 const std::vector<std::pair<std::string_view, std::string>>& parts) {
  std::string result;
  while (true) {
    const auto open = page.find("{{");
    result += page.substr(0, open);
    if (open == std::string_view::npos) return result;
    const auto close = page.find("}}", open);
    require(close != std::string_view::npos, ErrorCode::internal, "report template: open {{");
    const auto name = page.substr(open + 2, close - open - 2);
    for (const auto& [key, value] : parts) {
      if (key == name) result += value;
    }
    page.remove_prefix(close + 2);
  }
}

}  // namespace

std::string render_html(const json& report) {
  require_vega();
  const ReportPageData content = report_page_data(report);
  std::string summaries;
  for (const auto& [mode, summary] : content.summaries) {
    summaries += summary_html(summary, mode, content.data.at("mode").get<std::string>() == mode);
  }
  return fill(embedded::page_template(), {{"style", std::string(embedded::page_style())},
                                          {"summary", summaries},
                                          {"data", script_json(content.data)},
                                          {"samples", script_json(content.samples)},
                                          {"vega", close_scripts(embedded::vega_script())},
                                          {"charts", std::string(embedded::chart_script())},
                                          {"bars", std::string(embedded::bar_script())},
                                          {"map", std::string(embedded::map_script())},
                                          {"views", std::string(embedded::view_script())},
                                          {"model", std::string(embedded::model_script())},
                                          {"tables", std::string(embedded::table_script())},
                                          {"finder", std::string(embedded::finder_script())},
                                          {"page", std::string(embedded::page_script())}});
}

}  // namespace spiketune
