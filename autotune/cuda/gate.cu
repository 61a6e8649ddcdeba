#include "spiketune/autotune/cuda/gate.hpp"

#include "spiketune/core/cuda/check.hpp"

namespace spiketune::cuda {
namespace {

constexpr unsigned long long time_limit_ns = 1'000'000'000;

__device__ unsigned long long global_timer() {
  unsigned long long time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}

__global__ void wait_for(const volatile int* open, volatile int* timed_out) {
  const unsigned long long begin = global_timer();
  while (*open == 0) {
    if (global_timer() - begin > time_limit_ns) {
      *timed_out = 1;
      return;
    }
  }
}

__global__ void nothing() {}

}  // namespace

Gate::Gate(const CudaContext& context) : context_(context) {
  check(cudaSetDevice(context.device));
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, sizeof(Flags), cudaHostAllocMapped));
  host_ = static_cast<Flags*>(memory);
  *host_ = {1, 0};
  void* mapped = nullptr;
  check(cudaHostGetDevicePointer(&mapped, memory, 0));
  device_ = static_cast<Flags*>(mapped);
}

Gate::~Gate() {
  open();
  static_cast<void>(cudaStreamSynchronize(context_.stream));
  static_cast<void>(cudaFreeHost(host_));
}

void Gate::close() {
  *const_cast<volatile int*>(&host_->open) = 0;
  *const_cast<volatile int*>(&host_->timed_out) = 0;
  wait_for<<<1, 1, 0, context_.stream>>>(&device_->open, &device_->timed_out);
  check_launch();
}

void Gate::open() noexcept {
  *const_cast<volatile int*>(&host_->open) = 1;
}

bool Gate::timed_out() const {
  return *const_cast<const volatile int*>(&host_->timed_out) != 0;
}

void launch_empty(const CudaContext& context) {
  nothing<<<1, 1, 0, context.stream>>>();
  check_launch();
}

}  // namespace spiketune::cuda
