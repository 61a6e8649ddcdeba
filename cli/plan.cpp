#include "spiketune/autotune/planner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "spiketune/autotune/plan_cache.hpp"
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
  std::vector<std::string> from;
  std::string device;
  bool evaluate = false;
  std::string hold_out = "densities";
  std::uint64_t seed = 0;
  bool baselines = false;
  bool lossy = false;
  bool json = false;
  std::size_t top = 0;
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

void print_plan(std::size_t rank, const Plan& plan) {
  fmt::print("{:2}  {:<30} {:>9}  ({} to {})  encode {:>9}  compute {:>9}\n", rank,
             plan.format + " " + plan.kernel, format_time(plan.total_us), format_time(plan.low_us),
             format_time(plan.high_us), format_time(plan.encode_us), format_time(plan.compute_us));
}

void print_explained(std::size_t rank, const Plan& plan) {
  print_plan(rank, plan);
  fmt::print("      config {}\n      {}\n", plan.config.dump(), plan.reason);
  std::vector<PlanTerm> terms = plan.terms;
  std::stable_sort(terms.begin(), terms.end(),
                   [](const PlanTerm& a, const PlanTerm& b) { return a.us > b.us; });
  double sum = 0;
  for (const PlanTerm& term : terms) sum += term.us;
  for (const PlanTerm& term : terms) {
    constexpr double least_share = 0.005;
    if (term.us < least_share * sum) break;
    fmt::print("      {:>9} {:>4.0f} %  {}\n", format_time(term.us), 100 * term.us / sum,
               term.name);
  }
  fmt::print("      {:>9}         sum, x {:.3f} from tuned points nearby = {}\n", format_time(sum),
             plan.correction, format_time(plan.total_us));
}

void print_verdict(const char* what, const PlanVerdict& verdict) {
  fmt::print(
      "{} {} judged: regret {:.1f} % (geometric mean), {:.1f} % (95th percentile), at most "
      "{:.1f} % slower than dense\n",
      verdict.count, what, 100 * verdict.mean_regret, 100 * verdict.p95_regret,
      100 * verdict.worst_over_dense);
}

/// The points to learn from, and what they are called in messages.
struct Tuned {
  std::vector<TunedPoint> points;
  std::string origin;
};

int evaluate(const PlanFlags& flags, const Tuned& tuned) {
  const HoldOut hold_out =
      flags.hold_out == "densities" ? HoldOut::densities : HoldOut::shapes_and_densities;
  const std::vector<PlanChoice> choices =
      evaluate_planner(tuned.points, {flags.baselines, flags.lossy}, hold_out, flags.seed);
  std::vector<PlanChoice> recorded;
  for (const PlanChoice& choice : choices) {
    fmt::print("{:>6.1f} %  {}: {} {} took {}, best {} {}\n",
               100 * (choice.chosen_us / choice.best_us - 1), problem_name(choice.problem),
               choice.plan.format, choice.plan.kernel, format_time(choice.chosen_us), choice.best,
               format_time(choice.best_us));
    if (choice.problem.pattern == "trace") recorded.push_back(choice);
  }
  print_verdict("problems", verdict_of(choices));
  if (!recorded.empty()) print_verdict("recordings among them", verdict_of(recorded));
  return exit_ok;
}

/// Not as read_tuned() does: plans can be made of points that a search left early, too.
nlohmann::json read_points(const std::string& path) {
  nlohmann::json content = read_json_file(path);
  if (report_json::text(content, "schema") == "spiketune.report/1") return content;
  return read_tuned(path);
}

Tuned tuned(const PlanFlags& flags) {
  if (flags.from.empty()) {
    FoundPlans found = find_tuned(flags.device);
    return {tuned_points(found.document), std::move(found.origin)};
  }
  Tuned result;
  std::string device;
  for (const std::string& path : flags.from) {
    const nlohmann::json document = read_points(path);
    const std::string measured_on = document.contains("environment")
                                        ? plan_key(document["environment"]).device
                                        : document_key(document).device;
    if (&path == &flags.from.front()) device = measured_on;
    if (measured_on != device) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("{} is of another device ({}) than {} ({})", path, measured_on,
                              flags.from.front(), device));
    }
    for (TunedPoint& point : tuned_points(document)) result.points.push_back(std::move(point));
    result.origin += (result.origin.empty() ? "" : ", ") + path;
  }
  return result;
}

/// What plans know of spikes, whatever they really are.
constexpr const char* assumed = "independent spikes at this density";

/// Handed each problem with its plans, of which there is one at least.
using Visit = std::function<void(const Problem&, const std::vector<Plan>&)>;

void plan_each(const PlanFlags& flags, const CLI::App& command, const Tuned& tuned,
               const Visit& visit) {
  const Planner planner(tuned.points);
  const SweepOptions options = options_of(flags.problem, command);
  for (const SuiteEntry& entry : options.entries) {
    for (const PlannedProblem& planned : expand(entry)) {
      require(planned.why_skipped.empty(), ErrorCode::io, planned.why_skipped.c_str());
      const std::vector<Plan> plans = planner.plan(planned.problem, {flags.baselines, flags.lossy});
      if (plans.empty()) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{} has no points of these types ({}); tune such a problem first",
                                tuned.origin, problem_name(planned.problem)));
      }
      visit(planned.problem, plans);
    }
  }
}

