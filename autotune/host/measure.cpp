#include "spiketune/autotune/measure.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <utility>

#include "spiketune/core/buffer.hpp"
#include "spiketune/core/parallel.hpp"

namespace spiketune {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

/// Half again the last-level cache, between 16 MiB (where it is unknown) and 256 MiB.
std::size_t flush_bytes() {
  const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const std::size_t wanted = cache > 0 ? static_cast<std::size_t>(cache) / 2 * 3 : 0;
  return std::clamp<std::size_t>(wanted, std::size_t{16} << 20, std::size_t{256} << 20);
}

/// Evicts what caches hold by reading a buffer larger than they are. Reading leaves clean lines,
/// so that the work measured next does not pay for writing them back.
class CacheFlusher {
 public:
  explicit CacheFlusher(const HostContext& context)
      : context_(context), buffer_(allocate(context, flush_bytes())) {
    fill(context, buffer_.data(), 1, buffer_.bytes());
  }

  void flush() {
    constexpr std::uint64_t line = 64 / sizeof(std::uint64_t);
    const auto* words = static_cast<const std::uint64_t*>(buffer_.data());
    const std::uint64_t count = buffer_.bytes() / sizeof(std::uint64_t);
    parallel_ranges(context_, count, 1u << 16, [&](std::uint64_t begin, std::uint64_t end) {
      std::uint64_t sum = 0;
      for (std::uint64_t i = begin; i < end; i += line) sum += words[i];
      sink_.fetch_add(sum, std::memory_order_relaxed);
    });
  }

 private:
  HostContext context_;
  Buffer buffer_;
  std::atomic<std::uint64_t> sink_{0};  // so that the reads are not optimised away
};

class HostTrial final : public Trial {
 public:
  HostTrial(Work work, TimingMode mode, std::shared_ptr<CacheFlusher> flusher)
      : work_(std::move(work)), mode_(mode), flusher_(std::move(flusher)) {
    work_.run();
  }

  void sample(unsigned count, std::vector<double>& samples) override {
    if (mode_ == TimingMode::hot) work_.run();
    for (unsigned i = 0; i < count; ++i) {
      if (mode_ == TimingMode::cold) flusher_->flush();
      const auto begin = Clock::now();
      work_.run();
      samples.push_back(microseconds_since(begin));
    }
  }

 private:
  Work work_;
  TimingMode mode_;
  std::shared_ptr<CacheFlusher> flusher_;
};

class HostMeter final : public Meter {
 public:
  explicit HostMeter(const HostContext& context)
      : context_(context), flusher_(std::make_shared<CacheFlusher>(context)) {}

  std::unique_ptr<Trial> prepare(Work work, TimingMode mode) override {
    return std::make_unique<HostTrial>(std::move(work), mode, flusher_);
  }

  double copy_gbps() override {
    constexpr std::size_t bytes = std::size_t{256} << 20;
    const Buffer from = allocate(context_, bytes);
    const Buffer to = allocate(context_, bytes);
    fill(context_, from.data(), 1, bytes);
    std::vector<double> samples;
    for (int repetition = 0; repetition < 8; ++repetition) {
      const auto begin = Clock::now();
      parallel_ranges(context_, bytes, std::size_t{4} << 20,
                      [&](std::uint64_t at, std::uint64_t end) {
                        std::memcpy(static_cast<char*>(to.data()) + at,
                                    static_cast<const char*>(from.data()) + at, end - at);
                      });
      if (repetition > 0) samples.push_back(microseconds_since(begin));  // the first maps the pages
    }
    return 2.0 * static_cast<double>(bytes) / statistics(samples).median / 1e3;
  }

  double overhead_us() override {
    std::vector<double> samples;
    HostTrial({[] {}, false}, TimingMode::hot, nullptr).sample(100, samples);
    return statistics(samples).median;
  }

 private:
  HostContext context_;
  std::shared_ptr<CacheFlusher> flusher_;
};

}  // namespace

std::unique_ptr<Meter> make_meter(const HostContext& context) {
  return std::make_unique<HostMeter>(context);
}

}  // namespace spiketune
