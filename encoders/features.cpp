#include "spiketune/encoders/features.hpp"

#include "spiketune/core/error.hpp"

namespace spiketune {
namespace {

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

}  // namespace

double Features::density(const SpikeShape& shape) const {
  return share(static_cast<double>(nnz), static_cast<double>(shape.elements()));
}

double Features::mean_length(const SpikeShape& shape) const {
  return share(static_cast<double>(nnz), static_cast<double>(shape.m()));
}

double Features::length_variance(const SpikeShape& shape) const {
  const double mean = mean_length(shape);
  return share(static_cast<double>(squared_lengths), static_cast<double>(shape.m())) - mean * mean;
}

double Features::union_density(const SpikeShape& shape, std::size_t i) const {
  const auto all = static_cast<double>(ceil_div(shape.m(), group_sizes.at(i)) * shape.k);
  return share(static_cast<double>(vectors.at(i)), all);
}

double Features::block_density(const SpikeShape& shape) const {
  const auto all = static_cast<double>(ceil_div(shape.m(), 16) * ceil_div(shape.k, 16));
  return share(static_cast<double>(blocks), all);
}

double Features::share_beyond_two_four() const {
  return share(static_cast<double>(beyond_two_four), static_cast<double>(nnz));
}

double Features::staying() const {
  return share(static_cast<double>(stayed), static_cast<double>(followed));
}

void check_features(const SpikeView& spikes, const Features* features, Space space) {
  check_space(spikes, space);
  require(spikes.storage == DType::bit, ErrorCode::invalid_argument,
          "features are measured on packed spikes (storage bit); pack() or encode a bitmap first");
  require(spikes.shape.k <= 1u << 28, ErrorCode::invalid_argument,
          "features are measured for K up to 2^28");
  require(features != nullptr, ErrorCode::invalid_argument, "there is no memory for the features");
}

}  // namespace spiketune
