#include "spiketune/autotune/environment.hpp"

#include <fmt/core.h>

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string_view>

#include "spiketune/core/parallel.hpp"

#if SPIKETUNE_HAVE_OPENBLAS
#include <cblas.h>
#endif

#ifndef SPIKETUNE_VERSION
#define SPIKETUNE_VERSION "unknown"
#endif
#ifndef SPIKETUNE_GIT
#define SPIKETUNE_GIT ""
#endif

namespace spiketune {
namespace {

using nlohmann::json;

/// The first value of a "key : value" file under /proc; "" where there is none.
std::string proc_value(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

json or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

json library_versions() {
  json versions = {
      {"spiketune", build_version()},
      {"spiketune_source", or_null(build_source_hash())},
      {"compiler", __VERSION__},
      {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                                    NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
      {"eigen",
       fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION)}};
#if SPIKETUNE_HAVE_OPENBLAS
  versions["openblas"] = openblas_get_config();
#endif
  return versions;
}

}  // namespace

std::string build_version() {
  return SPIKETUNE_VERSION;
}

std::string build_revision() {
  return SPIKETUNE_GIT;
}

std::string build_source_hash() {
#ifdef SPIKETUNE_SOURCE_HASH_FILE
  return
#include SPIKETUNE_SOURCE_HASH_FILE
      ;
#else
  return "";
#endif
}

json describe_environment(const HostContext& context) {
  double load = 0;  // of others too: whoever reads the times wants to know
  const bool known = getloadavg(&load, 1) == 1;
  return {{"load_average", known ? json(load) : json(nullptr)},
          {"gpu", nullptr},
          {"sms", nullptr},
          {"l2_bytes", nullptr},
          {"driver", nullptr},
          {"cuda", nullptr},
          {"clocks", nullptr},
          {"copy_gbps", nullptr},
          {"cpu", or_null(proc_value("/proc/cpuinfo", "model name"))},
          {"threads", thread_count(context)},
          {"versions", library_versions()}};
}

std::uint64_t available_host_memory() {
  const std::string text = proc_value("/proc/meminfo", "MemAvailable");
  return text.empty() ? 0 : std::strtoull(text.c_str(), nullptr, 10) * 1024;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace spiketune
