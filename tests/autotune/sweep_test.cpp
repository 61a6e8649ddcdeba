#include "spiketune/autotune/sweep.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "spiketune/autotune/adapt.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/encoders/csr.hpp"
#include "spiketune/kernels/csr.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

/// What a plugin does wrong.
enum class Fault {
  none,
  throws_in_plan,
  throws_in_spmm,
  wrong_product,
  wrong_decode,
  unavailable,
  rejects,
  unsupported,
  small_guess
};

/// CSR, but for its fault.
class FaultyEncoding final : public AnyEncoding {
 public:
  FaultyEncoding(std::unique_ptr<AnyEncoding> csr, Fault fault)
      : csr_(std::move(csr)), fault_(fault) {}
  std::function<void()> bind_encode(const SpikeView& spikes) override {
    return csr_->bind_encode(spikes);
  }
  std::function<void()> bind_spmm(std::string_view kernel, const json& config,
                                  const WeightView& weights, const OutputView& output) override {
    if (fault_ == Fault::throws_in_spmm) throw Error(ErrorCode::internal, "no such luck");
    auto product = csr_->bind_spmm(kernel, config, weights, output);
    if (fault_ != Fault::wrong_product) return product;
    return [product, output] {
      product();
      static_cast<float*>(output.data)[2 * output.n + 3] += 1;
    };
  }
  void post_status(EncodeStatus* to) override { csr_->post_status(to); }
  EncodeStatus status() override { return csr_->status(); }
  void decode(const MutableSpikeView& spikes) override {
    csr_->decode(spikes);
    auto* bytes = static_cast<std::uint8_t*>(spikes.data);
    if (fault_ == Fault::wrong_decode) bytes[5] = 1 - bytes[5];
  }
  void validate() override { csr_->validate(); }
  std::uint64_t capacity() const override { return csr_->capacity(); }
  std::uint64_t bytes(std::uint64_t stored) const override { return csr_->bytes(stored); }

 private:
  std::unique_ptr<AnyEncoding> csr_;
  Fault fault_;
};

class FaultyPlugin final : public FormatPlugin {
 public:
  FaultyPlugin(std::string name, Fault fault) : name_(std::move(name)), fault_(fault) {}
  std::string name() const override { return name_; }
  std::string backend() const override { return "host"; }
  std::string why_unavailable() const override {
    return fault_ == Fault::unavailable ? "install it" : "";
  }
  std::vector<KernelInfo> kernels() const override { return csr_->kernels(); }
  std::vector<json> params(const EncodedLayout& layout, DType weights) const override {
    return csr_->params(layout, weights);
  }
  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json& params, double density,
                                    std::optional<std::uint64_t> capacity) const override {
    if (fault_ == Fault::throws_in_plan) throw std::runtime_error("not today");
    if (fault_ == Fault::unsupported) throw Error(ErrorCode::unsupported, "too large");
    if (fault_ == Fault::small_guess && !capacity) capacity = 3;
    return std::make_unique<FaultyEncoding>(csr_->plan(context, layout, params, density, capacity),
                                            fault_);
  }
  std::string why_invalid(std::string_view, const json&, const EncodedLayout&, const WeightView&,
                          const OutputView&) const override {
    return fault_ == Fault::rejects ? "N is not to its taste" : "";
  }

 private:
  std::unique_ptr<FormatPlugin> csr_ = adapt<Csr, HostContext>();
  std::string name_;
  Fault fault_;
};

SweepOptions quick_options() {
  SweepOptions options;
  SuiteEntry entry;
  entry.base.timesteps = 2;
  entry.base.weights = DType::f32;
  entry.shapes = {{32, 40, 24}};
  entry.densities = {0.1};
  options.entries = {entry};
  options.max_samples = 3;
  options.max_seconds_per_candidate = 0.1;
  options.argv = {"spiketune", "sweep"};
  return options;
}

