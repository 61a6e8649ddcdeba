#include "spiketune/autotune/problem.hpp"

#include <gtest/gtest.h>

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

Problem example() {
  Problem problem;
  problem.workload = "uniform";
  problem.timesteps = 4;
  problem.rows = 1024;
  problem.k = 1024;
  problem.n = 512;
  problem.density = 0.05;
  return problem;
}

TEST(Problem, SurvivesJson) {
  Problem problem = example();
  problem.pattern = "temporal";
  problem.pattern_params = {{"persistence", 0.8}};
  problem.row_order = RowOrder::token_major;
  problem.input = DType::u2;
  problem.value = ValueKind::graded2;
  problem.weights = DType::bf16;
  problem.output = DType::bf16;
  problem.amortise = 3;
  EXPECT_EQ(problem_from_json(problem_to_json(problem)), problem);
  EXPECT_FALSE(problem_to_json(example()).contains("pattern_params"));
}

TEST(Problem, HasANameAndAKey) {
  EXPECT_EQ(problem_name(example()),
            "uniform 4096 × 1024 × 512, 5 % bernoulli, T = 4 time-major, u8 · f16 → f32");
  EXPECT_EQ(problem_key(example()), problem_key(example()));
  Problem other = example();
  other.density = 0.051;
  EXPECT_NE(problem_key(example()), problem_key(other));
}

TEST(Problem, RejectsWhatMakesNoSense) {
  const auto rejects = [](auto&& change) {
    Problem problem = example();
    change(problem);
    EXPECT_THROW(check_problem(problem), Error);
  };
  check_problem(example());
  rejects([](Problem& problem) { problem.timesteps = 0; });
  rejects([](Problem& problem) { problem.amortise = 0; });
  rejects([](Problem& problem) { problem.density = 1.5; });
  rejects([](Problem& problem) { problem.weights = DType::u8; });
  rejects([](Problem& problem) { problem.output = DType::bf16; });
  rejects([](Problem& problem) { problem.input = DType::bit, problem.value = ValueKind::graded; });
  rejects([](Problem& problem) { problem.rows = 1ull << 32; });
}

TEST(Problem, RejectsUnknownFieldsAndNames) {
  EXPECT_THROW(static_cast<void>(problem_from_json({{"wieghts", "f16"}})), Error);
  EXPECT_THROW(static_cast<void>(problem_from_json({{"weights", "f17"}})), Error);
  EXPECT_THROW(static_cast<void>(problem_from_json({{"k", "many"}})), Error);
  EXPECT_THROW(static_cast<void>(problem_from_json(nlohmann::json::array())), Error);
}

TEST(Problem, PercentIsShort) {
  EXPECT_EQ(percent(0.005), "0.5 %");
  EXPECT_EQ(percent(0.5), "50 %");
  EXPECT_EQ(percent(0.123456), "12.3 %");
}

}  // namespace
}  // namespace spiketune
