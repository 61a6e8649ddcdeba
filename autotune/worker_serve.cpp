// The worker's side of worker.hpp.

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

#include "spiketune/autotune/environment.hpp"
#include "spiketune/autotune/worker.hpp"
#include "spiketune/autotune/worker_messages.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// Bytes of address space that this process has.
std::uint64_t address_space() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t pages = 0;
  file >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// What a candidate may not do to the machine.
void confine(const Backend& backend) {
  std::ofstream("/proc/self/oom_score_adj") << "1000";
  // CUDA reserves address space far beyond any memory.
  const std::uint64_t left = available_host_memory();
  if (backend.space() != Space::host || left == 0) return;
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, address_space() + left);
  static_cast<void>(setrlimit(RLIMIT_AS, &limit));
}

void send(const json& message) {
  const std::string line = message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t wrote = write(worker_output, line.data() + done, line.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) _exit(EXIT_FAILURE);  // nobody listens
    done += static_cast<std::size_t>(wrote);
  }
}

/// The next line of standard input; empty at its end.
std::optional<std::string> receive(LineBuffer& lines) {
  for (;;) {
    if (auto line = lines.next()) return line;
    char buffer[1 << 16];
    const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    lines.add(buffer, static_cast<std::size_t>(got));
  }
}

RunCallbacks answering(Backend& backend, const std::function<bool()>& interrupted) {
  RunCallbacks callbacks;
  callbacks.interrupted = interrupted;
  callbacks.step = [&backend](std::span<const std::size_t> candidates) {
    // What the step before this one broke cannot be mended; it was the last that was announced.
    const std::string why = backend.why_broken();
    if (!why.empty()) {
      send({{"broken", why}});
      _exit(EXIT_FAILURE);
    }
    send({{"step", std::vector<std::size_t>(candidates.begin(), candidates.end())}});
  };
  callbacks.done = [](const Point& point) { send({{"point", point_to_json(point)}}); };
  callbacks.progress = [last = std::chrono::steady_clock::time_point{}](const std::string& what,
                                                                        double share) mutable {
    constexpr std::chrono::milliseconds interval{100};
    const auto now = std::chrono::steady_clock::now();
    if (now - last < interval) return;
    last = now;
    send({{"progress", {what, share}}});
  };
  return callbacks;
}

}  // namespace

void serve_jobs(Backend& backend, const Registry& registry,
                const std::function<bool()>& interrupted) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  require(fcntl(worker_output, F_GETFD) != -1, ErrorCode::io,
          "a worker is started by a sweep, which listens on descriptor 3");
  confine(backend);
  ProblemSetup setup;
  LineBuffer lines;
  while (const auto line = receive(lines)) {
    const json message = json::parse(*line);
    if (message.contains("environment")) {
      send({{"environment", measured_environment(backend)}});
      continue;
    }
    const ReceivedJob received = job_from_json(message, registry);
    run_problem(backend, received.job.planned, received.job.choices, received.options,
                answering(backend, interrupted), setup);
    send({{"done", true}});
  }
}

}  // namespace spiketune
