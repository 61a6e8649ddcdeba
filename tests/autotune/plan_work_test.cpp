#include "spiketune/autotune/plan_work.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace spiketune {
namespace {

using nlohmann::json;

constexpr double multiprocessors = 132;

Problem problem_of(std::uint64_t m, std::uint32_t k, std::uint32_t n) {
  Problem problem;
  problem.rows = m;
  problem.k = k;
  problem.n = n;
  problem.density = 0.1;
  problem.weights = problem.output = DType::f16;
  return problem;
}

double amount(const std::vector<WorkTerm>& work, const std::string& name) {
  for (const WorkTerm& each : work) {
    if (each.name == name) return each.amount;
  }
  ADD_FAILURE() << "no term " << name;
  return 0;
}

std::vector<WorkTerm> expand(const Problem& problem, int split = 0) {
  const json config = {{"tile_m", 0}, {"tile_n", 0}, {"split", split}, {"tiles", false}};
  return product_work("bitmap", "expand_mma", config, problem, multiprocessors);
}

// docs/kernels.md, expand_mma: which way is taken at which shape.
TEST(PlanWork, ExpandHasTheTermsOfTheWayThatItTakes) {
  // 64 tiles of 256 × 64, of halves of K each.
  const auto halves = expand(problem_of(256, 4096, 4096));
  const auto whole = expand(problem_of(256, 4096, 4096), 1);
  EXPECT_NEAR(2 * amount(halves, "steps of K"), amount(whole, "steps of K"), 1e-9);
  EXPECT_EQ(amount(halves, "strips in turns (M·K·N)"), 0);
  EXPECT_GT(amount(whole, "operands of tiles"), 0);

  const auto narrow = expand(problem_of(50176, 576, 64));
  EXPECT_GT(amount(narrow, "strips in turns (M·K·N)"), 0);
  EXPECT_EQ(amount(narrow, "operands of tiles"), 0);

  const auto large = expand(problem_of(4096, 4096, 4096));
  EXPECT_GT(amount(large, "operands of tiles"), 0);
  EXPECT_EQ(amount(large, "strips in turns (M·K·N)"), 0);
}

// 6 · 64 rows of words beside W: up to K = 1280 of 64 columns; and rows of an even number of words.
TEST(PlanWork, WordsOfStripsComeAsOneCopyWhereTheyFindRoom) {
  const auto one_by_one = [](std::uint32_t k) {
    return amount(expand(problem_of(1024, k, 64)), "steps of K of strips, word by word");
  };
  EXPECT_EQ(one_by_one(1152), 0);
  EXPECT_GT(one_by_one(1536), 0);
  EXPECT_GT(one_by_one(288), 0);
}

TEST(PlanWork, SomeShapesAreNotTaken) {
  const json config = {{"tile_n", 0}};
  EXPECT_TRUE(can_run("bytes", "expand_mma", config, problem_of(256, 1792, 64)));
  EXPECT_FALSE(can_run("bytes", "expand_mma", config, problem_of(256, 1808, 64)));  // W too large
  const json tiles = {{"tile_m", 0}, {"tile_n", 0}};
  EXPECT_TRUE(can_run("bytes", "expand_mma", tiles, problem_of(256, 1808, 64)));
  EXPECT_FALSE(can_run("bytes", "expand_mma", tiles, problem_of(256, 1800, 64)));
  EXPECT_FALSE(can_run("bytes", "expand_mma", config, problem_of(256, 1000, 64)));
  EXPECT_FALSE(can_run("bytes", "expand_mma", config, problem_of(256, 512, 60)));
  EXPECT_FALSE(can_run("bitmap", "expand_mma", {{"tile_m", 64}}, problem_of(256, 2048, 64)));
  EXPECT_TRUE(can_run("bitmap", "expand_mma", {{"tile_m", 0}}, problem_of(256, 2048, 64)));
  EXPECT_FALSE(can_run("bitmap", "expand_mma", {{"split", 2}}, problem_of(256, 96, 64)));
  EXPECT_TRUE(can_run("bitmap", "expand_imma", {{"tile_m", 64}}, problem_of(256, 2048, 64)));
  EXPECT_FALSE(can_run("bitmap", "expand_imma", {{"tile_m", 64}}, problem_of(256, 2112, 64)));
  EXPECT_FALSE(can_run("bitmap", "expand_imma", {{"tile_m", 64}}, problem_of(256, 96, 64)));
  EXPECT_FALSE(can_run("bitmap", "expand_imma", {{"tile_m", 64}, {"tile_n", 256}},
                       problem_of(256, 1024, 256)));
  EXPECT_TRUE(can_run("bitmap", "expand_imma", {{"tile_m", 0}}, problem_of(256, 4096, 64)));
  EXPECT_FALSE(can_run("csr", "slab_gather", json::object(), problem_of(256, 512, 10)));
  EXPECT_TRUE(can_run("csr", "row_gather", json::object(), problem_of(1, 1, 1)));
}

TEST(PlanWork, StripsAreDealtOutEvenlyWhereWOfTwoColumnsOfTilesFits) {
  // 196 strips of each of N / 64 columns on 132 multiprocessors: of 12 columns 11 blocks each have
  // 18 at most, as when all are dealt out evenly. Of 24 columns 5 blocks have 40, where 36 would
  // do.
  const json strips = {{"tile_m", 64}, {"tile_n", 64}, {"split", 1}, {"tiles", false}};
  const json before = {{"tile_m", 64}, {"tile_n", 64}, {"tiles", false}};  // no `split` yet
  const auto products = [&](const json& config, std::uint32_t n) {
    return amount(
        product_work("bitmap", "expand_mma", config, problem_of(12544, 512, n), multiprocessors),
        "strips in turns (M·K·N)");
  };
  EXPECT_EQ(products(strips, 768), products(before, 768));
  EXPECT_NEAR(products(before, 1536) / products(strips, 1536), 40.0 / 36, 1e-9);
}

TEST(PlanWork, ExpandImmaTakesStripsWhereWFits) {
  const auto imma = [&](const Problem& problem, const json& config) {
    return product_work("bitmap", "expand_imma", config, problem, multiprocessors);
  };
  const json by_shape = {{"tile_m", 0}, {"tile_n", 0}, {"tiles", false}};
  const auto narrow = imma(problem_of(50176, 576, 64), by_shape);
  EXPECT_GT(amount(narrow, "steps of K of strips"), 0);
  EXPECT_EQ(amount(narrow, "steps of K"), 0);

  const auto large = imma(problem_of(4096, 4096, 4096), by_shape);
  EXPECT_EQ(amount(large, "steps of K of strips"), 0);
  EXPECT_GT(amount(large, "steps of K"), 0);

  const json tiled = {{"tile_m", 64}, {"tile_n", 64}, {"tiles", true}};
  EXPECT_GT(amount(imma(problem_of(50176, 576, 64), tiled), "steps of K"), 0);
  // 784 strips of one column on 132 multiprocessors are 6 each, of six columns on 22 each 36.
  const json strips = {{"tile_m", 64}, {"tile_n", 64}, {"tiles", false}};
  const auto steps = [&](std::uint32_t n) {
    return amount(imma(problem_of(50176, 512, n), strips), "steps of K of strips");
  };
  EXPECT_NEAR(steps(384) / steps(64), 6, 1e-9);
}

TEST(PlanWork, PlanesTake512ColumnsAtATime) {
  const auto planes = [&](std::uint32_t k, DType weights) {
    Problem problem = problem_of(6272, k, 256);
    problem.weights = weights;
    return amount(product_work("bitmap", "bit_planes", json::object(), problem, multiprocessors),
                  "planes in turns (M·K·N)");
  };
  EXPECT_EQ(planes(384, DType::s8), planes(512, DType::s8));
  EXPECT_EQ(planes(640, DType::s8), 2 * planes(512, DType::s8));
  EXPECT_EQ(planes(512, DType::s8), 2 * planes(512, DType::s4));
}

TEST(PlanWork, ACandidateHasTheSameTermsForEveryProblem) {
  for (const auto& [format, kernel] : {std::pair{"bitmap", "expand_mma"},
                                       {"bytes", "expand_mma"},
                                       {"bitmap", "expand_imma"},
                                       {"bitmap", "bit_planes"},
                                       {"bytes", "byte_mma"},
                                       {"two_four", "sparse_mma"},
                                       {"csr", "slab_gather"},
                                       {"csr", "row_gather"},
                                       {"cvs", "union_mma"},
                                       {"bsr", "row_gather"},
                                       {"dense", "cublaslt.heuristic"},
                                       {"csc", "atomic_scatter"},
                                       {"dense", "tiled"}}) {
    const auto one =
        product_work(format, kernel, json::object(), problem_of(1, 1, 1), multiprocessors);
    for (const Problem& problem : {problem_of(256, 4096, 4096), problem_of(50176, 576, 64),
                                   problem_of(25600, 700, 256), problem_of(1 << 20, 147, 10)}) {
      const auto other = product_work(format, kernel, json::object(), problem, 0);
      ASSERT_EQ(one.size(), other.size()) << format << " " << kernel;
      for (std::size_t i = 0; i < one.size(); ++i) {
        EXPECT_STREQ(one[i].name, other[i].name);
        EXPECT_GE(other[i].amount, 0) << other[i].name;
      }
    }
  }
}

}  // namespace
}  // namespace spiketune
