#include "spiketune/datasets/readers/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

/// What the child sends first; arrays follow `arrays`, an error code and a text the others.
enum class Outcome : std::uint64_t { arrays, error };

/// A file descriptor that is closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

/// Bytes of address space that this process has now.
std::uint64_t address_space() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

void set_limit(__rlimit_resource resource, std::uint64_t value) {
  const rlimit limit{value, value};
  static_cast<void>(setrlimit(resource, &limit));
}

/// Crashes end the child at once and silently: no core, no message, no handler of the parent's.
void confine(std::uint64_t memory_bytes, std::uint64_t cpu_seconds) {
  for (const int number :
       {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU, SIGTERM, SIGINT, SIGALRM, SIGPIPE}) {
    std::signal(number, SIG_DFL);
  }
  const int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) {
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
  }
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_CPU, cpu_seconds);
  set_limit(RLIMIT_AS, address_space() + memory_bytes);
}

void write_all(int to, const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t count = write(to, at, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) _exit(EXIT_FAILURE);  // nobody listens
    at += count;
    size -= static_cast<std::size_t>(count);
  }
}

void write_number(int to, std::uint64_t number) {
  write_all(to, &number, sizeof number);
}

void write_error(int to, ErrorCode code, const char* message) {
  write_number(to, static_cast<std::uint64_t>(Outcome::error));
  write_number(to, static_cast<std::uint64_t>(code));
  write_all(to, message, std::strlen(message));
}

/// The child's life.
[[noreturn]] void serve(int to, const std::function<std::vector<NpyArray>()>& read) {
  try {
    const std::vector<NpyArray> arrays = read();
    write_number(to, static_cast<std::uint64_t>(Outcome::arrays));
    write_number(to, arrays.size());
    for (const NpyArray& array : arrays) {
      const std::string header = npy_header(array);
      write_number(to, header.size() + array.data.size());
      write_all(to, header.data(), header.size());
      write_all(to, array.data.data(), array.data.size());
    }
  } catch (const Error& error) {
    write_error(to, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    _exit(EXIT_FAILURE);
  } catch (const std::exception& error) {
    write_error(to, ErrorCode::internal, error.what());
  }
  _exit(EXIT_SUCCESS);
}

std::size_t read_some(int from, std::span<std::byte> to) {
  std::size_t done = 0;
  while (done < to.size()) {
    const ssize_t count = read(from, to.data() + done, to.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

std::optional<std::uint64_t> read_number(int from) {
  std::uint64_t number = 0;
  const auto bytes = std::as_writable_bytes(std::span(&number, 1));
  return read_some(from, bytes) == bytes.size() ? std::optional(number) : std::nullopt;
}

/// What the child sent, or nothing where it died over it.
std::optional<std::vector<NpyArray>> receive(int from, const std::string& name) {
  const auto outcome = read_number(from);
  const auto number = read_number(from);
  if (!outcome || !number) return std::nullopt;
  if (*outcome == static_cast<std::uint64_t>(Outcome::error)) {
    const ByteSource message{name, 0, [&](std::span<std::byte> to) { return read_some(from, to); }};
    throw Error(static_cast<ErrorCode>(*number), read_rest(message));
  }
  std::vector<NpyArray> arrays;
  for (std::uint64_t i = 0; i < *number; ++i) {
    const auto size = read_number(from);
    if (!size) return std::nullopt;
    std::uint64_t left = *size;
    bool died = false;
    const ByteSource source{name, *size, [&](std::span<std::byte> to) {
                              const std::size_t wanted = std::min<std::uint64_t>(to.size(), left);
                              const std::size_t count = read_some(from, to.first(wanted));
                              died = died || count < wanted;
                              left -= count;
                              return count;
                            }};
    try {
      arrays.push_back(read_npy(source));
    } catch (const Error&) {
      if (died) return std::nullopt;
      throw;
    }
  }
  return arrays;
}

/// Waits for the child however this scope is left.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  ~Child() { static_cast<void>(wait()); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// What waitpid() says.
  int wait() {
    while (!waited_ && waitpid(id_, &status_, 0) < 0 && errno == EINTR) {
    }
    waited_ = true;
    return status_;
  }

 private:
  pid_t id_;
  int status_ = 0;
  bool waited_ = false;
};

std::string why_it_died(int status) {
  if (!WIFSIGNALED(status)) return "it took more memory than a file of this size may";
  const int number = WTERMSIG(status);
  if (number == SIGXCPU || number == SIGKILL) return "it took too long";
  return fmt::format("it crashed the library that reads it (signal {})", number);
}

}  // namespace

std::vector<NpyArray> read_in_child(const std::string& name, std::uint64_t memory_bytes,
                                    std::uint64_t cpu_seconds,
                                    const std::function<std::vector<NpyArray>()>& read) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) {
    throw Error(ErrorCode::io, fmt::format("{}: no pipe: {}", name, std::strerror(errno)));
  }
  Descriptor from(ends[0]);
  Descriptor to(ends[1]);
  const pid_t id = fork();
  if (id < 0) {
    throw Error(ErrorCode::io, fmt::format("{}: no process: {}", name, std::strerror(errno)));
  }
  if (id == 0) {
    confine(memory_bytes, cpu_seconds);
    serve(to.number(), read);
  }
  to.close();
  Child child(id);
  auto arrays = receive(from.number(), name);
  from.close();  // a child that writes on is ended by it
  if (!arrays) {
    throw Error(ErrorCode::parse,
                fmt::format("{}: is damaged: {}", name, why_it_died(child.wait())));
  }
  return std::move(*arrays);
}

}  // namespace spiketune
