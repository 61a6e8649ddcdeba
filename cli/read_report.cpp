#include "spiketune/cli/read_report.hpp"

#include "spiketune/autotune/report.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::cli {

nlohmann::json read_report(const std::string& path) {
  nlohmann::json report = read_json_file(path);
  const bool object = report.is_object();
  const nlohmann::json schema = object ? report.value("schema", nlohmann::json()) : nullptr;
  if (schema != "spiketune.report/1") {
    throw Error(ErrorCode::parse,
                path + " is not a report of spiketune (schema spiketune.report/1)");
  }
  return report;
}

}  // namespace spiketune::cli
