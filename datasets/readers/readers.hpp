#pragma once
/// \file
/// The list of file kinds that spikes are read from. Each kind is a file in this folder (.npy and
/// .npz, which are written too, are one floor up).

#include <span>
#include <string>
#include <string_view>

#include "spiketune/datasets/readers/recording.hpp"

namespace spiketune {

struct Reader {
  std::string_view name;     ///< as people call the kind
  std::string_view endings;  ///< of file names, separated by blanks
  std::string_view magic;    ///< how such a file starts; empty: told by its ending
  std::string_view missing;  ///< why this build has no such reader and how to get it; or empty
  /// `member`: the part of the file to read; empty: the one that can be meant.
  Recording (*read)(const std::string& path, const std::string& member);
};

[[nodiscard]] std::span<const Reader> readers();

/// A file and the part of it that is meant.
struct FileMember {
  std::string file;
  std::string member;
};
/// "trace.h5:/layer1/spikes" as file and member, where there is no file of the whole name.
[[nodiscard]] FileMember split_member(const std::string& path);

/// The member that is wanted, or else "spikes", or else the only one. Throws
/// Error(invalid_argument) that lists what there is, and Error(parse) where it is missing.
[[nodiscard]] std::string choose_member(std::span<const std::string> names,
                                        const std::string& wanted, const std::string& file);

/// Reads a file whose kind is told by its first bytes, or else by its ending. Throws Error(io),
/// Error(parse), and Error(unsupported) for kinds that this build does not know.
[[nodiscard]] Recording read_recording(const FileMember& from);

}  // namespace spiketune
