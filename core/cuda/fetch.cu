#include "spiketune/core/cuda/fetch.hpp"

#include <algorithm>
#include <atomic>

#include "spiketune/core/buffer.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/dependent_launch.cuh"
#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

/// In pinned memory. `ticket` is written last, and is another one for each call.
struct Mailbox {
  std::uint64_t words[most_fetched_words];
  std::uint64_t ticket;
};

__global__ void post_words(std::uint64_t* to, const std::uint64_t* from, unsigned words) {
  cuda::wait_for_primary();
  if (threadIdx.x < words) to[threadIdx.x] = from[threadIdx.x];
}

__global__ void post_ticket(Mailbox* mailbox, const std::uint64_t* from, unsigned words,
                            std::uint64_t ticket) {
  volatile Mailbox* to = mailbox;
  if (threadIdx.x < words) to->words[threadIdx.x] = from[threadIdx.x];
  __syncwarp();
  if (threadIdx.x != 0) return;
  __threadfence_system();
  to->ticket = ticket;
}

bool arrives(Mailbox& mailbox, std::uint64_t ticket, int looks) {
  for (int i = 0; i < looks; ++i) {
    if (std::atomic_ref(mailbox.ticket).load(std::memory_order_acquire) == ticket) return true;
  }
  return false;
}

}  // namespace

void fetch(const CudaContext& context, std::uint64_t* to, const std::uint64_t* from,
           unsigned words) {
  static thread_local const Buffer memory = allocate_pinned(context, sizeof(Mailbox));
  static thread_local std::uint64_t last_ticket = 0;
  auto& mailbox = *static_cast<Mailbox*>(memory.data());
  const std::uint64_t ticket = ++last_ticket;
  if (ticket == 1) mailbox.ticket = 0;
  post_ticket<<<1, 32, 0, context.stream>>>(&mailbox, from, words, ticket);
  cuda::check_launch();
  // Now and then the stream is asked, which knows of errors.
  while (!arrives(mailbox, ticket, 1 << 14)) {
    const cudaError_t status = cudaStreamQuery(context.stream);
    if (status == cudaErrorNotReady) continue;
    cuda::check(status);
    require(arrives(mailbox, ticket, 1), ErrorCode::cuda, "words of the device did not arrive");
    break;
  }
  std::copy_n(mailbox.words, words, to);
}

void post(const CudaContext& context, std::uint64_t* to, const std::uint64_t* from,
          unsigned words) {
  cuda::launch_dependent(context, post_words, dim3(1), dim3(32), 0, to, from, words);
}

}  // namespace spiketune
