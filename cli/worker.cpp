#include "spiketune/autotune/worker.hpp"

#include <memory>
#include <string>
#include <vector>

#include "spiketune/autotune/setup.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/interrupt.hpp"

namespace spiketune::cli {
namespace {

struct WorkerFlags {
  std::string backend;
  int device = 0;
  int threads = 0;
  std::vector<std::string> plugins;
};

}  // namespace

void add_worker(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("worker", "measure for a sweep that started this process");
  command->group("");  // not for people
  auto flags = std::make_shared<WorkerFlags>();
  command->add_option("--backend", flags->backend)->required();
  command->add_option("--device", flags->device);
  command->add_option("--threads", flags->threads);
  command->add_option("--plugin", flags->plugins);
  command->callback([flags, &exit_code] {
    catch_interrupts();
    const Registry registry = make_registry(flags->plugins);
    const auto backend = open_backend(flags->backend, flags->device, flags->threads);
    serve_jobs(*backend, registry, interrupted);
    exit_code = exit_ok;
  });
}

}  // namespace spiketune::cli