bool is_shown(const PlanFlags& flags, std::size_t i) {
  return flags.top == 0 || i < flags.top;
}

int run_plan(const PlanFlags& flags, const CLI::App& command) {
  const Tuned points = tuned(flags);
  if (flags.evaluate) return evaluate(flags, points);
  if (!flags.json) fmt::print("learning from {}\n", points.origin);
  nlohmann::json all = nlohmann::json::array();
  plan_each(flags, command, points, [&](const Problem& problem, const std::vector<Plan>& plans) {
    if (!flags.json) fmt::print("{}; assumes {}\n", problem_name(problem), assumed);
    nlohmann::json ranked = nlohmann::json::array();
    for (std::size_t i = 0; i < plans.size() && is_shown(flags, i); ++i) {
      if (!flags.json) print_plan(i + 1, plans[i]);
      ranked.push_back(plan_to_json(plans[i]));
    }
    all.push_back({{"problem", problem_to_json(problem)},
                   {"assumes", assumed},
                   {"plans", std::move(ranked)}});
  });
  if (flags.json) fmt::print("{}\n", all.dump(2));
  return exit_ok;
}

int run_explain(const PlanFlags& flags, const CLI::App& command) {
  const Tuned points = tuned(flags);
  fmt::print("learning from {}\n", points.origin);
  plan_each(flags, command, points, [&](const Problem& problem, const std::vector<Plan>& plans) {
    fmt::print("{}; assumes {}\n", problem_name(problem), assumed);
    bool dense_shown = false;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const bool is_first_dense = plans[i].format == "dense" && !dense_shown;
      if (!is_shown(flags, i) && !is_first_dense) continue;
      dense_shown = dense_shown || is_first_dense;
      print_explained(i + 1, plans[i]);
    }
  });
  return exit_ok;
}

/// What plan and explain share.
void add_planning_flags(CLI::App& command, PlanFlags& flags) {
  const auto in_group = [](CLI::Option* option) { return option->group("Planning"); };
  CLI::Option* from = in_group(
      command.add_option("--from", flags.from,
                         "reports, or exported points, of one device instead of the plan cache"));
  in_group(command.add_option("--for", flags.device,
                              "device whose name has this (default: the one of this machine)"))
      ->excludes(from);
  in_group(command.add_option("--top", flags.top, "plans shown (0: all)"))->capture_default_str();
  in_group(command.add_flag("--baselines", flags.baselines, "offer other libraries' kernels too"));
  in_group(command.add_flag("--lossy", flags.lossy, "offer formats that drop spikes"));
  add_source_flags(command, flags.problem);
  add_problem_flags(command, flags.problem);
}

}  // namespace

void add_plan(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("plan", "predict the fastest format without measuring");
  auto flags = std::make_shared<PlanFlags>();
  flags->top = 5;
  add_planning_flags(*command, *flags);
  const auto in_group = [](CLI::Option* option) { return option->group("Planning"); };
  in_group(command->add_flag("--json", flags->json, "print JSON"));
  in_group(command->add_flag("--evaluate", flags->evaluate,
                             "judge the planner: learn from half of the points, plan the rest"));
  in_group(command->add_option("--hold-out", flags->hold_out,
                               "what --evaluate keeps from the planner: every other density, or "
                               "also every other shape (densities or shapes)"))
      ->check(CLI::IsMember({"densities", "shapes"}))
      ->capture_default_str();
  in_group(command->add_option("--seed", flags->seed,
                               "with --hold-out shapes: hold out half of them at random (0: every "
                               "other one, by size)"))
      ->capture_default_str();
  command->footer(
      "Predicts from tuned points, with an interval; docs/autotuning.md says how, and how well;\n"
      "spiketune explain shows what a time consists of.\n"
      "Exit codes: 0 done; 1 error; 2 wrong usage.\n"
      "Examples:\n"
      "  spiketune plan --for H200 --shape 8192x2048x1024 --density 0.03 --weights f16\n"
      "  spiketune plan --from tuned.json --file spikes.npz --n 512 --weights f16\n"
      "  spiketune plan --from results/h200/planning.json.gz results/h200/recordings.json.gz "
      "--evaluate");
  command->callback([flags, command, &exit_code] { exit_code = run_plan(*flags, *command); });
}

void add_explain(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("explain", "show the terms that a plan's time is predicted from");
  auto flags = std::make_shared<PlanFlags>();
  flags->top = 1;
  add_planning_flags(*command, *flags);
  command->footer(
      "Shows the plan that spiketune plan prints first, and dense: the largest terms first "
      "(bytes,\n"
      "products, launches, turns of tiles), what tuned points nearby correct, why it is trusted.\n"
      "Exit codes: 0 done; 1 error; 2 wrong usage.\n"
      "Example: spiketune explain --for H200 --shape 8192x2048x1024 --density 0.03 --weights f16");
  command->callback([flags, command, &exit_code] { exit_code = run_explain(*flags, *command); });
}

}  // namespace spiketune::cli