json sweep(const Registry& registry, const SweepOptions& options,
           const SweepCallbacks& callbacks = {}) {
  const auto backend = make_host_backend(1);
  return run_sweep(*backend, registry, options, callbacks);
}

/// Points by format.
std::map<std::string, json> by_format(const json& report) {
  std::map<std::string, json> result;
  for (const json& point : report.at("points")) result[point.at("format")] = point;
  return result;
}

TEST(Sweep, MeasuresEveryBuiltInFormat) {
  Registry registry;
  add_host_formats(registry);
  const json report = sweep(registry, quick_options());
  EXPECT_TRUE(report.at("complete").get<bool>());
  EXPECT_EQ(report.at("winners").size(), 1u);
  EXPECT_GT(report.at("environment").at("copy_gbps").get<double>(), 0);
  std::size_t kernels = 0;
  for (const auto& plugin : registry.plugins()) kernels += plugin->kernels().size();
  ASSERT_EQ(report.at("points").size(), kernels);
  for (const json& point : report.at("points")) {
    ASSERT_EQ(point.at("status"), "ok") << point.at("format") << point.at("reason");
    EXPECT_EQ(point.at("compute_us").at("mode"), "cold");
    EXPECT_EQ(point.at("total_hot_us").at("mode"), "hot");
    EXPECT_EQ(point.at("encode_us").at("samples").size(), 3u);
    EXPECT_EQ(point.at("bytes").at("input"), 32 * 40);
    EXPECT_GT(point.at("nnz"), 0);
    EXPECT_GT(point.at("floor_us").at("compute"), 0);
    EXPECT_EQ(point.at("max_error"), 0);
  }
}

TEST(Sweep, NothingDisappears) {
  Registry registry;
  registry.add(std::make_unique<FaultyPlugin>("good", Fault::none));
  registry.add(std::make_unique<FaultyPlugin>("plan", Fault::throws_in_plan));
  registry.add(std::make_unique<FaultyPlugin>("spmm", Fault::throws_in_spmm));
  registry.add(std::make_unique<FaultyPlugin>("product", Fault::wrong_product));
  registry.add(std::make_unique<FaultyPlugin>("decode", Fault::wrong_decode));
  registry.add(std::make_unique<FaultyPlugin>("unavailable", Fault::unavailable));
  registry.add(std::make_unique<FaultyPlugin>("rejects", Fault::rejects));
  registry.add(std::make_unique<FaultyPlugin>("unsupported", Fault::unsupported));
  registry.add(std::make_unique<FaultyPlugin>("small", Fault::small_guess));
  const json report = sweep(registry, quick_options());
  auto points = by_format(report);
  ASSERT_EQ(points.size(), 9u);
  EXPECT_EQ(points["good"].at("status"), "ok");
  EXPECT_EQ(points["plan"].at("status"), "failed");
  EXPECT_EQ(points["plan"].at("reason"), "not today");
  EXPECT_EQ(points["spmm"].at("status"), "failed");
  EXPECT_EQ(points["spmm"].at("reason"), "no such luck");
  EXPECT_EQ(points["product"].at("status"), "wrong");
  EXPECT_NE(points["product"].at("reason").get<std::string>().find("Y[2, 3]"), std::string::npos);
  EXPECT_EQ(points["product"].at("max_error"), 1);
  EXPECT_TRUE(points["product"].at("total_us").is_null());
  EXPECT_EQ(points["decode"].at("status"), "wrong");
  EXPECT_NE(points["decode"].at("reason").get<std::string>().find("row 0, column 5"),
            std::string::npos);
  EXPECT_EQ(points["unavailable"].at("status"), "skipped");
  EXPECT_EQ(points["unavailable"].at("reason"), "install it");
  EXPECT_EQ(points["rejects"].at("status"), "skipped");
  EXPECT_EQ(points["unsupported"].at("status"), "skipped");
  EXPECT_EQ(points["small"].at("status"), "ok");
  EXPECT_NE(points["small"].at("notes").at(0).get<std::string>().find("capacity of 3"),
            std::string::npos);
  EXPECT_EQ(count_points(report, "wrong"), 2u);
}

