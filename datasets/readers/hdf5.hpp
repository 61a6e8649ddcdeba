#pragma once
/// \file
/// HDF5: plain arrays, and three layouts of spikes.
///
///   a dataset of numbers or truth values          as .npy
///   a group with `times` and `units`              events of the Heidelberg datasets (SHD, SSC):
///   one
///                                                 list of seconds and one of channels per sample
///   a group with `idx`, `time`, `n_neurons`       EventData of NIR: [samples, events], padded with
///                                                 -1; times in seconds
///   a group with `data` and `dt`                  TimeGriddedData of NIR: [samples, T, neurons]
///
/// Sources: Cramer et al., The Heidelberg Spiking Data Sets (2020); NIR's data_ir,
/// github.com/neuromorphs/NIR. The library is not made for hostile files, so it runs in a child.

#include <string>

#include "spiketune/datasets/readers/recording.hpp"

namespace spiketune {

/// The dataset or group of that path, or else `spikes`, or else the only one. Events begin at 0 µs;
/// the sensor of SHD has 700 channels or as many as they need. Throws Error(parse) where the file
/// is damaged, Error(unsupported) for other element types, data outside of the file, and as
/// check_elements() does.
[[nodiscard]] Recording read_hdf5(const std::string& path, const std::string& member);

}  // namespace spiketune
