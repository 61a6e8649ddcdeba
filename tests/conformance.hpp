#pragma once
/// \file
/// What every format must do, written once and run over the registry: a new format inherits it.
/// conformance_test.cpp runs it on the host, conformance_gpu_test.cpp on CUDA.

#include <algorithm>
#include <cstring>
#include <memory>

#include "spiketune/autotune/plugin.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {

/// A format with one choice of parameters.
struct Case {
  std::shared_ptr<Registry> registry;  ///< keeps the plugin alive
  const FormatPlugin* plugin;
  nlohmann::json params;  ///< null: the choice depends on the problem (the first is taken)
  std::string label;
};

inline void PrintTo(const Case& format, std::ostream* out) {
  *out << format.label;
}

inline std::vector<Case> cases(const std::shared_ptr<Registry>& registry) {
  std::vector<Case> result;
  const EncodedLayout probe{{1, 64, 256}, RowOrder::time_major, ValueKind::binary, DType::bit};
  for (const auto& plugin : registry->plugins()) {
    const auto choices = plugin->params(probe, DType::f32);
    for (std::size_t i = 0; i < std::max<std::size_t>(1, choices.size()); ++i) {
      std::string label = plugin->name();
      if (plugin->baseline()) label += "_" + plugin->kernels().front().name;
      if (choices.size() > 1) label += "_" + std::to_string(i);
      std::replace_if(
          label.begin(), label.end(),
          [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
      result.push_back(
          {registry, plugin.get(), choices.size() > 1 ? choices[i] : nlohmann::json(), label});
    }
  }
  return result;
}

/// Memory moves for either backend. Host tests need no copies; CUDA tests do.
class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual Context context() const = 0;
  [[nodiscard]] virtual Space space() const = 0;
  [[nodiscard]] virtual Buffer make(std::size_t bytes) = 0;
  virtual void write(void* to, const void* from, std::size_t bytes) = 0;
  virtual void download(void* to, const void* from, std::size_t bytes) = 0;
  [[nodiscard]] Buffer upload(const void* data, std::size_t bytes) {
    Buffer buffer = make(bytes);
    write(buffer.data(), data, bytes);
    return buffer;
  }
};

/// The fixture: SetUp() of a backend fills `device`.
class Conformance : public ::testing::TestWithParam<Case> {
 protected:
  /// Spikes in the memory of the backend.
  struct Placed {
    SpikeTensor host;
    Buffer memory;
    SpikeView view;
  };

  Placed place(const Logical& logical, DType storage, ValueKind kind,
               RowOrder order = RowOrder::time_major) {
    Placed placed{store(logical, storage, kind, order), {}, {}};
    placed.memory = device->upload(placed.host.view().data, placed.host.view().bytes());
    placed.view = placed.host.view();
    placed.view.data = placed.memory.data();
    placed.view.space = device->space();
    return placed;
  }

  nlohmann::json params_for(const EncodedLayout& layout, DType weights) const {
    if (!GetParam().params.is_null()) return GetParam().params;
    const auto choices = plugin().params(layout, weights);
    return choices.empty() ? nlohmann::json::object() : choices.front();
  }

  const FormatPlugin& plugin() const { return *GetParam().plugin; }

  /// A format may refuse graded spikes (Error(unsupported) from plan), never binary ones.
  bool refuses(const SpikeView& spikes, DType weights) {
    if (spikes.kind == ValueKind::binary) return false;
    const EncodedLayout layout = layout_of(spikes, spikes.row_order);
    try {
      static_cast<void>(
          plugin().plan(device->context(), layout, params_for(layout, weights), 0.3, {}));
    } catch (const Error& error) {
      return error.code() == ErrorCode::unsupported;
    }
    return false;
  }

  /// Encodes with as much capacity as it takes.
  std::unique_ptr<AnyEncoding> encode(const SpikeView& spikes, RowOrder order, DType weights,
                                      std::optional<std::uint64_t> capacity = {}) {
    const EncodedLayout layout = layout_of(spikes, order);
    const nlohmann::json params = params_for(layout, weights);
    auto encoding = plugin().plan(device->context(), layout, params, 0.3, capacity);
    encoding->bind_encode(spikes)();
    const EncodeStatus status = encoding->status();
    if (!capacity && status.needed > encoding->capacity()) {
      encoding = plugin().plan(device->context(), layout, params, 0.3, status.needed);
      encoding->bind_encode(spikes)();
      EXPECT_LE(encoding->status().needed, encoding->capacity());
    }
    return encoding;
  }

  void expect_round_trip(const Logical& logical, DType storage, ValueKind kind, RowOrder from,
                         RowOrder to);
  void expect_products(const Logical& logical, DType storage, ValueKind kind, RowOrder order,
                       std::uint32_t n, DType weights, DType output);

  /// Whether the next case of a product of shapes, types and widths is run: all are, and of small
  /// tests two in seven, so that each shape meets each type or width in some.
  bool in_turn() {
    const unsigned turn = turns_++ % 7;
    return !small_tests() || turn == 0 || turn == 3;
  }

  std::unique_ptr<Device> device;

 private:
  unsigned turns_ = 0;
};

inline void Conformance::expect_round_trip(const Logical& logical, DType storage, ValueKind kind,
                                           RowOrder from, RowOrder to) {
  SCOPED_TRACE("T=" + std::to_string(logical.shape.timesteps) + " rows=" +
               std::to_string(logical.shape.rows) + " K=" + std::to_string(logical.shape.k) + " " +
               std::string(to_string(storage)) + " " + std::string(to_string(kind)));
  const Placed spikes = place(logical, storage, kind, from);
  const DType weights = is_floating(storage) ? storage : DType::f32;
  if (refuses(spikes.view, weights)) return;
  const auto encoding = encode(spikes.view, to, weights);
  const EncodeStatus status = encoding->status();
  EXPECT_EQ(status.nnz, logical.nnz());
  EXPECT_EQ(status.first_invalid, EncodeStatus::none_invalid);
  EXPECT_TRUE(status.lost == 0 || plugin().lossy());
  EXPECT_NO_THROW(encoding->validate());
  if (plugin().lossy()) return;
  std::vector<std::byte> out(spikes.view.bytes(), std::byte{0xa5});
  const Buffer memory = device->upload(out.data(), out.size());
  MutableSpikeView target{memory.data(), logical.shape, storage, kind, from, device->space()};
  try {
    encoding->decode(target);
  } catch (const Error& error) {
    if (plugin().baseline() && error.code() == ErrorCode::unsupported) return;
    throw;
  }
  device->download(out.data(), memory.data(), out.size());
  if (!out.empty()) {
    EXPECT_EQ(std::memcmp(out.data(), spikes.host.view().data, out.size()), 0);
  }
}

inline void Conformance::expect_products(const Logical& logical, DType storage, ValueKind kind,
                                         RowOrder order, std::uint32_t n, DType weights,
                                         DType output) {
  const Placed spikes = place(logical, storage, kind);
  if (refuses(spikes.view, weights)) return;
  const std::uint64_t m = logical.shape.m();
  const std::uint64_t count = std::uint64_t{logical.shape.k} * n;
  auto w = is_quantised(weights) ? quantised_weights(count, weights, 7) : integer_weights(count, 7);
  const auto w_bytes = to_type(w, weights);
  const Buffer w_memory = device->upload(w_bytes.data(), w_bytes.size());
  WeightView w_view{w_memory.data(), weights, logical.shape.k, n, device->space()};
  std::vector<float> scales(n);
  for (std::uint32_t j = 0; j < n; ++j) scales[j] = j % 3 == 0 ? 0.5f : 0.25f;
  const Buffer scale_memory = device->upload(scales.data(), n * sizeof(float));
  if (is_quantised(weights)) {
    w_view.scales = static_cast<const float*>(scale_memory.data());
    for (std::uint64_t i = 0; i < count; ++i) w[i] *= scales[i % n];
  }
  const std::vector<double> expected = oracle(logical, order, w, n);
  const auto encoding = encode(spikes.view, order, weights);
  if (encoding->status().lost != 0) return;  // a lossy format that lost something here
  for (const KernelInfo& kernel : plugin().kernels()) {
    for (const nlohmann::json& config : kernel.configs) {
      SCOPED_TRACE(kernel.name + " " + config.dump() + " " + std::string(to_string(weights)) +
                   "->" + std::string(to_string(output)) + " " + std::to_string(m) + "x" +
                   std::to_string(logical.shape.k) + "x" + std::to_string(n));
      // The sums of a quantised W are large: a library may round those of parts to Y's type.
      if (plugin().baseline() && is_quantised(weights) && output != DType::f32) continue;
      std::vector<std::byte> y(m * n * bits_of(output) / 8, std::byte{0xff});  // NaN everywhere
      const Buffer y_memory = device->upload(y.data(), y.size());
      const OutputView y_view{y_memory.data(), output, m, n, device->space()};
      if (!plugin()
               .why_invalid(kernel.name, config, layout_of(spikes.view, order), w_view, y_view)
               .empty()) {
        continue;
      }
      try {
        encoding->bind_spmm(kernel.name, config, w_view, y_view)();
      } catch (const Error& error) {
        // A library may refuse types or shapes; our own kernels may not.
        if (plugin().baseline() && error.code() == ErrorCode::unsupported) continue;
        throw;
      }
      device->download(y.data(), y_memory.data(), y.size());
      const AnyArray result{y.data(), output, m * n};
      for (std::uint64_t i = 0; i < m * n; ++i) {
        const float got = output == DType::f32 ? result.as<float>()[i] : load_value(result, i);
        ASSERT_EQ(got, rounded(expected[i], output)) << "row " << i / n << " column " << i % n;
      }
    }
  }
}

/// Storages that can hold a kind.
inline std::vector<DType> storages(ValueKind kind) {
  switch (kind) {
    case ValueKind::binary:
      return {DType::bit, DType::u2, DType::u8, DType::f16, DType::bf16, DType::f32};
    case ValueKind::graded2:
      return {DType::u2, DType::u8, DType::f16, DType::bf16, DType::f32};
    case ValueKind::graded:
      return {DType::f16, DType::bf16, DType::f32};
  }
  return {};
}

/// Empty, one element, ragged in every way, word-aligned, several whole tiles of an encoder, wider
/// than a warp's words.
inline std::vector<SpikeShape> shapes() {
  if (small_tests()) {
    return {{1, 0, 5}, {2, 19, 70}, {1, 9, 1500}, {2, 150, 128}, {1, 64, 256}, {1, 2, 70000}};
  }
  return {{1, 0, 5},    {1, 5, 0},    {1, 1, 1},     {4, 3, 1},    {1, 17, 33},
          {2, 19, 70},  {2, 20, 70},  {4, 16, 64},   {3, 43, 129}, {2, 64, 256},
          {1, 9, 1500}, {1, 300, 96}, {3, 400, 128}, {1, 3, 70000}};
}

// The tests. A backend's file makes `Fixture` and instantiates them with
// SPIKETUNE_CONFORMANCE(Fixture), since GoogleTest registers by source line.
inline std::vector<double> densities() {
  if (small_tests()) return {0.3};
  return {0.0, 0.03, 0.4, 1.0};
}

}  // namespace spiketune::test

