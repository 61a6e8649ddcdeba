#pragma once
/// \file
/// The .bin files of N-MNIST and N-Caltech101: events of 40 bits.
///
///   byte 0   x
///   byte 1   y; 240 marks an overflow: times grow by 8,192 µs from here on, and there is no event
///   byte 2   bit 7: brighter; bits 0 to 6: bits 16 to 22 of the time
///   byte 3   bits 8 to 15 of the time
///   byte 4   bits 0 to 7, in µs
///
/// Source: Orchard et al., Converting Static Image Datasets to Spiking Neuromorphic Datasets Using
/// Saccades (2015), and the readers that come with the data.

#include "spiketune/datasets/byte_source.hpp"
#include "spiketune/datasets/readers/recording.hpp"

namespace spiketune {

/// Events of one sample from 0 µs on, on 34 x 34 pixels or as many as they need. Throws
/// Error(parse) where bytes are left over.
[[nodiscard]] Recording read_n_mnist(const ByteSource& source);

}  // namespace spiketune
