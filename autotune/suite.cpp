#include "spiketune/autotune/suite.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <filesystem>
#include <limits>
#include <string_view>

#include "spiketune/autotune/fields.hpp"
#include "spiketune/autotune/inputs.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// What an entry may say beside the fields of a problem.
constexpr std::array<std::string_view, 12> list_fields{"shapes", "densities", "weights", "n",
                                                       "file",   "tile",      "images",  "source",
                                                       "layers", "positions", "batch",   "events"};

constexpr std::array<std::string_view, 5> suite_fields{"schema", "name", "description", "limits",
                                                       "entries"};
constexpr std::array<std::string_view, 2> limit_fields{"max_samples", "max_seconds_per_candidate"};

template <std::size_t count>
void require_fields(const json& object, const std::array<std::string_view, count>& known,
                    const std::string& what) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw Error(ErrorCode::parse, fmt::format("{} has no field '{}'; it has {}", what, key,
                                                fmt::join(known, ", ")));
    }
  }
}

std::vector<std::string> read_list(const json& value, const std::string& name) {
  if (!value.is_array()) {
    throw Error(ErrorCode::parse, "'" + name + "' must be a list of strings, not " + value.dump());
  }
  return read_one_or_many<std::string>(value, name);
}

/// Sizes with an x between them; `form` says how they are written.
template <std::size_t count>
std::array<std::uint64_t, count> parse_sizes(const std::string& text, const char* form) {
  std::array<std::uint64_t, count> sizes{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto [next, error] = std::from_chars(at, end, sizes[i]);
    const bool last = i + 1 == count;
    const bool separated = last ? next == end : next != end && (*next == 'x' || *next == 'X');
    if (error != std::errc{} || !separated ||
        sizes[i] >= std::numeric_limits<std::uint32_t>::max()) {
      throw Error(ErrorCode::parse, "'" + text + "' is not a shape; write " + form);
    }
    at = last ? next : next + 1;
  }
  return sizes;
}

/// Every layer at every batch.
std::vector<ProductShape> layer_shapes(const json& object, std::uint32_t timesteps) {
  const auto positions =
      read_exactly<std::uint32_t>(object.value("positions", json(1)), "positions");
  std::vector<ProductShape> shapes;
  for (const auto& text : read_list(object["layers"], "layers")) {
    const auto sizes = parse_sizes<2>(text, "K x N as in 1024x512");
    for (const auto batch :
         read_one_or_many<std::uint32_t>(object.value("batch", json(1)), "batch")) {
      const std::uint64_t rows = std::uint64_t{positions} * batch;
      require(rows > 0, ErrorCode::parse, "positions and batch must be at least 1");
      require(timesteps == 0 || rows <= std::numeric_limits<std::uint32_t>::max() / timesteps,
              ErrorCode::parse, "M = timesteps · positions · batch must be below 2^32");
      shapes.push_back({timesteps * rows, static_cast<std::uint32_t>(sizes[0]),
                        static_cast<std::uint32_t>(sizes[1])});
    }
  }
  return shapes;
}

SuiteEntry entry_from_json(const json& object, const std::string& folder) {
  if (!object.is_object()) throw Error(ErrorCode::parse, "it is not a JSON object");
  SuiteEntry entry;
  json base = object;
  for (const std::string_view name : list_fields) base.erase(std::string(name));
  for (const char* own : {"rows", "k", "density"}) {
    if (base.contains(own)) {
      throw Error(ErrorCode::parse,
                  std::string("'") + own + "' is for problems; an entry has shapes and densities");
    }
  }
  entry.base = problem_from_json(base);
  if (object.contains("shapes")) {
    for (const auto& text : read_list(object["shapes"], "shapes")) {
      entry.shapes.push_back(parse_product_shape(text));
    }
  }
  require(!(object.contains("shapes") && object.contains("layers")), ErrorCode::parse,
          "an entry has shapes or layers, not both");
  if (object.contains("layers")) {
    entry.shapes = layer_shapes(object, entry.base.timesteps);
  } else {
    require(!object.contains("batch") && !object.contains("positions"), ErrorCode::parse,
            "batch and positions go with layers");
  }
  if (object.contains("source"))
    entry.source = read_exactly<std::string>(object["source"], "source");
  if (object.contains("densities"))
    entry.densities = read_one_or_many<double>(object["densities"], "densities");
  if (object.contains("n")) entry.n = read_one_or_many<std::uint32_t>(object["n"], "n");
  if (object.contains("images"))
    entry.images = read_exactly<std::uint32_t>(object["images"], "images");
  if (object.contains("tile")) entry.tile = read_exactly<std::uint32_t>(object["tile"], "tile");
  if (object.contains("events")) {
    entry.events = fields_from_json<EventOptions>(object["events"]);
  }
  if (object.contains("weights")) {
    for (const auto& name : read_one_or_many<std::string>(object["weights"], "weights")) {
      entry.weights.push_back(parse_dtype(name));
    }
  }
  if (object.contains("file")) {
    entry.file = (std::filesystem::path(folder) / read_exactly<std::string>(object["file"], "file"))
                     .lexically_normal();
  }
  return entry;
}

