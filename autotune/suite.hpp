#pragma once
/// \file
/// Suites: lists of problems as JSON files (datasets/suites/), and how one entry becomes many.
///
///   {"schema": "spiketune.suite/1", "description": "...",
///    "limits": {"max_samples": 50, "max_seconds_per_candidate": 0.5},
///    "entries": [
///      {"workload": "uniform", "shapes": ["1024x512x256"], "timesteps": 4,
///       "densities": [0.005, 0.05], "pattern": "bernoulli", "weights": ["f32"]},
///      {"workload": "vgg9.conv5", "source": "...", "timesteps": 4, "positions": 64,
///       "batch": [1, 16], "layers": ["2304x256"], "densities": [0.084], "pattern": "layer",
///       "pattern_params": {"sigma": 0.5, "silent_share": 0, "correlation": 0.2}},
///      {"workload": "conv2", "file": "../fashion_mnist_snn/conv2.npz", "images": 8, "tile": 4}]}
///
/// An entry has the fields of a problem, but lists where it spans several: shapes (M x K x N, with
/// M = timesteps · rows), densities, weights, n. Instead of shapes there may be layers (K x N),
/// positions (of one sample: pixels or tokens; 1 by default) and batch (a list; 1): the shapes are
/// then every layer at every M = timesteps · positions · batch. `source` says, for people, where
/// the numbers are from. An entry with a file has K, rows, timesteps and
/// density as found there, and n where it is a recorded layer (load_layer), of which `images` are
/// taken; `tile` repeats the rows. Files are relative to the suite. Of a file of events the entry
/// says how they become time steps: "events": {"steps": 16, "downsample": 4} (EventOptions).
/// datasets/suite.schema.json describes it for editors and validators.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "spiketune/autotune/problem.hpp"
#include "spiketune/datasets/events.hpp"
#include "spiketune/datasets/generate.hpp"

namespace spiketune {

/// M × K × N.
struct ProductShape {
  std::uint64_t m = 0;
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  bool operator==(const ProductShape&) const = default;
};

/// "4096x1024x512". Throws Error(parse).
[[nodiscard]] ProductShape parse_product_shape(const std::string& text);
[[nodiscard]] std::string to_string(const ProductShape& shape);

struct SuiteEntry {
  Problem base;        ///< what the lists below do not say
  std::string source;  ///< of the numbers; may be empty
  std::vector<ProductShape> shapes;
  std::vector<double> densities;
  std::vector<DType> weights;
  std::string file;              ///< spikes recorded in a file instead of generated; or empty
  std::vector<std::uint32_t> n;  ///< columns of W; only with a file, where it has no weights
  std::uint32_t images = 0;      ///< of a recording of several; 0: all
  std::uint32_t tile = 1;        ///< times the rows of a file are repeated
  EventOptions events;           ///< of a file of events
};

struct Suite {
  std::string name;
  std::optional<std::size_t> max_samples;
  std::optional<double> max_seconds_per_candidate;
  std::vector<SuiteEntry> entries;
};

/// Throws Error(io) or Error(parse) that names the file and the entry.
[[nodiscard]] Suite read_suite(const std::string& path);
/// `folder`: what files in it are relative to.
[[nodiscard]] Suite suite_from_json(const nlohmann::json& json, const std::string& folder);

/// A problem and where its spikes come from.
struct PlannedProblem {
  Problem problem;
  std::string file;  ///< empty: generated
  std::uint32_t images = 0;
  std::uint32_t tile = 1;
  EventOptions events;
  std::string why_skipped;  ///< the file is not there or cannot be read; rows and K are then 0
};

/// The flags of `spiketune sweep` that say the same as `events`, each after a blank.
[[nodiscard]] std::string event_flags(const EventOptions& events);

/// The generator's specification of a problem without a file. Throws Error(parse) for a pattern or
/// a parameter that no generator knows.
[[nodiscard]] PatternSpec pattern_of(const Problem& problem, std::uint64_t seed);

/// All problems of an entry: shapes, then weights, then densities. Reads files, for their shape and
/// density. Throws Error(invalid_argument) where timesteps do not divide M, as check_problem()
/// does, and where the generator rejects the pattern for that shape.
[[nodiscard]] std::vector<PlannedProblem> expand(const SuiteEntry& entry);

}  // namespace spiketune