#define SPIKETUNE_CONFORMANCE(Fixture)              \
  TEST_P(Fixture, RoundTripsEveryShapeAndStorage) { \
    round_trips_every_shape_and_storage();          \
  }                                                 \
  TEST_P(Fixture, ReordersRowsOnTheWay) {           \
    reorders_rows_on_the_way();                     \
  }                                                 \
  TEST_P(Fixture, MultipliesExactly) {              \
    multiplies_exactly();                           \
  }                                                 \
  TEST_P(Fixture, ReportsTheCapacityItNeeds) {      \
    reports_the_capacity_it_needs();                \
  }                                                 \
  TEST_P(Fixture, NamesTheFirstInvalidSpike) {      \
    names_the_first_invalid_spike();                \
  }                                                 \
  TEST_P(Fixture, TreatsNegativeZeroAsZero) {       \
    treats_negative_zero_as_zero();                 \
  }                                                 \
  TEST_P(Fixture, EncodesAgainIntoTheSameMemory) {  \
    encodes_again_into_the_same_memory();           \
  }                                                 \
  TEST_P(Fixture, RefusesMisuse) {                  \
    refuses_misuse();                               \
  }

namespace spiketune::test {

class ConformanceTests : public Conformance {
 protected:
  void round_trips_every_shape_and_storage() {
    unsigned seed = 1;
    for (const ValueKind kind : {ValueKind::binary, ValueKind::graded2, ValueKind::graded}) {
      for (const SpikeShape& shape : shapes()) {
        for (const double density : densities()) {
          const Logical logical = random_spikes(shape, density, kind, ++seed);
          for (const DType storage : storages(kind)) {
            if (!in_turn()) continue;
            expect_round_trip(logical, storage, kind, RowOrder::time_major, RowOrder::time_major);
          }
        }
      }
    }
  }

