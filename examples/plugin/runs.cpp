// A complete out-of-tree format in one file: rows as runs of neighbouring spikes.
//
//   columns 0 1 2 3 4        row_offsets  0 2 2 3
//   row 0   1 1 . . 1        starts       0 4 2
//   row 1   . . . . .        lengths      2 1 3
//   row 2   . . 1 1 1
//
// Good where spikes come in blobs along K (a saccade over a retina), bad elsewhere: ideal to see
// whether your data do. Binary spikes only. See docs/adding-a-format.md for a walk through it.

#include <spiketune/autotune/adapt.hpp>
#include <spiketune/core/error.hpp>
#include <spiketune/core/workspace.hpp>
#include <spiketune/encoders/host/decode.hpp>
#include <spiketune/encoders/host/expand.hpp>
#include <spiketune/kernels/host/rows.hpp>

namespace spiketune {

// 1. What the format is. capacity counts runs.
struct Runs : FormatBase {
  static constexpr std::string_view name = "runs";
  struct Params {
    template <class Self, class Visit>
    static void fields(Self&, Visit&&) {}
    bool operator==(const Params&) const = default;
  };

  Params params;
  Array<std::uint32_t> row_offsets;  ///< [M + 1]
  Array<std::uint32_t> starts;       ///< [capacity] first column of each run, ascending in a row
  Array<std::uint32_t> lengths;      ///< [capacity] at least 1; runs of a row do not touch

  static std::vector<Params> choices(const EncodedLayout&, DType) { return {{}}; }

  static Runs plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity) {
    require(layout.value_type == DType::bit, ErrorCode::unsupported, "runs: binary spikes only");
    require(capacity <= 0xffffffffu, ErrorCode::unsupported, "runs: more than 2^32 runs");
    Runs runs;
    runs.layout = layout;
    runs.params = params;
    runs.capacity = capacity;
    runs.row_offsets = {nullptr, layout.m() + 1};
    runs.starts = {nullptr, capacity};
    runs.lengths = {nullptr, capacity};
    return runs;
  }
  static std::uint64_t bound(const EncodedLayout& layout, const Params&, double density) {
    return likely_entries(layout.shape.elements(), density);
  }
  static std::uint64_t max_capacity(const EncodedLayout& layout, const Params&) {
    return layout.m() * ceil_div(layout.k(), 2);
  }

  template <class Self, class Visit>
  static void arrays(Self& self, Visit&& visit) {
    visit("row_offsets", self.row_offsets);
    visit("starts", self.starts);
    visit("lengths", self.lengths);
  }

  std::uint64_t bytes(std::uint64_t stored) const { return row_offsets.bytes() + stored * 8; }

  void validate(const EncodeStatus& counts) const {
    std::uint64_t spikes = 0;
    for (std::uint64_t row = 0; row < layout.m(); ++row) {
      std::uint64_t free = 0;  // first column that the next run may start at
      for (std::uint64_t i = row_offsets[row]; i < row_offsets[row + 1]; ++i) {
        const std::uint64_t end = std::uint64_t{starts[i]} + lengths[i];
        if (starts[i] < free || lengths[i] == 0 || end > layout.k()) {
          detail::invalid_format(name, "run " + std::to_string(i) + " is out of place");
        }
        free = end + 1;
        spikes += lengths[i];
      }
    }
    if (spikes != counts.nnz) detail::invalid_format(name, "runs do not add up to nnz");
  }
};

template <class Visit>
void for_each_in_row(const Runs& runs, std::uint64_t row, Visit&& visit) {
  for (std::uint64_t i = runs.row_offsets[row]; i < runs.row_offsets[row + 1]; ++i) {
    for (std::uint32_t j = 0; j < runs.lengths[i]; ++j) visit(runs.starts[i] + j, 1.0f);
  }
}

// 2. Its encoder. Spikes of any storage and row order arrive as packed rows.
std::size_t encode_workspace_bytes(const HostContext&, const SpikeView& spikes, const Runs&) {
  WorkspaceCarver carver;
  carver.take<std::uint32_t>(packed_words(spikes));
  return carver.bytes();
}

/// visit(start, length) for each run of a row.
template <class Visit>
void for_each_run(const BitRows& bits, std::uint64_t row, Visit&& visit) {
  std::uint32_t start = 0;
  std::uint32_t length = 0;
  host::for_each_bit(bits, row, [&](std::uint32_t column) {
    if (length != 0 && column == start + length) {
      ++length;
      return;
    }
    if (length != 0) visit(start, length);
    start = column;
    length = 1;
  });
  if (length != 0) visit(start, length);
}

void encode(const HostContext& context, const SpikeView& spikes, const Runs& runs,
            Workspace workspace) {
  check_encode(spikes, runs, Space::host);
  WorkspaceCarver carver(workspace);
  const BitRows bits = pack(context, spikes, runs.layout.row_order,
                            carver.take<std::uint32_t>(packed_words(spikes)), runs.status);
  runs.status->needed =
      host::scan_counts(context, bits.m, runs.row_offsets.data, [&](std::uint64_t row) {
        std::uint32_t count = 0;
        for_each_run(bits, row, [&](std::uint32_t, std::uint32_t) { ++count; });
        return count;
      });
  if (runs.status->needed > runs.capacity) return;  // the caller reads the status
  parallel_for(context, bits.m, 64, [&](std::uint64_t row) {
    std::uint64_t at = runs.row_offsets[row];
    for_each_run(bits, row, [&](std::uint32_t start, std::uint32_t length) {
      runs.starts[at] = start;
      runs.lengths[at++] = length;
    });
  });
}

// 3. Its kernels: the host product that any format with for_each_in_row gets. A CUDA format lists
//    RowGather, or a config of its own with an spmm() beside it, for CudaContext.
template <>
struct SpmmKernels<HostContext, Runs> {
  using list = KernelList<Rows>;
};

}  // namespace spiketune

// 4. The door.
extern "C" int spiketune_plugin_abi() {
  return spiketune::plugin_abi;
}
extern "C" void spiketune_register(spiketune::Registry& registry) {
  registry.add(spiketune::adapt<spiketune::Runs, spiketune::HostContext>());
}
