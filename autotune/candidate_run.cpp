#include "spiketune/autotune/candidate_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

/// Copying larger encodings to the host to check their rules would take longer than measuring them.
constexpr std::uint64_t largest_validated = std::uint64_t{1} << 30;
/// A second guess is exact for every format whose needs can be counted in one pass.
constexpr int most_attempts = 3;

/// Valid but not possible here is no failure.
PointStatus status_of(const Error& error) {
  return error.code() == ErrorCode::unsupported ? PointStatus::skipped : PointStatus::failed;
}

void add_note(EncodingRun& run, const std::string& note) {
  for (KernelRun& kernel : run.kernels) kernel.point.notes.push_back(note);
}

EncodeStatus encode_once(const Backend& backend, const ProblemInputs& inputs,
                         const EncodingChoice& choice, const Problem& problem,
                         std::optional<std::uint64_t> capacity, EncodingRun& run) {
  run.encode = nullptr;  // it points into the encoding
  run.encoding = choice.plugin->plan(backend.context(), layout_of(problem), choice.params,
                                     problem.density, capacity);
  run.encode = run.encoding->bind_encode(inputs.spikes.view());
  run.encode();
  backend.synchronize();
  return run.encoding->status();
}

/// Encodes with as much room as it takes.
EncodeStatus encode_to_fit(const Backend& backend, const ProblemInputs& inputs,
                           const EncodingChoice& choice, const Problem& problem, EncodingRun& run) {
  std::optional<std::uint64_t> capacity;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const EncodeStatus status = encode_once(backend, inputs, choice, problem, capacity, run);
    if (status.first_invalid != EncodeStatus::none_invalid) {
      throw Error(ErrorCode::invalid_value,
                  fmt::format("element {} of the input is not a {} spike", status.first_invalid,
                              to_string(problem.value)));
    }
    const std::uint64_t given = run.encoding->capacity();
    if (status.needed <= given) return status;
    add_note(run, fmt::format("the density suggested a capacity of {}, the spikes needed {}", given,
                              status.needed));
    capacity = status.needed;
  }
  throw Error(ErrorCode::overflow, fmt::format("it still overflows a capacity of {} after {} tries",
                                               *capacity, most_attempts));
}

/// Why the encoding is wrong; empty where it holds what it should.
std::string check_rules(EncodingRun& run) {
  if (run.bytes > largest_validated) return "";
  try {
    run.encoding->validate();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::invalid_value) return error.what();
    if (error.code() != ErrorCode::unsupported) throw;
  }
  return "";
}

/// The same for what it decodes to. A lossy encoding gets the reference of what it kept.
std::string check_round_trip(const Backend& backend, const ProblemInputs& inputs,
                             EncodingRun& run) {
  const SpikeView input = inputs.spikes.view();
  SpikeTensor decoded =
      backend.make_spikes(input.shape, input.storage, input.kind, input.row_order);
  try {
    run.encoding->decode(decoded.mutable_view());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::unsupported) return "";  // a baseline; its product is compared
    throw;
  }
  if (run.plugin->lossy()) {
    run.pruned_reference = make_reference(backend, inputs, decoded.view(), input.row_order);
    return "";
  }
  const std::uint64_t at = backend.first_difference(input, decoded.view());
  if (at == Comparison::none) return "";
  return fmt::format("decoding gives another spike at row {}, column {} of the input",
                     at / input.shape.k, at % input.shape.k);
}

void record_encoding(const EncodeStatus& status, EncodingRun& run) {
  for (KernelRun& kernel : run.kernels) {
    kernel.point.nnz = status.nnz;
    kernel.point.encoded_bytes = run.encoding->bytes(status.needed);
    if (!run.plugin->lossy()) continue;
    kernel.point.lost_share =
        status.nnz == 0 ? 0.0 : static_cast<double>(status.lost) / static_cast<double>(status.nnz);
  }
}