  void reorders_rows_on_the_way() {
    const Logical logical = random_spikes({5, 23, 96}, 0.2, ValueKind::binary, 11);
    for (const DType storage : storages(ValueKind::binary)) {
      expect_round_trip(logical, storage, ValueKind::binary, RowOrder::time_major,
                        RowOrder::token_major);
      expect_round_trip(logical, storage, ValueKind::binary, RowOrder::token_major,
                        RowOrder::time_major);
    }
    const Logical graded = random_spikes({3, 7, 33}, 0.3, ValueKind::graded, 12);
    expect_round_trip(graded, DType::f32, ValueKind::graded, RowOrder::time_major,
                      RowOrder::token_major);
    expect_products(logical, DType::u8, ValueKind::binary, RowOrder::token_major, 8, DType::f32,
                    DType::f32);
  }

  void multiplies_exactly() {
    const std::pair<DType, DType> types[] = {
        {DType::f32, DType::f32},   {DType::f16, DType::f16},  {DType::f16, DType::f32},
        {DType::bf16, DType::bf16}, {DType::bf16, DType::f32}, {DType::s8, DType::f32},
        {DType::s8, DType::f16},    {DType::s4, DType::bf16},  {DType::s4, DType::f32},
        {DType::e4m3, DType::f32},  {DType::e4m3, DType::f16}};
    for (const auto& [weights, output] : types) {
      for (const SpikeShape& shape : shapes()) {
        if (shape.k > 10000) continue;  // wide rows are for the encoders
        for (const double density : small_tests() ? std::vector{0.1} : std::vector{0.0, 0.1, 1.0}) {
          const Logical logical = random_spikes(shape, density, ValueKind::binary, 21);
          // Libraries take multiples of 16 only in some products.
          for (const std::uint32_t n : {1u, plugin().baseline() ? 32u : 24u, 67u}) {
            if (!in_turn()) continue;
            expect_products(logical, DType::u8, ValueKind::binary, RowOrder::time_major, n, weights,
                            output);
          }
        }
      }
      expect_products(random_spikes({2, 33, 160}, 0.2, ValueKind::graded2, 5), DType::u2,
                      ValueKind::graded2, RowOrder::time_major, 40, weights, output);
      const DType storage = is_floating(weights) ? weights : DType::f32;
      expect_products(random_spikes({2, 33, 160}, 0.2, ValueKind::graded, 5), storage,
                      ValueKind::graded, RowOrder::time_major, 40, weights, output);
    }
    expect_products(random_spikes({1, 130, 520}, 0.05, ValueKind::binary, 5), DType::bit,
                    ValueKind::binary, RowOrder::time_major, 512, DType::f16, DType::f32);
    // Longer than what a block of any kernel keeps in shared memory.
    const Logical longer = random_spikes({1, 70, 9000}, 0.05, ValueKind::binary, 6);
    expect_products(longer, DType::u8, ValueKind::binary, RowOrder::time_major, 136, DType::s4,
                    DType::f32);
  }

