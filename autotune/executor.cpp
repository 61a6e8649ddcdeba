#include "spiketune/autotune/executor.hpp"

#include <optional>
#include <utility>

namespace spiketune {
namespace {

class LocalExecutor final : public Executor {
 public:
  explicit LocalExecutor(Backend& backend) : backend_(backend) {}

  nlohmann::json environment() override {
    if (!environment_) environment_ = measured_environment(backend_);
    return *environment_;
  }

  void run(const Job& job, const RunOptions& options, const JobCallbacks& callbacks) override {
    RunCallbacks inner;
    inner.interrupted = callbacks.interrupted;
    inner.progress = callbacks.progress;
    inner.done = [&](const Point& point) { callbacks.done(point_to_json(point)); };
    run_problem(backend_, job.planned, job.choices, options, inner, setup_);
  }

 private:
  Backend& backend_;
  std::optional<nlohmann::json> environment_;
  ProblemSetup setup_;
};

}  // namespace

Job with_candidates(const Job& job,
                    const std::function<bool(const EncodingChoice&, const KernelChoice&)>& keep) {
  Job result{job.backend, job.planned, {}};
  for (const EncodingChoice& choice : job.choices) {
    EncodingChoice kept = choice;
    std::erase_if(kept.kernels, [&](const KernelChoice& kernel) { return !keep(choice, kernel); });
    if (!kept.kernels.empty()) result.choices.push_back(std::move(kept));
  }
  return result;
}

nlohmann::json measured_environment(Backend& backend) {
  nlohmann::json result = backend.environment();
  result[backend.space() == Space::device ? "event_overhead_us" : "clock_overhead_us"] =
      backend.meter().overhead_us();
  result["copy_gbps"] = backend.meter().copy_gbps();
  return result;
}

std::unique_ptr<Executor> make_local_executor(Backend& backend) {
  return std::make_unique<LocalExecutor>(backend);
}

}  // namespace spiketune
