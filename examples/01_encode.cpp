// Spikes into formats, and what a format holds.

#include <cstdint>
#include <cstdio>
#include <spiketune/encoders/bitmap.hpp>
#include <spiketune/encoders/csr.hpp>
#include <vector>

int main() {
  using namespace spiketune;
  // Two time steps of three positions with five channels: [T, rows, K], a byte each.
  const std::vector<std::uint8_t> spikes = {0, 1, 0, 1, 0,  //
                                            0, 0, 0, 0, 0,  //
                                            1, 0, 0, 0, 0,  //
                                            0, 1, 0, 0, 0,  //
                                            0, 0, 0, 0, 1,  //
                                            1, 1, 1, 0, 0};
  const SpikeView view{spikes.data(), {2, 3, 5}, DType::u8};
  const HostContext context;

  // The convenient form allocates, and encodes again where its first guess was too small.
  const Encoded<Csr> csr = encode_to_fit<Csr>(context, view);
  const EncodeStatus counts = read_status(context, *csr);
  std::printf("CSR: %llu spikes, %llu bytes\n", static_cast<unsigned long long>(counts.nnz),
              static_cast<unsigned long long>(csr->bytes(counts.needed)));
  for (std::uint64_t row = 0; row < csr->layout.m(); ++row) {
    std::printf("  row %llu:", static_cast<unsigned long long>(row));
    for_each_in_row(*csr, row, [](std::uint32_t column, float) { std::printf(" %u", column); });
    std::printf("\n");
  }

  // The same in the order of positions: all time steps of one after another.
  const Encoded<Bitmap> bitmap =
      encode_to_fit<Bitmap>(context, view, {}, {.row_order = RowOrder::token_major});
  std::printf("bitmap, token-major: word of row 1 is %#x\n", bitmap->words[1]);

  // The form for loops and graphs allocates nothing: a capacity that you chose, memory of your own.
  Csr mine = Csr::plan(layout_of(view, RowOrder::time_major), {}, /*capacity=*/4);
  std::vector<std::byte> memory(storage_bytes(mine) + 256);
  auto* aligned = memory.data() + (256 - reinterpret_cast<std::uintptr_t>(memory.data()) % 256);
  bind(mine, aligned);
  std::vector<std::byte> scratch(encode_workspace_bytes(context, view, mine));
  encode(context, view, mine, scratch);
  std::printf("into a capacity of 4: overflow, %llu are needed\n",
              static_cast<unsigned long long>(mine.status->needed));
  return mine.status->needed == counts.nnz ? 0 : 1;
}