Suite parse_suite(const json& object, const std::string& folder) {
  if (!object.is_object() || object.value("schema", "") != "spiketune.suite/1") {
    throw Error(ErrorCode::parse,
                "a suite is a JSON object with \"schema\": \"spiketune.suite/1\"");
  }
  require_fields(object, suite_fields, "a suite");
  Suite suite;
  suite.name = read_exactly<std::string>(object.value("name", json("")), "name");
  const json limits = object.value("limits", json::object());
  if (!limits.is_object()) throw Error(ErrorCode::parse, "'limits' must be a JSON object");
  require_fields(limits, limit_fields, "'limits'");
  if (limits.contains("max_samples")) {
    suite.max_samples = read_exactly<std::size_t>(limits["max_samples"], "max_samples");
  }
  if (limits.contains("max_seconds_per_candidate")) {
    suite.max_seconds_per_candidate =
        read_exactly<double>(limits["max_seconds_per_candidate"], "max_seconds_per_candidate");
  }
  if (!object.contains("entries") || !object["entries"].is_array() || object["entries"].empty()) {
    throw Error(ErrorCode::parse, "a suite needs 'entries', a list of at least one");
  }
  const json& entries = object["entries"];
  for (std::size_t i = 0; i < entries.size(); ++i) {
    try {
      suite.entries.push_back(entry_from_json(entries[i], folder));
    } catch (const std::exception& error) {
      throw Error(ErrorCode::parse, "entry " + std::to_string(i) + ": " + error.what());
    }
  }
  return suite;
}

/// Fills in what the file says; a file that cannot be read is a reason, not an error. Returns the
/// columns of the recorded weights.
std::uint32_t read_trace(const SuiteEntry& entry, PlannedProblem& planned) {
  planned.file = entry.file;
  planned.images = entry.images;
  planned.tile = entry.tile;
  planned.events = entry.events;
  planned.problem.pattern = "trace";
  try {
    const Trace trace =
        load_trace(entry.file, entry.images, load_options_of(entry.base, entry.events));
    const SpikeView view = trace.spikes.view();
    planned.problem.timesteps = view.shape.timesteps;
    planned.problem.rows = view.shape.rows * entry.tile;
    planned.problem.k = view.shape.k;
    planned.problem.value = view.kind;
    if (view.kind == ValueKind::graded && !is_floating(planned.problem.input)) {
      planned.problem.input = view.storage;
    }
    const auto elements = static_cast<double>(std::max<std::uint64_t>(view.shape.elements(), 1));
    planned.problem.density = static_cast<double>(count_nonzeros(view)) / elements;
    return trace.n;
  } catch (const Error& error) {
    planned.why_skipped = error.what();
    return 0;
  }
}

std::vector<PlannedProblem> expand_file(const SuiteEntry& entry) {
  PlannedProblem planned;
  planned.problem = entry.base;
  const std::uint32_t recorded_n = read_trace(entry, planned);
  require(recorded_n > 0 || !entry.n.empty() || !planned.why_skipped.empty(),
          ErrorCode::invalid_argument,
          "the file has no weights, so the entry needs n, the columns of W");
  std::vector<PlannedProblem> result;
  for (const std::uint32_t n : entry.n.empty() ? std::vector{recorded_n} : entry.n) {
    planned.problem.n = n;
    result.push_back(planned);
  }
  return result;
}