TEST(Sweep, SelectsFormatsKernelsAndConfigs) {
  Registry registry;
  add_host_formats(registry);
  SweepOptions options = quick_options();
  options.modes = {TimingMode::hot};
  options.selection.formats = {"cs?"};
  options.selection.kernels = {"rows"};
  options.selection.config = json{{"rows_per_task", 8}};
  json report = sweep(registry, options);
  ASSERT_GE(report.at("points").size(), 1u);
  for (const json& point : report.at("points")) {
    EXPECT_EQ(point.at("config").at("rows_per_task"), 8);
    EXPECT_EQ(point.at("total_us").at("mode"), "hot");
  }
  options.selection.config.reset();
  options.selection.formats = {"csr"};
  options.selection.all_configs = true;
  report = sweep(registry, options);
  EXPECT_EQ(report.at("points").size(), 2u);
  options.selection.formats = {"crs"};
  EXPECT_THROW(static_cast<void>(sweep(registry, options)), Error);
}

TEST(Sweep, EncodesOnly) {
  Registry registry;
  add_host_formats(registry);
  SweepOptions options = quick_options();
  options.selection.encode_only = true;
  const json report = sweep(registry, options);
  EXPECT_EQ(report.at("points").size(), registry.plugins().size());
  for (const json& point : report.at("points")) {
    EXPECT_EQ(point.at("status"), "ok") << point.at("reason");
    EXPECT_EQ(point.at("kernel"), "none");
    EXPECT_TRUE(point.at("compute_us").is_null());
    EXPECT_FALSE(point.at("encode_us").is_null());
  }
}

// Between two events there is time even where nothing happens.
TEST(Sweep, AnEncodeThatEnqueuesNothingTakesNoTime) {
  Registry registry;
  add_host_formats(registry);
  SweepOptions options = quick_options();
  options.selection.formats = {"bytes"};
  options.entries.front().base.input = DType::u8;
  for (const bool encode_only : {false, true}) {
    options.selection.encode_only = encode_only;
    const json point = sweep(registry, options).at("points").at(0);
    ASSERT_EQ(point.at("status"), "ok") << point.at("reason");
    for (const char* key : {"encode_us", "encode_hot_us"}) {
      EXPECT_EQ(point.at(key).at("median"), 0);
      EXPECT_EQ(point.at(key).at("samples"), json({0, 0, 0}));
    }
    EXPECT_EQ(point.at("total_us").is_null(), encode_only);
    if (!encode_only) {
      EXPECT_GT(point.at("total_us").at("median"), 0);
    }
    EXPECT_NE(point.at("notes").dump().find("nothing to encode"), std::string::npos);
  }
  options.entries.front().base.input = DType::bit;  // which have to become bytes
  options.selection.encode_only = false;
  const json point = sweep(registry, options).at("points").at(0);
  EXPECT_GT(point.at("encode_us").at("median"), 0);
  EXPECT_FALSE(point.contains("notes"));
}

TEST(Sweep, EveryKindTypeAndOrderIsRight) {
  Registry registry;
  add_host_formats(registry);
  SweepOptions options = quick_options();
  options.modes = {TimingMode::hot};
  options.max_samples = 1;
  SuiteEntry entry = options.entries.front();
  options.entries.clear();
  for (const RowOrder order : {RowOrder::time_major, RowOrder::token_major}) {
    for (const auto& [input, kind] :
         {std::pair{DType::bit, ValueKind::binary}, std::pair{DType::u2, ValueKind::graded2},
          std::pair{DType::f32, ValueKind::graded}, std::pair{DType::f16, ValueKind::graded}}) {
      entry.base.row_order = order;
      entry.base.input = input;
      entry.base.value = kind;
      entry.base.amortise = 2;
      entry.weights = {DType::f32, DType::f16, DType::bf16};
      entry.base.output = input == DType::f32 ? DType::f32 : DType::f16;
      options.entries.push_back(entry);
    }
  }
  const json report = sweep(registry, options);
  for (const json& point : report.at("points")) {
    // Graded f32 spikes do not fit a dense f16 matrix, nor any graded ones bytes; that is skipped
    // or rejected, never wrong.
    const bool narrow = point.at("format") == "dense" || point.at("format") == "bytes";
    if (narrow && point.at("problem").at("value") == "graded") {
      EXPECT_NE(point.at("status"), "wrong") << point.dump();
    } else {
      EXPECT_EQ(point.at("status"), "ok") << point.dump();
    }
  }
}

