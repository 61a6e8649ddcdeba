#include "spiketune/cli/tuned.hpp"

#include <fmt/format.h>

#include <cctype>
#include <cstdio>

#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/setup.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::cli {
namespace {

void print_notice(const std::string& notice) {
  fmt::print(stderr, "spiketune: note: {}\n", notice);
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

PlanCache open_plan_cache() {
  return {plan_cache_folder(), print_notice};
}

nlohmann::json read_tuned(const std::string& path) {
  const nlohmann::json content = read_json_file(path);
  const std::string schema = report_json::text(content, "schema");
  if (schema == "spiketune.plans/1") return read_plans(path);
  if (schema != "spiketune.report/1") {
    throw Error(ErrorCode::parse, path + " is neither a report nor exported points of spiketune");
  }
  try {
    return plans_of_report(content);
  } catch (const Error& error) {
    throw Error(error.code(), path + ": " + error.what());
  }
}

FoundPlans find_tuned(const std::string& device) {
  const nlohmann::json environment = open_backend("auto", 0, 0)->environment();
  const PlanKey here = plan_key(environment);
  const auto wanted = [&](const PlanKey& key) {
    if (device.empty()) return key.same_device(here);
    return lower(key.device).find(lower(device)) != std::string::npos;
  };
  // Whose driver matters is known only for the device that is here.
  const std::string driver = device.empty() ? report_json::text(environment, "driver") : "";
  auto found = find_plans(open_plan_cache(), wanted, here, driver, print_notice);
  if (!found) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("nothing was tuned for {}: run spiketune tune --out tuned.json ..., then "
                    "spiketune cache import tuned.json, or name a report with --from",
                    device.empty() ? here.device : "a device named " + device));
  }
  return std::move(*found);
}

}  // namespace spiketune::cli
