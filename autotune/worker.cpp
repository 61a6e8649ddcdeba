#include "spiketune/autotune/worker.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "spiketune/autotune/worker_messages.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

/// A file descriptor, closed in the end and in other programs.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  [[nodiscard]] int get() const { return number_; }
  void reset() {
    if (number_ >= 0) close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorCode::io,
              "cannot start a worker process: " + what + ": " + std::strerror(errno));
}

/// A descriptor above those that a worker finds open.
Descriptor high(int number) {
  constexpr int above = 10;
  const int copy = fcntl(number, F_DUPFD_CLOEXEC, above);
  close(number);
  if (copy < 0) fail("dup");
  return Descriptor(copy);
}

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Pipe make_pipe() {
  int ends[2];
  // Not a pipe: writing to a worker that died is then an error and no signal.
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
  Descriptor first = high(ends[0]);
  return {std::move(first), high(ends[1])};
}

/// A running worker process.
class Process {
 public:
  explicit Process(const std::vector<std::string>& command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// False where the worker no longer reads.
  [[nodiscard]] bool send(const json& message);
  /// The next message; none after `timeout` without one, or when the worker is gone.
  [[nodiscard]] std::optional<json> receive(std::chrono::milliseconds timeout);
  [[nodiscard]] bool gone() const { return gone_; }
  void signal(int number) const {
    if (id_ > 0) ::kill(id_, number);
  }
  /// Waits for its end and says how it came, with the last line that it printed.
  [[nodiscard]] std::string autopsy();

 private:
  [[nodiscard]] std::string last_words() const;

  pid_t id_ = -1;
  Descriptor input_;
  Descriptor output_;
  Descriptor log_;
  LineBuffer lines_;
  bool gone_ = false;
};

Process::Process(const std::vector<std::string>& command) {
  Pipe jobs = make_pipe();
  Pipe answers = make_pipe();
  std::FILE* log = std::tmpfile();
  if (log == nullptr) fail("temporary file");
  log_ = high(dup(fileno(log)));
  std::fclose(log);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, jobs.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, log_.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, log_.get(), STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, answers.write.get(), worker_output);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  // A process group of its own: an interrupt of the terminal is for the sweep.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error =
      posix_spawnp(&id_, command.front().c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    id_ = -1;
    errno = error;
    fail(command.front());
  }
  input_ = std::move(jobs.write);
  output_ = std::move(answers.read);
}