  void reports_the_capacity_it_needs() {
    const Logical logical = random_spikes({2, 50, 200}, 0.3, ValueKind::binary, 31);
    const Placed spikes = place(logical, DType::u8, ValueKind::binary);
    const auto full = encode(spikes.view, RowOrder::time_major, DType::f32);
    const std::uint64_t needed = full->status().needed;
    if (needed == 0 || plugin().baseline()) return;  // a format that cannot overflow
    for (const std::uint64_t capacity : {std::uint64_t{0}, needed / 2, needed - 1}) {
      const auto small = encode(spikes.view, RowOrder::time_major, DType::f32, capacity);
      EXPECT_EQ(small->status().needed, needed) << "capacity " << capacity;
      EXPECT_EQ(small->status().nnz, logical.nnz());
    }
    const auto exact = encode(spikes.view, RowOrder::time_major, DType::f32, needed);
    EXPECT_EQ(exact->status().needed, needed);
    EXPECT_NO_THROW(exact->validate());
  }

  void names_the_first_invalid_spike() {
    if (plugin().baseline()) GTEST_SKIP() << "the encoders of libraries do not check values";
    const SpikeShape shape{2, 37, 96};
    const auto expect_first = [&](SpikeTensor host, std::uint64_t element) {
      const SpikeView view = host.view();
      const Buffer memory = device->upload(view.data, view.bytes());
      SpikeView placed = view;
      placed.data = memory.data();
      placed.space = device->space();
      if (refuses(placed, DType::f32)) return;
      const auto encoding = encode(placed, RowOrder::time_major, DType::f32);
      EXPECT_EQ(encoding->status().first_invalid, element);
    };
    const Logical logical = random_spikes(shape, 0.1, ValueKind::binary, 41);
    SpikeTensor bytes = store(logical, DType::u8, ValueKind::binary, RowOrder::time_major);
    auto* data = static_cast<std::uint8_t*>(bytes.mutable_view().data);
    data[5000] = 255;
    data[1234] = 2;
    data[1235] = 7;
    expect_first(std::move(bytes), 1234);
    SpikeTensor blocks = store(random_spikes({1, 64, 256}, 0.1, ValueKind::binary, 43), DType::u8,
                               ValueKind::binary, RowOrder::time_major);  // 16384 bytes
    static_cast<std::uint8_t*>(blocks.mutable_view().data)[16383] = 3;
    static_cast<std::uint8_t*>(blocks.mutable_view().data)[9001] = 2;
    expect_first(std::move(blocks), 9001);
    SpikeTensor halves = store(logical, DType::f16, ValueKind::binary, RowOrder::time_major);
    static_cast<std::uint16_t*>(halves.mutable_view().data)[777] = 0x7e00;  // NaN
    expect_first(std::move(halves), 777);
    const Logical ragged = random_spikes({1, 11, 37}, 0.1, ValueKind::graded, 42);
    SpikeTensor floats = store(ragged, DType::f32, ValueKind::graded, RowOrder::time_major);
    static_cast<std::uint32_t*>(floats.mutable_view().data)[400] = 0xff800000u;  // -infinity
    expect_first(std::move(floats), 400);
    SpikeTensor pairs = store(logical, DType::u2, ValueKind::binary, RowOrder::time_major);
    static_cast<std::uint32_t*>(pairs.mutable_view().data)[6] |= 3u << 8;  // row 1, k = 4
    expect_first(std::move(pairs), 96 + 4);
  }