/// Makes and checks the encoding; what is wrong with it goes to all its points.
void prepare_encoding(const Backend& backend, const ProblemInputs& inputs,
                      const EncodingChoice& choice, EncodingRun& run) {
  const Problem& problem = run.kernels.front().point.problem;
  const EncodeStatus status = encode_to_fit(backend, inputs, choice, problem, run);
  run.bytes = run.encoding->bytes(run.encoding->capacity());
  record_encoding(status, run);
  std::string wrong = check_rules(run);
  if (wrong.empty()) wrong = check_round_trip(backend, inputs, run);
  if (!wrong.empty()) give_up(run, PointStatus::wrong, wrong);
}

/// Runs a kernel's products once each on poisoned outputs and compares all of Y.
void prepare_kernel(const Backend& backend, const ProblemInputs& inputs, EncodingRun& run,
                    KernelRun& kernel) {
  Point& point = kernel.point;
  for (std::size_t i = 0; i < inputs.weights.size(); ++i) {
    kernel.products.push_back(
        run.encoding->bind_spmm(point.kernel, point.config, inputs.weights[i], inputs.outputs[i]));
    constexpr unsigned char nan_byte = 0xff;  // NaN in every type of Y
    backend.fill(inputs.outputs[i].data, nan_byte, inputs.outputs[i].bytes());
    kernel.products.back()();
  }
  backend.synchronize();
  const double* reference = run.pruned_reference
                                ? static_cast<const double*>(run.pruned_reference->data())
                                : inputs.reference;
  point.max_error = 0;
  for (const OutputView& output : inputs.outputs) {
    const Comparison comparison = backend.compare(output, reference);
    point.max_error = std::max(*point.max_error, comparison.max_error);
    if (comparison.scaled_error <= tolerance(point.problem)) continue;
    give_up(point, PointStatus::wrong, describe(comparison, output.n));
    return;
  }
}

/// Runs `step`; what it throws becomes the status of `target`, but for a lack of memory.
template <class Target, class Step>
void guarded(Target& target, Step&& step) {
  try {
    step();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_memory) throw;
    give_up(target, status_of(error), error.what());
  } catch (const std::exception& error) {
    give_up(target, PointStatus::failed, error.what());
  }
}

}  // namespace

bool EncodingRun::alive() const {
  return std::any_of(kernels.begin(), kernels.end(), [](const KernelRun& kernel) {
    return kernel.point.status == PointStatus::ok;
  });
}

std::vector<std::size_t> candidates_of(const EncodingRun& run) {
  std::vector<std::size_t> indices;
  for (const KernelRun& kernel : run.kernels) {
    if (kernel.point.status == PointStatus::ok) indices.push_back(kernel.point.index);
  }
  return indices;
}

void give_up(Point& point, PointStatus status, const std::string& reason) {
  if (point.status != PointStatus::ok) return;
  point.status = status;
  point.reason = reason;
}

void give_up(EncodingRun& run, PointStatus status, const std::string& reason) {
  for (KernelRun& kernel : run.kernels) give_up(kernel.point, status, reason);
}

std::unique_ptr<EncodingRun> prepare_candidates(
    const Backend& backend, const ProblemInputs& inputs, const EncodingChoice& choice,
    std::vector<Point> points, const std::function<void(std::span<const std::size_t>)>& step) {
  auto run = std::make_unique<EncodingRun>();
  run->plugin = choice.plugin;
  for (Point& point : points) {
    run->kernels.emplace_back();
    run->kernels.back().point = std::move(point);
  }
  if (!run->alive()) return run;
  step(candidates_of(*run));
  guarded(*run, [&] { prepare_encoding(backend, inputs, choice, *run); });
  for (KernelRun& kernel : run->kernels) {
    if (kernel.point.status != PointStatus::ok || kernel.point.kernel == no_kernel) continue;
    step(std::span(&kernel.point.index, 1));
    guarded(kernel.point, [&] { prepare_kernel(backend, inputs, *run, kernel); });
  }
  return run;
}

}  // namespace spiketune
