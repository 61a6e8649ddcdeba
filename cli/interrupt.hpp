#pragma once
/// \file
/// Ctrl-C: the first asks the sweep to finish what it is at, the second ends the program.

namespace spiketune::cli {

void catch_interrupts();
[[nodiscard]] bool interrupted();

}  // namespace spiketune::cli
