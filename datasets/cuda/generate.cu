// Generated spikes: a thread draws 32 columns of a row (of every time step, for a Markov chain).
// Not tuned: a draw costs about 20 integer operations, and generating is not part of any product.

#include <algorithm>

#include "spiketune/core/cuda/check.hpp"
#include "spiketune/datasets/generate.hpp"
#include "spiketune/datasets/spike_source.hpp"

namespace spiketune {
namespace cuda {
namespace {

constexpr unsigned threads = 256;

__global__ void __launch_bounds__(threads)
    generate_words(const SpikeSource source, const MutableSpikeView spikes, std::uint64_t items) {
  const std::uint64_t stride = std::uint64_t{gridDim.x} * threads;
  for (std::uint64_t item = std::uint64_t{blockIdx.x} * threads + threadIdx.x; item < items;
       item += stride) {
    run_work_item(source, spikes, item);
  }
}

}  // namespace
}  // namespace cuda

void generate(const CudaContext& context, const PatternSpec& spec, const MutableSpikeView& spikes) {
  check_space(spikes, Space::device);
  const PreparedPattern prepared = prepare(spec, spikes.shape, spikes.kind);
  SpikeSource source = prepared.source;
  const std::uint64_t items = work_items(source);
  if (items == 0) return;
  const std::size_t table_bytes = prepared.table.size() * sizeof(std::uint64_t);
  const Buffer table = allocate(context, table_bytes);
  copy(context, table.data(), prepared.table.data(), table_bytes);
  const auto* device_table = static_cast<const std::uint64_t*>(table.data());
  if (source.column_thresholds != nullptr) source.column_thresholds = device_table;
  if (source.row_thresholds != nullptr) source.row_thresholds = device_table;
  const auto blocks = std::min<std::uint64_t>(ceil_div(items, cuda::threads), 1u << 20);
  cuda::generate_words<<<static_cast<unsigned>(blocks), cuda::threads, 0, context.stream>>>(
      source, spikes, items);
  cuda::check_launch();
  synchronize(context);  // before the table is released
}

}  // namespace spiketune
