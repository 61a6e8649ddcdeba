// A stranger's program against the installed library: encode, multiply, check.
#include <cstdint>
#include <cstdio>
#include <spiketune/encoders/csr.hpp>
#include <spiketune/kernels/csr.hpp>
#include <vector>

int main() {
  using namespace spiketune;
  const HostContext context;
  const std::vector<std::uint8_t> spikes = {0, 1, 0, 1,  //
                                            0, 0, 0, 0,  //
                                            1, 0, 0, 0};
  const SpikeView view{spikes.data(), {1, 3, 4}, DType::u8};
  const Encoded<Csr> csr = encode_to_fit<Csr>(context, view);

  const std::vector<float> w = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> y(3 * 2);
  const WeightView weights{w.data(), DType::f32, 4, 2};
  const OutputView output{y.data(), DType::f32, 3, 2};
  const Buffer workspace =
      allocate(context, spmm_workspace_bytes(context, *csr, weights, output, Rows{}));
  spmm(context, *csr, weights, output, Rows{}, workspace.workspace());

  const std::vector<float> expected = {10, 12, 0, 0, 1, 2};
  std::printf("%s\n", y == expected ? "consumer: ok" : "consumer: wrong result");
  return y == expected ? 0 : 1;
}
