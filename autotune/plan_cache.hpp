#pragma once
/// \file
/// Tuned points that are kept: measured once, found again by every later plan on the same device
/// and build.
///
/// A **document** is a JSON object
///
///   {"schema": "spiketune.plans/1", "device": "NVIDIA H200", "units": 132, "version": "0.1.0",
///    "source": "<hash>", "git": "<revision>", "points": [...]}
///
/// whose points are those of a report that were measured in full, with medians alone, and with
/// `measured` (when) and `driver`. The cache is a folder of documents, one for each device and
/// build; a build is the library's version and the hash of the sources that times depend on.
///
/// Writers hold a lock on the folder, and replace documents whole: readers need no lock, and many
/// processes may add at once. A document that cannot be understood is renamed to NAME.corrupt-N,
/// with a notice, and counts as absent.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spiketune {

/// Whose times they are.
struct PlanKey {
  std::string device;       ///< name of the GPU, or of the CPU where there was none
  std::uint64_t units = 0;  ///< its SMs, or threads
  std::string version;      ///< of spiketune
  std::string source;       ///< build_source_hash(); empty: not known

  [[nodiscard]] bool same_device(const PlanKey& other) const {
    return device == other.device && units == other.units;
  }
  /// Never, where either does not know its sources.
  [[nodiscard]] bool same_build(const PlanKey& other) const {
    return version == other.version && source == other.source && !source.empty();
  }
};

/// Of an `environment` of a report.
[[nodiscard]] PlanKey plan_key(const nlohmann::json& environment);
/// Of a document.
[[nodiscard]] PlanKey document_key(const nlohmann::json& document);
/// "NVIDIA H200 (132 SMs or threads), spiketune 0.1.0 of sources 0123456789abcdef".
[[nodiscard]] std::string to_string(const PlanKey& key);

/// A document of the points of a report that are ok and have an encode, compute and total time.
/// Throws Error(invalid_argument) where there are none, or the report does not say on what device.
[[nodiscard]] nlohmann::json plans_of_report(const nlohmann::json& report);

/// A document as text; checked, so that whoever reads it meets no surprise. Points that cannot be
/// read are left out. Throws Error(parse) that names `name`.
[[nodiscard]] nlohmann::json parse_plans(std::string_view text, const std::string& name);
/// The same from a file of at most max_document_bytes. Throws Error(io) too.
[[nodiscard]] nlohmann::json read_plans(const std::string& path);

/// Documents that are part of the library, for devices that the user has not tuned.
[[nodiscard]] const std::vector<nlohmann::json>& shipped_plans();

constexpr std::size_t max_document_bytes = std::size_t{32} << 20;
/// The oldest go first.
constexpr std::size_t max_document_points = 30'000;

/// $XDG_CACHE_HOME/spiketune, else ~/.cache/spiketune. Throws Error(io) where neither is set.
[[nodiscard]] std::string plan_cache_folder();

class PlanCache {
 public:
  using Notice = std::function<void(const std::string&)>;

  /// \param notice   told, in a sentence, what the user should know: documents set aside, points
  ///                 dropped
  PlanCache(std::string folder, Notice notice);

  /// Adds the points of a document to those of its key; measured anew, a candidate's old point
  /// goes. Returns how many points there are then. Throws Error(io), and Error(invalid_argument)
  /// where the document would not fit into max_document_bytes.
  std::size_t add(const nlohmann::json& document);

  struct Entry {
    std::string path;
    nlohmann::json document;
  };
  /// Every document, by name.
  [[nodiscard]] std::vector<Entry> list() const;

  /// What to keep; the rest goes.
  struct Keep {
    std::string since;              ///< measured then or later, ISO 8601 in UTC; empty: any time
    std::optional<PlanKey> device;  ///< of this device
    std::optional<PlanKey> build;   ///< of this build
    bool corrupt = true;            ///< documents that were set aside
  };
  /// Returns how many points were removed. Throws Error(io).
  std::size_t prune(const Keep& keep);

 private:
  class Lock;
  enum class Access : std::uint8_t { reading, locked };
  [[nodiscard]] std::string path_of(const PlanKey& key) const;
  [[nodiscard]] std::optional<nlohmann::json> read(const std::string& path, Access access) const;
  void set_aside(const std::string& path, const std::string& why) const;
  [[nodiscard]] std::vector<std::string> files() const;

  std::string folder_;
  Notice notice_;
};

/// Where tuned points for a device came from.
struct FoundPlans {
  nlohmann::json document;
  std::string origin;  ///< a path, or "the points shipped with spiketune"
};

/// The points of a device and this build: the user's own, else shipped ones. `notice` is told of
/// points that were passed over since another build measured them, of shipped ones that another
/// build measured, and of points that another driver measured.
/// \param wanted   whether a device will do
/// \param build    version and sources of this build
/// \param driver   of this machine; empty: not known
[[nodiscard]] std::optional<FoundPlans> find_plans(
    const PlanCache& cache, const std::function<bool(const PlanKey&)>& wanted, const PlanKey& build,
    const std::string& driver, const PlanCache::Notice& notice);

}  // namespace spiketune