std::vector<PlannedProblem> expand_shapes(const SuiteEntry& entry) {
  std::vector<PlannedProblem> result;
  for (const ProductShape& shape : entry.shapes) {
    if (entry.base.timesteps == 0 || shape.m % entry.base.timesteps != 0) {
      throw Error(ErrorCode::invalid_argument,
                  "M = " + std::to_string(shape.m) + " is not a multiple of " +
                      std::to_string(entry.base.timesteps) + " timesteps");
    }
    PlannedProblem planned;
    planned.problem = entry.base;
    planned.problem.rows = shape.m / entry.base.timesteps;
    planned.problem.k = shape.k;
    planned.problem.n = shape.n;
    for (const double density : entry.densities) {
      planned.problem.density = density;
      check(pattern_of(planned.problem, 1), planned.problem.shape());
      result.push_back(planned);
    }
  }
  return result;
}

}  // namespace

ProductShape parse_product_shape(const std::string& text) {
  const auto sizes = parse_sizes<3>(text, "M x K x N as in 4096x1024x512");
  return {sizes[0], static_cast<std::uint32_t>(sizes[1]), static_cast<std::uint32_t>(sizes[2])};
}

std::string to_string(const ProductShape& shape) {
  return std::to_string(shape.m) + "x" + std::to_string(shape.k) + "x" + std::to_string(shape.n);
}

Suite suite_from_json(const json& object, const std::string& folder) {
  try {
    return parse_suite(object, folder);
  } catch (const json::exception& error) {
    throw Error(ErrorCode::parse, error.what());
  }
}

Suite read_suite(const std::string& path) {
  const json object = read_json_file(path);
  try {
    Suite suite = suite_from_json(object, std::filesystem::path(path).parent_path().string());
    if (suite.name.empty()) suite.name = std::filesystem::path(path).stem().string();
    return suite;
  } catch (const Error& error) {
    throw Error(error.code(), "suite " + path + ": " + error.what());
  }
}

std::string event_flags(const EventOptions& events) {
  const EventOptions usual;
  std::string flags;
  if (events.steps != usual.steps) flags += fmt::format(" --steps {}", events.steps);
  if (events.window_us != usual.window_us) flags += fmt::format(" --window {}", events.window_us);
  if (events.polarity != usual.polarity) flags += fmt::format(" --polarity {}", events.polarity);
  if (events.downsample != usual.downsample) {
    flags += fmt::format(" --downsample {}", events.downsample);
  }
  if (events.crop != usual.crop) flags += fmt::format(" --crop {}", fmt::join(events.crop, ","));
  if (events.sensor != usual.sensor) {
    flags += fmt::format(" --sensor {}", fmt::join(events.sensor, ","));
  }
  return flags;
}

PatternSpec pattern_of(const Problem& problem, std::uint64_t seed) {
  json fields = problem.pattern_params;
  if (!fields.contains("seed")) fields["seed"] = seed;
  auto spec = fields_from_json<PatternSpec>(fields);
  spec.pattern = parse_pattern(problem.pattern);
  spec.density = problem.density;
  return spec;
}

std::vector<PlannedProblem> expand(const SuiteEntry& entry) {
  const auto need = [](bool there, const char* what) {
    require(there, ErrorCode::invalid_argument, what);
  };
  if (entry.file.empty()) {
    need(!entry.shapes.empty(), "an entry needs shapes, or a file of spikes");
    need(!entry.densities.empty(), "an entry without a file needs densities");
  } else {
    need(entry.shapes.empty() && entry.densities.empty(),
         "an entry with a file has its shape and density from there");
  }
  const auto problems = entry.file.empty() ? expand_shapes(entry) : expand_file(entry);
  std::vector<PlannedProblem> result;
  for (const DType weights :
       entry.weights.empty() ? std::vector{entry.base.weights} : entry.weights) {
    for (PlannedProblem planned : problems) {
      planned.problem.weights = weights;
      // Y of f32 goes with every W; another type only with its own, or with quantised W.
      const bool own_type = planned.problem.output != DType::f32 && is_floating(weights);
      if (own_type) planned.problem.output = weights;
      check_problem(planned.problem);
      result.push_back(std::move(planned));
    }
  }
  return result;
}

}  // namespace spiketune
