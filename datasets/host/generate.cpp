#include "spiketune/datasets/generate.hpp"

#include "spiketune/core/parallel.hpp"
#include "spiketune/datasets/spike_source.hpp"

namespace spiketune {

void generate(const HostContext& context, const PatternSpec& spec, const MutableSpikeView& spikes) {
  check_space(spikes, Space::host);
  const PreparedPattern prepared = prepare(spec, spikes.shape, spikes.kind);
  parallel_for(context, work_items(prepared.source), 512,
               [&](std::uint64_t item) { run_work_item(prepared.source, spikes, item); });
}

}  // namespace spiketune
