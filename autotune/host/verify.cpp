#include "spiketune/autotune/verify.hpp"

#include <algorithm>
#include <mutex>

#include "spiketune/core/parallel.hpp"

namespace spiketune {

Comparison compare(const HostContext& context, const OutputView& output, const double* reference) {
  const std::uint64_t count = output.m * output.n;
  detail::ElementError worst;
  std::mutex mutex;
  parallel_ranges(context, count, 1u << 16, [&](std::uint64_t begin, std::uint64_t end) {
    detail::ElementError here;
    for (std::uint64_t i = begin; i < end; ++i) {
      here = detail::worse_of(
          here, detail::element_error(detail::load_output(output, i), reference[i], i));
    }
    const std::lock_guard lock(mutex);
    worst = detail::worse_of(worst, here);
  });
  if (worst.at == Comparison::none) return {};
  return {worst.absolute, worst.scaled, worst.at, detail::load_output(output, worst.at),
          reference[worst.at]};
}

std::uint64_t first_difference(const HostContext& context, const SpikeView& a, const SpikeView& b) {
  detail::check_same_layout(a, b);
  std::uint64_t first = Comparison::none;
  std::mutex mutex;
  parallel_for(context, a.shape.m(), 64, [&](std::uint64_t row) {
    for (std::uint32_t column = 0; column < a.shape.k; ++column) {
      if (detail::spike_bits(a, row, column) == detail::spike_bits(b, row, column)) continue;
      const std::lock_guard lock(mutex);
      first = std::min(first, row * a.shape.k + column);
      return;
    }
  });
  return first;
}

}  // namespace spiketune
