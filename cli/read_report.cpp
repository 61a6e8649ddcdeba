#include "spiketune/cli/read_report.hpp"

#include <exception>
#include <filesystem>

#include "spiketune/autotune/report.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::cli {

nlohmann::json read_report(const std::string& path) {
  nlohmann::json report = read_json_file(path);
  const bool object = report.is_object();
  const nlohmann::json schema = object ? report.value("schema", nlohmann::json()) : nullptr;
  if (schema != "spiketune.report/1") {
    throw Error(ErrorCode::parse, path + " is not a report of spiketune: its schema is " +
                                      (schema.is_string() ? schema.get<std::string>() : "none") +
                                      ", not spiketune.report/1");
  }
  if (!report.value("points", nlohmann::json()).is_array()) {
    throw Error(ErrorCode::parse, path + " has no list of points");
  }
  return report;
}

bool is_finished_report(const std::string& path) {
  try {
    return std::filesystem::is_regular_file(path) && read_report(path).value("complete", false);
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace spiketune::cli
