#include "spiketune/kernels/baselines/host/openblas.hpp"

#include <algorithm>
#include <limits>

#include "spiketune/core/error.hpp"
#include "spiketune/core/parallel.hpp"

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
  // OpenBLAS keeps one number of threads for the process; setting it wakes its thread pool.
  const int threads = thread_count(context);
  if (openblas_get_num_threads() != threads) openblas_set_num_threads(threads);
  const auto rows = static_cast<blasint>(m);
  const auto columns = static_cast<blasint>(n);
  const auto depth = static_cast<blasint>(k);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, columns, depth, 1.0f, s, depth, w,
              columns, 0.0f, y, columns);
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
