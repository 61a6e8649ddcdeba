#include "spiketune/autotune/planner.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "spiketune/autotune/report.hpp"
#include "spiketune/autotune/report_json.hpp"
#include "spiketune/autotune/report_summary.hpp"
#include "spiketune/autotune/suite.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/sweep_flags.hpp"
#include "spiketune/cli/tuned.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::cli {
namespace {

struct PlanFlags {
  std::string from;
  std::string device;
  bool evaluate = false;
  std::string hold_out = "densities";
  std::uint64_t seed = 0;
  bool baselines = false;
  bool lossy = false;
  bool explain = false;
  bool json = false;
  std::size_t top = 5;
  SweepFlags problem;
};

nlohmann::json plan_to_json(const Plan& plan) {
  nlohmann::json terms = nlohmann::json::object();
  for (const PlanTerm& term : plan.terms) terms[term.name] = term.us;
  return {{"format", plan.format},         {"kernel", plan.kernel},
          {"config", plan.config},         {"backend", plan.backend},
          {"baseline", plan.baseline},     {"lossy", plan.lossy},
          {"encode_us", plan.encode_us},   {"compute_us", plan.compute_us},
          {"total_us", plan.total_us},     {"low_us", plan.low_us},
          {"high_us", plan.high_us},       {"points", plan.points},
          {"distance", plan.distance},     {"terms_us", terms},
          {"correction", plan.correction}, {"trusted", plan.trusted},
          {"reason", plan.reason}};
}

void print_plan(std::size_t rank, const Plan& plan, bool explain) {
  fmt::print("{:2}  {:<30} {:>9}  ({} to {})  encode {:>9}  compute {:>9}\n", rank,
             plan.format + " " + plan.kernel, format_time(plan.total_us), format_time(plan.low_us),
             format_time(plan.high_us), format_time(plan.encode_us), format_time(plan.compute_us));
  if (!explain) return;
  fmt::print("      config {}\n      {}\n", plan.config.dump(), plan.reason);
  for (const PlanTerm& term : plan.terms) {
    fmt::print("      {:<22} {:>9}\n", term.name, format_time(term.us));
  }
  fmt::print("      x {:.3f} from tuned points nearby\n", plan.correction);
}

int evaluate(const PlanFlags& flags, const nlohmann::json& report) {
  const HoldOut hold_out =
      flags.hold_out == "densities" ? HoldOut::densities : HoldOut::shapes_and_densities;
  const PlanEvaluation result =
      evaluate_planner(report, {flags.baselines, flags.lossy}, hold_out, flags.seed);
  for (const PlanEvaluation::Choice& choice : result.choices) {
    fmt::print("{:>6.1f} %  {}: {} {} took {}, best {} {}\n",
               100 * (choice.chosen_us / choice.best_us - 1), problem_name(choice.problem),
               choice.plan.format, choice.plan.kernel, format_time(choice.chosen_us), choice.best,
               format_time(choice.best_us));
  }
  fmt::print(
      "{} problems judged: regret {:.1f} % (geometric mean), {:.1f} % (95th percentile), at "
      "most {:.1f} % slower than dense\n",
      result.choices.size(), 100 * result.mean_regret, 100 * result.p95_regret,
      100 * result.worst_over_dense);
  return exit_ok;
}

/// The points to learn from, and what they are called in messages.
FoundPlans tuned(const PlanFlags& flags) {
  if (flags.from.empty()) return find_tuned(flags.device);
  // Not as read_tuned() does: plans can be made of points that a search left early, too.
  nlohmann::json content = read_json_file(flags.from);
  if (report_json::text(content, "schema") == "spiketune.report/1") {
    return {std::move(content), flags.from};
  }
  return {read_tuned(flags.from), flags.from};
}

int run(PlanFlags& flags, const CLI::App& command) {
  const FoundPlans found = tuned(flags);
  const nlohmann::json& report = found.document;
  if (flags.evaluate) return evaluate(flags, report);
  const Planner planner(tuned_points(report));
  if (!flags.json) fmt::print("learning from {}\n", found.origin);
  const SweepOptions options = options_of(flags.problem, command);
  nlohmann::json all = nlohmann::json::array();
  for (const SuiteEntry& entry : options.entries) {
    for (const PlannedProblem& planned : expand(entry)) {
      require(planned.why_skipped.empty(), ErrorCode::io, planned.why_skipped.c_str());
      std::vector<Plan> plans = planner.plan(planned.problem, {flags.baselines, flags.lossy});
      if (plans.empty()) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{} has no points of these types ({}); tune such a problem first",
                                found.origin, problem_name(planned.problem)));
      }
      if (flags.top > 0 && plans.size() > flags.top) plans.resize(flags.top);
      if (!flags.json) fmt::print("{}\n", problem_name(planned.problem));
      nlohmann::json ranked = nlohmann::json::array();
      for (std::size_t i = 0; i < plans.size(); ++i) {
        if (!flags.json) print_plan(i + 1, plans[i], flags.explain);
        ranked.push_back(plan_to_json(plans[i]));
      }
      all.push_back({{"problem", problem_to_json(planned.problem)}, {"plans", std::move(ranked)}});
    }
  }
  if (flags.json) fmt::print("{}\n", all.dump(2));
  return exit_ok;
}

}  // namespace

void add_plan(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("plan", "predict the fastest format without measuring");
  auto flags = std::make_shared<PlanFlags>();
  const auto in_group = [](CLI::Option* option) { return option->group("Planning"); };
  CLI::Option* from = in_group(command->add_option(
      "--from", flags->from, "a report, or exported points, instead of the plan cache"));
  in_group(command->add_option("--for", flags->device,
                               "device whose name has this (default: the one of this machine)"))
      ->excludes(from);
  in_group(command->add_flag("--evaluate", flags->evaluate,
                             "judge the planner: learn from half of the report, plan the rest"));
  in_group(command->add_option("--hold-out", flags->hold_out,
                               "what --evaluate keeps from the planner: every other density, or "
                               "also every other shape (densities or shapes)"))
      ->check(CLI::IsMember({"densities", "shapes"}))
      ->capture_default_str();
  in_group(command->add_option("--seed", flags->seed,
                               "with --hold-out shapes: hold out half of them at random (0: every "
                               "other one, by size)"))
      ->capture_default_str();
  in_group(command->add_flag("--explain", flags->explain, "show what each time consists of"));
  in_group(command->add_option("--top", flags->top, "plans shown (0: all)"))->capture_default_str();
  in_group(
      command->add_flag("--baselines", flags->baselines, "offer other libraries' kernels too"));
  in_group(command->add_flag("--lossy", flags->lossy, "offer formats that drop spikes"));
  in_group(command->add_flag("--json", flags->json, "print JSON"));
  add_source_flags(*command, flags->problem);
  add_problem_flags(*command, flags->problem);
  command->footer(
      "Predicts from tuned points, with an interval; docs/autotuning.md says how, and how well.\n"
      "Exit codes: 0 done; 1 error; 2 wrong usage.\n"
      "Examples:\n"
      "  spiketune plan --for H200 --shape 8192x2048x1024 --density 0.03 --weights f16\n"
      "  spiketune plan --from tuned.json --file spikes.npz --n 512 --weights f16 --explain\n"
      "  spiketune plan --from results/h200/foundation.json --evaluate");
  command->callback([flags, command, &exit_code] { exit_code = run(*flags, *command); });
}

}  // namespace spiketune::cli
