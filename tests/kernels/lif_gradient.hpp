#pragma once
/// \file
/// What the tests of lif_gradient() share: bits and gradients in host memory.

#include <random>

#include "spiketune/kernels/lif_gradient.hpp"
#include "spiketune/tests/encoders/lif.hpp"
#include "spiketune/tests/support.hpp"

namespace spiketune::test {

/// Any bits: words of rows [T, rows, ceil(N/32)].
inline std::vector<std::uint32_t> random_words(const SpikeShape& shape, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint32_t> words(shape.m() * ceil_div(shape.k, 32));
  for (std::uint32_t& word : words) word = random() & random();
  return words;
}

/// The gradient of the currents, in the type of `gradient`, on a context.
template <class ContextT>
std::vector<std::byte> walk_back(const ContextT& context, const SpikeShape& shape,
                                 const LifParams& params, DType type,
                                 const std::vector<float>& gradient, bool in_place) {
  const auto fired = random_words(shape, 1), near = random_words(shape, 2);
  const auto stored = to_type(gradient, type);
  const Buffer fired_words = upload(context, fired.data(), fired.size() * 4);
  const Buffer near_words = upload(context, near.data(), near.size() * 4);
  const Buffer of_spikes = upload(context, stored.data(), stored.size());
  const Buffer result = allocate(context, stored.size());
  void* to = in_place ? of_spikes.data() : result.data();
  lif_gradient(context,
               {fired_words.data(), shape, DType::bit, ValueKind::binary, RowOrder::time_major,
                ContextT::space},
               {static_cast<std::uint32_t*>(near_words.data()), 0.25f}, params,
               {of_spikes.data(), shape, type, ContextT::space}, 0.5f, to);
  std::vector<std::byte> host(stored.size());
  copy(context, host.data(), to, host.size());
  synchronize(context);
  return host;
}

}  // namespace spiketune::test
