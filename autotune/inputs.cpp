#include "spiketune/autotune/inputs.hpp"

#include <atomic>
#include <utility>

#include "spiketune/autotune/fields.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/datasets/generate.hpp"
#include "spiketune/datasets/npz.hpp"

namespace spiketune {
namespace {

SpikeTensor make_spikes(const Backend& backend, const PlannedProblem& planned, std::uint64_t seed) {
  const Problem& problem = planned.problem;
  SpikeTensor spikes =
      backend.make_spikes(problem.shape(), problem.input, problem.value, problem.row_order);
  if (planned.file.empty()) {
    backend.generate(pattern_of(problem, seed), spikes.mutable_view());
    backend.synchronize();
    return spikes;
  }
  const Trace trace =
      load_trace(planned.file, planned.images, load_options_of(problem, planned.events));
  const SpikeTensor wanted =
      convert(trace.spikes.view(), problem.input, problem.row_order, planned.tile);
  require(wanted.view().shape == problem.shape(), ErrorCode::io,
          "the file of spikes changed while the sweep ran");
  backend.copy(spikes.mutable_view().data, wanted.view().data, wanted.view().bytes());
  return spikes;
}

}  // namespace

ProblemInputs make_inputs(const Backend& backend, const PlannedProblem& planned,
                          std::uint64_t seed) {
  const Problem& problem = planned.problem;
  ProblemInputs inputs;
  inputs.spikes = make_spikes(backend, planned, seed);
  const auto weights = random_weights(problem.weights, problem.k, problem.n, seed);
  const float* scales = nullptr;
  if (is_quantised(problem.weights)) {
    const std::vector<float> made = random_scales(problem.n);
    Buffer memory = backend.allocate(made.size() * sizeof(float));
    backend.copy(memory.data(), made.data(), made.size() * sizeof(float));
    scales = static_cast<const float*>(memory.data());
    inputs.memory.push_back(std::move(memory));
  }
  for (std::uint32_t i = 0; i < problem.amortise; ++i) {
    Buffer w = backend.allocate(weights.size());
    backend.copy(w.data(), weights.data(), weights.size());
    inputs.weights.push_back(
        {w.data(), problem.weights, problem.k, problem.n, backend.space(), scales});
    OutputView output{nullptr, problem.output, problem.m(), problem.n, backend.space()};
    Buffer y = backend.allocate(output.bytes());
    output.data = y.data();
    inputs.outputs.push_back(output);
    inputs.memory.push_back(std::move(w));
    inputs.memory.push_back(std::move(y));
  }
  return inputs;
}

Buffer make_reference(const Backend& backend, const ProblemInputs& inputs, const SpikeView& spikes,
                      RowOrder order) {
  const OutputView& output = inputs.outputs.front();
  Buffer reference = backend.allocate(output.m * output.n * sizeof(double));
  backend.reference(spikes, order, inputs.weights.front(), static_cast<double*>(reference.data()));
  backend.synchronize();
  return reference;
}

Trace load_trace(const std::string& file, std::uint32_t images, const LoadOptions& options) {
  if (file.ends_with(".npz") && NpzFile(file).contains("weight")) {
    LayerTrace layer = load_layer(file, images, options.row_order);
    return {std::move(layer.spikes), layer.n, ""};
  }
  LoadOptions resolved = options;
  if (images > 0) resolved.max_batch = images;
  Trace trace;
  trace.spikes = load_spikes(file, resolved, &trace.how);
  return trace;
}

LoadOptions load_options_of(const Problem& problem, const EventOptions& events) {
  LoadOptions options;
  options.events = events;
  options.timesteps = problem.timesteps;
  options.kind = problem.value;
  options.row_order = problem.row_order;
  const bool packed = problem.input == DType::bit || problem.input == DType::u2;
  options.storage = packed ? DType::u8 : problem.input;
  return options;
}

std::uint64_t count_nonzeros(const SpikeView& spikes) {
  std::atomic<std::uint64_t> total{0};
  parallel_ranges(HostContext{}, spikes.shape.m(), 64, [&](std::uint64_t begin, std::uint64_t end) {
    std::uint64_t count = 0;
    for (std::uint64_t row = begin; row < end; ++row) {
      for (std::uint32_t column = 0; column < spikes.shape.k; ++column) {
        count += load_spike(spikes.data, spikes.storage, spikes.shape.k, row, column) != 0.0f;
      }
    }
    total += count;
  });
  return total;
}

SpikeTensor convert(const SpikeView& spikes, DType storage, RowOrder order, std::uint32_t tile) {
  require(tile >= 1, ErrorCode::invalid_argument, "tile must be at least 1");
  const HostContext host;
  SpikeShape shape = spikes.shape;
  shape.rows *= tile;
  SpikeTensor result(host, shape, storage, spikes.kind, order);
  const MutableSpikeView& to = result.mutable_view();
  check(to);
  fill(host, to.data, 0, to.bytes());
  const RowMap to_time_major{shape.timesteps, shape.rows, order, RowOrder::time_major};
  const RowMap from_time_major{shape.timesteps, spikes.shape.rows, spikes.row_order,
                               RowOrder::time_major};
  parallel_for(host, shape.m(), 64, [&](std::uint64_t row) {
    const std::uint64_t t = row / shape.rows;
    const std::uint64_t position = row % shape.rows % spikes.shape.rows;
    const std::uint64_t source = from_time_major.source(t * spikes.shape.rows + position);
    for (std::uint32_t column = 0; column < shape.k; ++column) {
      const float value = load_spike(spikes.data, spikes.storage, shape.k, source, column);
      if (value == 0.0f) continue;
      store_spike(to.data, storage, shape.k, to_time_major.source(row), column, value);
    }
  });
  return result;
}

}  // namespace spiketune