  void treats_negative_zero_as_zero() {
    const Logical logical = random_spikes({1, 20, 64}, 0.2, ValueKind::graded, 51);
    for (const DType storage : {DType::f16, DType::bf16, DType::f32}) {
      const SpikeTensor clean = store(logical, storage, ValueKind::graded, RowOrder::time_major);
      SpikeTensor host = store(logical, storage, ValueKind::graded, RowOrder::time_major);
      for (std::size_t i = 0; i < logical.values.size(); i += 3) {
        if (logical.values[i] != 0.0f) continue;
        if (storage == DType::f32) {
          static_cast<std::uint32_t*>(host.mutable_view().data)[i] = 0x80000000u;
        } else {
          static_cast<std::uint16_t*>(host.mutable_view().data)[i] = 0x8000;
        }
      }
      const Buffer memory = device->upload(host.view().data, host.view().bytes());
      SpikeView placed = host.view();
      placed.data = memory.data();
      placed.space = device->space();
      if (refuses(placed, storage)) return;
      const auto encoding = encode(placed, RowOrder::time_major, storage);
      EXPECT_EQ(encoding->status().nnz, logical.nnz());
      EXPECT_EQ(encoding->status().first_invalid, EncodeStatus::none_invalid);
    }
  }

  void encodes_again_into_the_same_memory() {
    const SpikeShape shape{2, 40, 160};
    const Logical first = random_spikes(shape, 0.5, ValueKind::binary, 61);
    const Logical second = random_spikes(shape, 0.02, ValueKind::binary, 62);
    const Placed spikes = place(first, DType::u8, ValueKind::binary);
    const auto encoding = encode(spikes.view, RowOrder::time_major, DType::f32);
    const auto again = encoding->bind_encode(spikes.view);
    const SpikeTensor other = store(second, DType::u8, ValueKind::binary, RowOrder::time_major);
    device->write(spikes.memory.data(), other.view().data, other.view().bytes());
    again();
    EXPECT_EQ(encoding->status().nnz, second.nnz());
    EXPECT_NO_THROW(encoding->validate());
  }