Process::~Process() {
  if (id_ <= 0) return;
  signal(SIGKILL);
  while (waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool Process::send(const json& message) {
  const std::string line = message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t wrote =
        ::send(input_.get(), line.data() + done, line.size() - done, MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

std::optional<json> Process::receive(std::chrono::milliseconds timeout) {
  for (;;) {
    if (const auto line = lines_.next()) return json::parse(*line);
    if (gone_) return std::nullopt;
    pollfd waiting{output_.get(), POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(timeout.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    char buffer[1 << 16];
    const ssize_t got = read(output_.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) gone_ = true;
    if (got > 0) lines_.add(buffer, static_cast<std::size_t>(got));
  }
}

std::string Process::last_words() const {
  constexpr off_t most = 300;
  const off_t size = lseek(log_.get(), 0, SEEK_END);
  if (size <= 0) return "";
  const off_t begin = size > most ? size - most : 0;
  std::string text(static_cast<std::size_t>(size - begin), '\0');
  if (pread(log_.get(), text.data(), text.size(), begin) != size - begin) return "";
  text.erase(text.find_last_not_of(" \n") + 1);
  const std::size_t newline = text.rfind('\n');
  return newline == std::string::npos ? text : text.substr(newline + 1);
}

std::string Process::autopsy() {
  int status = 0;
  while (waitpid(id_, &status, 0) < 0 && errno == EINTR) {
  }
  id_ = -1;
  std::string how = "its process ended";
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    const char* name = sigabbrev_np(number);
    how = fmt::format("its process was ended by SIG{} ({})", name == nullptr ? "?" : name,
                      strsignal(number));
  } else if (WIFEXITED(status)) {
    how = fmt::format("its process ended with exit code {}", WEXITSTATUS(status));
  }
  const std::string words = last_words();
  return words.empty() ? how : how + ", saying: " + words;
}

/// How a worker's work on a job ended.
struct Outcome {
  bool finished = false;
  std::string why;                 ///< empty: finished, or interrupted
  std::set<std::size_t> to_blame;  ///< candidates; empty: the problem as a whole
};

class WorkerExecutor final : public Executor {
 public:
  explicit WorkerExecutor(WorkerOptions options) : options_(std::move(options)) {}

  json environment() override {
    if (!environment_) start();
    return *environment_;
  }
  void run(const Job& job, const RunOptions& options, const JobCallbacks& callbacks) override;

 private:
  void start();
  Outcome run_once(const Job& job, const RunOptions& options, const JobCallbacks& callbacks,
                   std::set<std::size_t>& ended);
  void fail_candidates(const Job& job, const Outcome& outcome, const JobCallbacks& callbacks,
                       std::set<std::size_t>& ended) const;

  WorkerOptions options_;
  std::unique_ptr<Process> process_;
  std::optional<json> environment_;
};

void WorkerExecutor::start() {
  process_ = std::make_unique<Process>(options_.command);
  // Of the first worker only: measuring it takes a while, and all candidates get the same floors.
  if (environment_) return;
  const auto patience =
      std::chrono::milliseconds(static_cast<std::int64_t>(10e3 * options_.deadline_seconds));
  if (process_->send({{"environment", true}})) {
    if (const auto answer = process_->receive(patience)) {
      environment_ = answer->at("environment");
      return;
    }
  }
  process_->signal(SIGKILL);
  const std::string how = process_->autopsy();
  process_.reset();
  throw Error(ErrorCode::io, "the worker process did not start: " + how);
}

/// The job without the candidates that have ended.
Job without(const Job& job, const std::set<std::size_t>& ended) {
  return with_candidates(job, [&](const EncodingChoice&, const KernelChoice& kernel) {
    return !ended.contains(kernel.index);
  });
}

Outcome WorkerExecutor::run_once(const Job& job, const RunOptions& options,
                                 const JobCallbacks& callbacks, std::set<std::size_t>& ended) {
  Outcome outcome;
  if (!process_->send(job_to_json(job, options))) {
    outcome.why = process_->autopsy();
    return outcome;
  }
  constexpr std::chrono::milliseconds tick{100};
  auto last = Clock::now();
  bool told = false;
  for (;;) {
    const auto message = process_->receive(tick);
    if (!told && callbacks.interrupted()) {
      process_->signal(SIGTERM);
      told = true;
    }
    if (message) {
      last = Clock::now();
      if (message->contains("step")) {
        outcome.to_blame = message->at("step").get<std::set<std::size_t>>();
      } else if (message->contains("progress")) {
        callbacks.progress(message->at("progress").at(0), message->at("progress").at(1));
      } else if (message->contains("point")) {
        ended.insert(message->at("point").at("index").get<std::size_t>());
        callbacks.done(message->at("point"));
      } else if (message->contains("broken")) {
        outcome.why = message->at("broken");
        process_.reset();
        return outcome;
      } else if (message->contains("done")) {
        outcome.finished = true;
        return outcome;
      }
      continue;
    }
    if (process_->gone()) {
      outcome.why = process_->autopsy();
      process_.reset();
      return outcome;
    }
    const double patience = options_.deadline_seconds * (outcome.to_blame.empty() ? 10 : 1);
    const double silent = std::chrono::duration<double>(Clock::now() - last).count();
    if (silent > patience) {
      process_.reset();
      outcome.why = fmt::format("it did not answer within {} s (--deadline)", patience);
      return outcome;
    }
  }
}

void WorkerExecutor::fail_candidates(const Job& job, const Outcome& outcome,
                                     const JobCallbacks& callbacks,
                                     std::set<std::size_t>& ended) const {
  const bool all = outcome.to_blame.empty();
  for (const EncodingChoice& choice : job.choices) {
    for (const KernelChoice& kernel : choice.kernels) {
      if (!all && !outcome.to_blame.contains(kernel.index)) continue;
      Point point = blank_point(job.backend, job.planned.problem, choice, kernel);
      point.status = PointStatus::failed;
      point.reason = all ? "setting up the problem: " + outcome.why : outcome.why;
      ended.insert(kernel.index);
      callbacks.done(point_to_json(point));
    }
  }
}

void WorkerExecutor::run(const Job& job, const RunOptions& options, const JobCallbacks& callbacks) {
  std::set<std::size_t> ended;
  Job left = job;
  while (!left.choices.empty()) {
    if (!process_) start();
    const Outcome outcome = run_once(left, options, callbacks, ended);
    if (outcome.finished || callbacks.interrupted()) return;
    left = without(left, ended);
    fail_candidates(left, outcome, callbacks, ended);
    left = without(left, ended);
  }
}

}  // namespace

std::unique_ptr<Executor> make_worker_executor(WorkerOptions options) {
  return std::make_unique<WorkerExecutor>(std::move(options));
}

}  // namespace spiketune
