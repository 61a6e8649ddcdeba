#include "spiketune/tests/emulation/emulation.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "spiketune/core/buffer.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/core/error.hpp"

thread_local dim3 threadIdx;
thread_local dim3 blockIdx;
thread_local dim3 blockDim;
thread_local dim3 gridDim;

namespace emulation {
namespace {

namespace context = boost::context;

struct Warp {
  std::uint64_t slots[2][32];  // two sets, so that one exchange cannot overwrite the one before
  unsigned members = 0;        // lanes that exist
  unsigned exited = 0;
  unsigned arrived = 0;
  int operation = -1;
  unsigned generation = 0;
};

struct Thread {
  context::fiber fiber;    ///< where the thread goes on
  context::fiber* caller;  ///< where the scheduler goes on
  dim3 index;
  unsigned linear = 0;
  bool done = false;
};

struct Block {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<std::uint64_t> shared;
  std::size_t live = 0;
  std::size_t arrived = 0;
  int predicates = 0;
  int result = 0;
  unsigned generation = 0;
  bool progressed = false;
  std::string error;  // the first; all threads then leave
};

struct Abandon {};  // unwinds a fiber after an error elsewhere

Block* block = nullptr;
Thread* current = nullptr;
cudaError_t last_error = cudaSuccess;

void yield() {
  Thread* self = current;
  *self->caller = std::move(*self->caller).resume();
  current = self;
  threadIdx = self->index;
  if (!block->error.empty()) throw Abandon{};
}

[[noreturn]] void fail(const std::string& what) {
  if (block->error.empty()) {
    block->error = what + " (block " + std::to_string(blockIdx.x) + ", " +
                   std::to_string(blockIdx.y) + ", thread " + std::to_string(current->linear) + ")";
  }
  throw Abandon{};
}

void leave(Thread& thread) {
  thread.done = true;
  block->progressed = true;
  --block->live;
  block->warps[thread.linear / 32].exited |= 1u << thread.linear % 32;
  if (block->arrived != 0 && block->arrived == block->live) {
    block->result = block->predicates;
    block->arrived = 0;
    block->predicates = 0;
    ++block->generation;
  }
}

void start(Thread& thread, const std::function<void()>& kernel,
           context::pooled_fixedsize_stack& stacks) {
  thread.fiber =
      context::fiber(std::allocator_arg, stacks, [&thread, &kernel](context::fiber&& caller) {
        thread.caller = &caller;
        current = &thread;
        threadIdx = thread.index;
        try {
          kernel();
        } catch (const Abandon&) {
        } catch (const char* what) {
          if (block->error.empty()) block->error = what;
        }
        leave(thread);
        return std::move(caller);
      });
}

void run_block(const std::function<void()>& kernel, std::size_t shared_bytes,
               context::pooled_fixedsize_stack& stacks) {
  const unsigned count = blockDim.x * blockDim.y * blockDim.z;
  Block here;
  block = &here;
  here.live = count;
  here.warps.resize((count + 31) / 32);
  here.shared.assign(shared_bytes / 8 + 1, 0xcdcdcdcdcdcdcdcdull);
  here.threads.resize(count);
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = here.threads[i];
    thread.linear = i;
    thread.index = dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y);
    here.warps[i / 32].members |= 1u << i % 32;
    start(thread, kernel, stacks);
  }
  while (here.live > 0) {
    here.progressed = false;
    for (Thread& thread : here.threads) {
      if (!thread.done) thread.fiber = std::move(thread.fiber).resume();
    }
    if (!here.progressed && here.live > 0 && here.error.empty()) {
      here.error = "some threads wait at a barrier that the others never reach (block " +
                   std::to_string(blockIdx.x) + ")";
    }
  }
  block = nullptr;
  if (!here.error.empty()) throw std::logic_error("emulated kernel: " + here.error);
}

}  // namespace

void launch(const std::function<void()>& kernel, dim3 grid, dim3 threads, std::size_t shared_bytes,
            void*) {
  const std::uint64_t size = std::uint64_t{threads.x} * threads.y * threads.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || size == 0 || size > 1024 || grid.y > 65535 ||
      grid.z > 65535 || grid.x > 0x7fffffffu || shared_bytes > 227 * 1024) {
    last_error = cudaErrorInvalidConfiguration;
    return;
  }
  static context::pooled_fixedsize_stack stacks(64 * 1024, 1024);
  gridDim = grid;
  blockDim = threads;
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = dim3(x, y, z);
        run_block(kernel, shared_bytes, stacks);
      }
    }
  }
}

