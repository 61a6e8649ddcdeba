#include "spiketune/kernels/baselines/host/openblas.hpp"

#include <algorithm>
#include <limits>

#include "spiketune/core/error.hpp"
#include "spiketune/core/parallel.hpp"
#include "spiketune/core/shape.hpp"

#if defined(SPIKETUNE_HAVE_OPENBLAS)
#include <cblas.h>
#endif

namespace spiketune::baselines {

#if defined(SPIKETUNE_HAVE_OPENBLAS)

std::string openblas_unavailable_reason() {
  return "";
}

void sgemm(const HostContext& context, std::uint64_t m, std::uint64_t n, std::uint64_t k,
           const float* s, const float* w, float* y) {
  constexpr std::uint64_t largest = std::numeric_limits<blasint>::max();
  require(std::max({m, n, k}) <= largest, ErrorCode::unsupported,
          "OpenBLAS takes dimensions below 2^31");
  if (m == 0 || n == 0) return;
  if (k == 0) {
    std::fill(y, y + m * n, 0.0f);
    return;
  }
  // A slice of Y to each OpenMP thread, and no threads of OpenBLAS: its pool and OpenMP's, which
  // waits by spinning, would fight over the cores, and sgemm took up to eight times as long.
  if (openblas_get_num_threads() != 1) openblas_set_num_threads(1);
  const auto threads = static_cast<std::uint64_t>(thread_count(context));
  const bool by_rows = m >= n;
  const std::uint64_t extent = by_rows ? m : n;
  const std::uint64_t slice = ceil_div(ceil_div(extent, threads), 16) * 16;
  parallel_ranges(context, extent, slice, [&](std::uint64_t begin, std::uint64_t end) {
    const auto depth = static_cast<blasint>(k);
    const auto columns = static_cast<blasint>(n);
    const auto count = static_cast<blasint>(end - begin);
    if (by_rows) {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, count, columns, depth, 1.0f,
                  s + begin * k, depth, w, columns, 0.0f, y + begin * n, columns);
    } else {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<blasint>(m), count, depth,
                  1.0f, s, depth, w + begin, columns, 0.0f, y + begin, columns);
    }
  });
}

#else

std::string openblas_unavailable_reason() {
  return "built without OpenBLAS; install libopenblas-dev and configure again";
}

void sgemm(const HostContext&, std::uint64_t, std::uint64_t, std::uint64_t, const float*,
           const float*, float*) {
  throw Error(ErrorCode::unsupported, openblas_unavailable_reason());
}

#endif

}  // namespace spiketune::baselines
