#include "spiketune/tests/emulation/emulation.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "spiketune/core/buffer.hpp"
#include "spiketune/core/cuda/check.hpp"
#include "spiketune/core/cuda/fetch.hpp"
#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/kernels/cuda/bit_planes.cuh"
#include "spiketune/kernels/cuda/byte_mma.cuh"
#include "spiketune/kernels/cuda/expand_imma.cuh"
#include "spiketune/kernels/cuda/fire.cuh"
#include "spiketune/kernels/cuda/gradients.cuh"
#include "spiketune/kernels/expand.hpp"
#include "spiketune/kernels/sparse_mma.hpp"

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

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
};

struct Thread {
  context::fiber fiber;    ///< where the thread goes on
  context::fiber* caller;  ///< where the scheduler goes on
  dim3 index;
  unsigned linear = 0;
  bool done = false;
  std::deque<std::vector<Copy>> copies;  // asynchronous ones not waited for, by commit
};

struct Block {
  dim3 index;
  std::vector<Thread> threads;
  std::vector<Thread*> order;  // in which they take their turns
  std::vector<Warp> warps;
  std::vector<std::uint64_t> shared;
  std::map<const void*, std::vector<std::byte>> variables;  // __shared__ ones, by their key
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

/// Blocks that are there at the same time.
constexpr std::size_t resident_blocks = 3;
/// Rounds over all threads in which none gets anywhere, after which none ever will.
constexpr int patience = 2000;

/// Turns come in an order that differs from round to round, the same in each run of the program.
std::minstd_rand& turns() {
  static std::minstd_rand generator = [] {
    const char* seed = std::getenv("SPIKETUNE_EMULATION_SEED");
    return std::minstd_rand(seed == nullptr ? 1u : static_cast<unsigned>(std::atoi(seed)));
  }();
  return generator;
}

std::unique_ptr<Block> make_block(dim3 index, const std::function<void()>& kernel,
                                  std::size_t shared_bytes,
                                  context::pooled_fixedsize_stack& stacks) {
  const unsigned count = blockDim.x * blockDim.y * blockDim.z;
  auto made = std::make_unique<Block>();
  made->index = index;
  made->live = count;
  made->warps.resize((count + 31) / 32);
  made->shared.assign(shared_bytes / 8 + 1, 0xcdcdcdcdcdcdcdcdull);
  made->threads.resize(count);
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = made->threads[i];
    thread.linear = i;
    thread.index = dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y);
    made->warps[i / 32].members |= 1u << i % 32;
    made->order.push_back(&thread);
    start(thread, kernel, stacks);
  }
  return made;
}

/// Lets each thread go on until it waits.
void run_round(Block& here) {
  block = &here;
  blockIdx = here.index;
  here.progressed = false;
  std::shuffle(here.order.begin(), here.order.end(), turns());
  for (Thread* thread : here.order) {
    if (!thread->done) thread->fiber = std::move(thread->fiber).resume();
  }
  block = nullptr;
}

/// Runs the blocks of a grid, a few at a time, begun in order.
class Grid {
 public:
  Grid(const std::function<void()>& kernel, std::size_t shared_bytes)
      : kernel_(kernel), shared_bytes_(shared_bytes) {}

  void run() {
    const std::uint64_t count = std::uint64_t{gridDim.x} * gridDim.y * gridDim.z;
    int idle = 0;
    while (begun_ < count || !blocks_.empty()) {
      while (blocks_.size() < resident_blocks && begun_ < count && error_.empty()) begin();
      std::shuffle(blocks_.begin(), blocks_.end(), turns());
      bool progressed = false;
      for (const auto& each : blocks_) {
        if (each->error.empty()) each->error = error_;
        run_round(*each);
        if (error_.empty()) error_ = each->error;
        progressed = progressed || each->progressed;
      }
      std::erase_if(blocks_, [](const auto& each) { return each->live == 0; });
      idle = progressed ? 0 : idle + 1;
      if (idle > patience) {
        error_ = "threads wait for what never comes, such as a barrier that others never reach";
      }
      if (!error_.empty() && blocks_.empty()) break;
    }
    if (!error_.empty()) throw std::logic_error("emulated kernel: " + error_);
  }

 private:
  void begin() {
    static context::pooled_fixedsize_stack stacks(64 * 1024, 1024);
    const std::uint64_t i = begun_++;
    const dim3 index(static_cast<unsigned>(i % gridDim.x),
                     static_cast<unsigned>(i / gridDim.x % gridDim.y),
                     static_cast<unsigned>(i / gridDim.x / gridDim.y));
    blocks_.push_back(make_block(index, kernel_, shared_bytes_, stacks));
  }

