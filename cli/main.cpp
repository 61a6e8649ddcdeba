#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>
#include <string>

#include "spiketune/autotune/environment.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/terminal.hpp"

namespace {

constexpr const char* description =
    "spiketune finds the representation that makes encoding and multiplying sparse spike tensors "
    "cheapest: Y = S·W for each format, kernel and density, encode included.";

constexpr const char* footer =
    "Exit codes: 0 done; 1 error; 2 wrong usage; 3 a result was wrong, a candidate failed or "
    "something is slower; 130 interrupted.\n"
    "Example: spiketune sweep --shape 1024x512x256 --density 0.01,0.1 --out report.json";

int fail(int code, const std::string& message) {
  // One sentence on one line, whatever the library, or a file's own names, put in.
  std::string line = message.substr(0, message.find_last_not_of('\n') + 1);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  const std::string name = spiketune::cli::alarming("spiketune:", STDERR_FILENO);
  std::fprintf(stderr, "%s %s\n", name.c_str(), line.c_str());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace spiketune;
  CLI::App app(description, "spiketune");
  app.footer(footer);
  app.set_version_flag("--version", "spiketune " + build_version());
  app.require_subcommand(1);
  int exit_code = cli::exit_ok;
  cli::add_sweep(app, {argv, argv + argc}, exit_code);
  cli::add_report(app, exit_code);
  cli::add_tune(app, {argv, argv + argc}, exit_code);
  cli::add_plan(app, exit_code);
  cli::add_explain(app, exit_code);
  cli::add_cache(app, exit_code);
  cli::add_merge(app, exit_code);
  cli::add_worker(app, exit_code);
  cli::add_compare(app, exit_code);
  cli::add_info(app, exit_code);
  cli::add_generate(app, exit_code);
  cli::add_inspect(app, exit_code);
  cli::add_encode(app, exit_code);
  cli::add_decode(app, exit_code);
  cli::add_completion(app, exit_code);
  cli::add_manual(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return fail(cli::exit_usage, std::string(error.what()) + " (see --help)");
  } catch (const std::bad_alloc&) {
    return fail(cli::exit_error, "out of memory");
  } catch (const nlohmann::json::exception& error) {
    const std::string what = error.what();  // "[name and number] sentence"
    return fail(cli::exit_error, "a JSON file that was read holds something unexpected: " +
                                     what.substr(what.find(']') + 2));
  } catch (const std::exception& error) {
    return fail(cli::exit_error, error.what());
  }
  std::cout.flush();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout) {
    return fail(cli::exit_error, "cannot write to standard output");
  }
  return exit_code;
}
