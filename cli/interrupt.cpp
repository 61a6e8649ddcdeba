#include "spiketune/cli/interrupt.hpp"

#include <unistd.h>

#include <csignal>
#include <cstring>

#include "spiketune/cli/commands.hpp"

namespace spiketune::cli {
namespace {

volatile std::sig_atomic_t requested = 0;  // written by the signal handler

void on_signal(int) {
  if (requested != 0) _exit(exit_interrupted);
  requested = 1;
  constexpr char message[] =
      "\nspiketune: finishing the current measurement; interrupt again to stop at once\n";
  static_cast<void>(!write(STDERR_FILENO, message, sizeof message - 1));
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return requested != 0;
}

}  // namespace spiketune::cli