TEST(Sweep, AMissingTraceIsSkippedForEveryCandidate) {
  Registry registry;
  add_host_formats(registry);
  SweepOptions options = quick_options();
  SuiteEntry trace;
  trace.base.workload = "trace";
  trace.file = "/nonexistent.npz";
  trace.n = {8};
  options.entries = {trace};
  const json report = sweep(registry, options);
  EXPECT_EQ(report.at("points").size(), count_points(report, "skipped"));
  EXPECT_GE(report.at("points").size(), registry.plugins().size());
}

TEST(Sweep, AnInterruptLeavesAValidReport) {
  Registry registry;
  add_host_formats(registry);
  SweepOptions options = quick_options();
  options.entries.front().densities = {0.1, 0.2, 0.3};
  int done = 0;
  json saved;
  SweepCallbacks callbacks;
  callbacks.interrupted = [&] { return done > 0; };
  callbacks.problem_done = [&](const json&, const SweepProgress&) { ++done; };
  callbacks.save = [&](const SweepRecord& record) { saved = record.report(); };
  const json report = sweep(registry, options, callbacks);
  EXPECT_EQ(done, 1);
  EXPECT_FALSE(report.at("complete").get<bool>());
  EXPECT_EQ(report.at("points").size(), count_points(report, "ok"));
  EXPECT_EQ(saved, report);
}

TEST(Sweep, AnInterruptWithinAProblemLeavesOutTheRest) {
  Registry registry;
  add_host_formats(registry);
  const std::size_t all = sweep(registry, quick_options()).at("points").size();
  int asked = 0;
  SweepCallbacks callbacks;
  callbacks.interrupted = [&] { return ++asked > 5; };
  const json report = sweep(registry, quick_options(), callbacks);
  EXPECT_FALSE(report.at("complete").get<bool>());
  EXPECT_LT(report.at("points").size(), all);
  EXPECT_EQ(count_points(report, "ok"), report.at("points").size());
}

TEST(Sweep, CommandsReproduceThePoint) {
  Registry registry;
  add_host_formats(registry);
  SweepOptions options = quick_options();
  options.command_options = "--backend host";
  options.selection.formats = {"csr"};
  const json report = sweep(registry, options);
  EXPECT_EQ(report.at("points").at(0).at("command"),
            "spiketune sweep --shape 32x40x24 --density 0.1 --pattern bernoulli --timesteps 2 "
            "--value binary --workload synthetic --row-order time-major --input u8 --weights f32 "
            "--output-type f32 --formats csr --kernels rows --config '{\"rows_per_task\":32}' "
            "--backend host --seed 1");
}

TEST(Report, TextIsJsonWithAPointOnEachLine) {
  const json report = {{"a", 1}, {"points", {{{"x", 1}}, {{"x", 2}}}}, {"empty", json::array()}};
  const std::string text = report_text(report);
  EXPECT_EQ(json::parse(text), report);
  EXPECT_NE(text.find("\n  {\"x\":1},\n  {\"x\":2}\n]"), std::string::npos);
}

TEST(Report, QuotesForTheShell) {
  EXPECT_EQ(shell_quote("plain-1.5"), "plain-1.5");
  EXPECT_EQ(shell_quote("{\"a\": 1}"), "'{\"a\": 1}'");
  EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quote(""), "''");
}

}  // namespace
}  // namespace spiketune
