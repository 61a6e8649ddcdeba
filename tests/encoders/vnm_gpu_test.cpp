#include "spiketune/encoders/vnm.hpp"

#include <cstring>

#include "spiketune/core/cuda/stream.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {
namespace {

/// The first `count` elements, or all.
template <class T>
std::vector<std::byte> elements(const CudaContext& context, const T& array,
                                std::uint64_t count = ~std::uint64_t{0}) {
  const std::uint64_t size = array.size == 0 ? 0 : array.bytes() / array.size;
  std::vector<std::byte> result(std::min(count, array.size) * size);
  copy(context, result.data(), array.data, result.size());
  synchronize(context);
  return result;
}

// Blocks of all sizes, in several tiles, with rows and columns to spare.
TEST(VnmOnGpu, IsTheHostsBitForBit) {
  if (const std::string reason = cuda_unavailable_reason(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const CudaStream stream;
  const CudaContext context = stream.context();
  for (const SpikeShape shape : {SpikeShape{3, 51, 333}, SpikeShape{1, 40, 1600},
                                 SpikeShape{1, 700, 32}, SpikeShape{2, 9, 4224}}) {
    const Logical logical = random_spikes(shape, 0.25, ValueKind::graded2, 5);
    for (const DType storage : {DType::u2, DType::u8}) {
      const SpikeTensor spikes = store(logical, storage, ValueKind::graded2, RowOrder::time_major);
      SpikeTensor input(context, shape, storage, ValueKind::graded2, RowOrder::time_major);
      copy(context, input.mutable_view().data, spikes.view().data, spikes.view().bytes());
      for (const int v : {16, 32, 64, 128}) {
        for (const int m : {8, 16, 32}) {
          for (const bool prune : {false, true}) {
            const EncodeOptions options{RowOrder::token_major, 0.25, {}};
            const auto expected =
                encode_to_fit<Vnm>(HostContext{2}, spikes.view(), {v, m, prune}, options);
            const auto vnm = encode_to_fit<Vnm>(context, input.view(), {v, m, prune}, options);
            SCOPED_TRACE(::testing::Message()
                         << "K " << shape.k << ", v " << v << ", m " << m << ", prune " << prune);
            const EncodeStatus status = read_status(context, *vnm);
            EXPECT_EQ(status.nnz, expected->status->nnz);
            EXPECT_EQ(status.needed, expected->status->needed);
            EXPECT_EQ(status.lost, expected->status->lost);
            EXPECT_EQ(elements(context, vnm->selected), elements(context, expected->selected));
            EXPECT_EQ(elements(context, vnm->metadata), elements(context, expected->metadata));
            EXPECT_EQ(elements(context, vnm->presence), elements(context, expected->presence));
            EXPECT_EQ(elements(context, vnm->residual_row_offsets),
                      elements(context, expected->residual_row_offsets));
            EXPECT_EQ(elements(context, vnm->residual_column_indices, status.needed),
                      elements(context, expected->residual_column_indices, status.needed));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace spiketune::test