  void refuses_misuse() {
    const Logical logical = random_spikes({1, 20, 64}, 0.2, ValueKind::binary, 71);
    const Placed spikes = place(logical, DType::u8, ValueKind::binary);
    const auto encoding = encode(spikes.view, RowOrder::time_major, DType::f32);
    if (plugin().baseline()) return;
    const auto code_of = [](auto&& run) {
      try {
        run();
      } catch (const Error& error) {
        return error.code();
      }
      return ErrorCode::internal;
    };
    SpikeView other = spikes.view;
    other.shape.rows = 19;
    EXPECT_EQ(code_of([&] { encoding->bind_encode(other)(); }), ErrorCode::invalid_argument);
    other = spikes.view;
    other.data = nullptr;
    EXPECT_EQ(code_of([&] { encoding->bind_encode(other)(); }), ErrorCode::invalid_argument);
    other = spikes.view;
    other.space = device->space() == Space::host ? Space::device : Space::host;
    EXPECT_EQ(code_of([&] { encoding->bind_encode(other)(); }), ErrorCode::invalid_argument);
    const Buffer memory = device->upload(std::vector<float>(64 * 8).data(), 64 * 8 * 4);
    const WeightView w{memory.data(), DType::f32, 63, 8, device->space()};
    const OutputView y{memory.data(), DType::f32, 20, 8, device->space()};
    for (const KernelInfo& kernel : plugin().kernels()) {
      EXPECT_EQ(code_of([&] { encoding->bind_spmm(kernel.name, kernel.configs.front(), w, y)(); }),
                ErrorCode::invalid_argument);
    }
    EXPECT_EQ(code_of([&] { static_cast<void>(encoding->bind_spmm("none", {}, w, y)); }),
              ErrorCode::invalid_argument);
  }
};

}  // namespace spiketune::test