void* dynamic_shared() {
  return block->shared.data();
}

int block_barrier(bool predicate) {
  block->predicates += predicate;
  const unsigned generation = block->generation;
  if (++block->arrived == block->live) {
    block->result = block->predicates;
    block->arrived = 0;
    block->predicates = 0;
    ++block->generation;
    block->progressed = true;
  } else {
    while (block->generation == generation) yield();
  }
  return block->result;
}

const std::uint64_t* warp_exchange(std::uint64_t value, unsigned mask, int operation) {
  Warp& warp = block->warps[current->linear / 32];
  const unsigned lane = current->linear % 32;
  if ((mask & ~warp.members) != 0)
    fail("a warp collective names lanes that the block does not have");
  if ((mask & warp.exited) != 0) fail("a warp collective names lanes that have exited");
  if ((mask >> lane & 1u) == 0) fail("a lane takes part in a collective whose mask leaves it out");
  if (warp.arrived != 0 && warp.operation != operation)
    fail("lanes of a warp are in different collectives");
  const unsigned generation = warp.generation;
  std::uint64_t* slots = warp.slots[generation % 2];
  slots[lane] = value;
  warp.operation = operation;
  warp.arrived |= 1u << lane;
  if (warp.arrived == mask) {
    warp.arrived = 0;
    ++warp.generation;
    block->progressed = true;
  } else {
    while (warp.generation == generation) {
      if ((mask & warp.exited) != 0)
        fail("a lane exited while its warp waits for it in a collective");
      yield();
    }
  }
  return slots;
}

unsigned lane() {
  return current->linear % 32;
}

}  // namespace emulation

// The CUDA runtime and the project's own layer over it, as far as encoders and kernels need them.

cudaError_t cudaGetLastError() {
  return std::exchange(emulation::last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() {
  return emulation::last_error;
}
cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t) {
  std::memset(data, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = 2;  // few multiprocessors: grid-stride loops then really stride
  return cudaSuccess;
}

namespace spiketune {
namespace cuda {
void check(cudaError_t status, std::source_location where) {
  if (status != cudaSuccess) {
    throw Error(ErrorCode::cuda, "emulated CUDA error " + std::to_string(status) + " in " +
                                     where.file_name() + ":" + std::to_string(where.line()));
  }
}
}  // namespace cuda

std::string cuda_unavailable_reason(int) {
  return "";
}
CudaStream::CudaStream(int device) : device_(device) {}
CudaStream::~CudaStream() = default;

namespace {
struct Mapping {
  void* base;
  std::size_t bytes;
};
std::map<void*, Mapping>& mappings() {
  static std::map<void*, Mapping> all;
  return all;
}
}  // namespace

/// Ends (to 256 bytes) at a page that may not be touched, and starts as poison.
Buffer allocate(const CudaContext&, std::size_t bytes) {
  if (bytes == 0) return {};
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t rounded = (align_up(bytes) + page - 1) / page * page;
  void* base =
      mmap(nullptr, rounded + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) throw Error(ErrorCode::out_of_memory, "emulated device memory is full");
  static_cast<void>(mprotect(static_cast<std::byte*>(base) + rounded, page, PROT_NONE));
  std::byte* data = static_cast<std::byte*>(base) + rounded - align_up(bytes);
  std::memset(data, 0xcd, align_up(bytes));
  mappings()[data] = {base, rounded + page};
  return {data, bytes, Space::device, [](void* pointer) noexcept {
            const auto found = mappings().find(pointer);
            munmap(found->second.base, found->second.bytes);
            mappings().erase(found);
          }};
}
void copy(const CudaContext&, void* to, const void* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
}
void fill(const CudaContext&, void* data, unsigned char value, std::size_t bytes) {
  if (bytes != 0) std::memset(data, value, bytes);
}
void synchronize(const CudaContext&) {}

}  // namespace spiketune