  const std::function<void()>& kernel_;
  std::size_t shared_bytes_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::uint64_t begun_ = 0;
  std::string error_;
};

}  // namespace

void launch(const std::function<void()>& kernel, dim3 grid, dim3 threads, std::size_t shared_bytes,
            void*) {
  const std::uint64_t size = std::uint64_t{threads.x} * threads.y * threads.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || size == 0 || size > 1024 || grid.y > 65535 ||
      grid.z > 65535 || grid.x > 0x7fffffffu || shared_bytes > 227 * 1024) {
    last_error = cudaErrorInvalidConfiguration;
    return;
  }
  gridDim = grid;
  blockDim = threads;
  Grid(kernel, shared_bytes).run();
}

void* dynamic_shared() {
  return block->shared.data();
}

void* block_memory(const void* key, std::size_t bytes) {
  std::vector<std::byte>& memory = block->variables[key];
  if (memory.empty()) memory.assign(bytes, std::byte{0xcd});
  return memory.data();
}

void pause() {
  yield();
}

void copy_later(void* to, const void* from, std::size_t bytes) {
  std::memset(to, 0xcd, bytes);
  if (current->copies.empty()) current->copies.emplace_back();
  current->copies.back().push_back({to, from, bytes});
}

void commit_copies() {
  if (current->copies.empty()) current->copies.emplace_back();
  current->copies.emplace_back();
}

void finish_copies(std::size_t but) {
  // The last of the list is still being filled.
  while (current->copies.size() > but + 1) {
    for (const Copy& copy : current->copies.front()) std::memcpy(copy.to, copy.from, copy.bytes);
    current->copies.pop_front();
  }
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
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t) {
  std::memset(data, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int) {
  if (which == cudaDevAttrMaxSharedMemoryPerBlockOptin) {
    *value = 227 * 1024;
  } else if (which == cudaDevAttrMaxSharedMemoryPerMultiprocessor) {
    *value = 228 * 1024;
  } else {
    *value = 2;  // few multiprocessors: grid-stride loops then really stride
  }
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

namespace cuda {
void expand_on_hopper(const CudaContext&, const Bitmap&, const WeightView&, const OutputView&,
                      const Expand&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
void spmm_lif_on_hopper(const CudaContext&, const Bitmap&, const WeightView&, const FireTask&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
void spmm_lif_of_bytes_on_hopper(const CudaContext&, const Bitmap&, const ByteColumns&,
                                 const WeightView&, const FireTask&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
void expand_on_hopper(const CudaContext&, const Bytes&, const WeightView&, const OutputView&,
                      const Expand&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
void bit_planes_on_hopper(const CudaContext&, const Bitmap&, const Planes&, const WeightView&,
                          const OutputView&, const BitPlanes&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
void expand_imma_on_hopper(const CudaContext&, const Bitmap&, const ByteColumns&, const WeightView&,
                           const OutputView&, const ExpandImma&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
void byte_mma_on_hopper(const CudaContext&, const Bytes&, const WeightColumns&, const WeightView&,
                        const OutputView&, const ByteMma&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
void sparse_mma_on_hopper(const CudaContext&, const TwoFour&, const WeightView&, const OutputView&,
                          const SparseMma&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
std::uint64_t count_parts(const CudaContext&, std::uint32_t, const GradientView&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
void weight_gradient_on_hopper(const CudaContext&, const ColumnSlots&, const GradientView&,
                               const OutputView&, const Parts&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
}
void spike_gradient_on_hopper(const CudaContext&, const GradientView&, const WeightView&,
                              const SurrogateView&, const OutputView&) {
  throw Error(ErrorCode::unsupported, "Hopper's instructions are not emulated");
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

Buffer allocate_pinned(const CudaContext&, std::size_t bytes) {
  return allocate(HostContext{}, bytes);
}
void copy(const CudaContext&, void* to, const void* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
}
void fill(const CudaContext&, void* data, unsigned char value, std::size_t bytes) {
  if (bytes != 0) std::memset(data, value, bytes);
}
void post(const CudaContext&, std::uint64_t* to, const std::uint64_t* from, unsigned words) {
  std::memcpy(to, from, words * sizeof *to);
}
void synchronize(const CudaContext&) {}

}  // namespace spiketune
