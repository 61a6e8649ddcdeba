#pragma once
/// \file
/// AEDAT 4.0, the recordings of iniVation's event cameras.
///
///   "#!AER-DAT4.0\r\n"
///   header    FlatBuffer (aedat4.fbs) after its length in 4 bytes: compression, where the packets
///             end, and XML that describes the streams
///   packets   4 bytes stream, 4 bytes length, and a FlatBuffer, compressed as the header says;
///             those of events carry the identifier EVTS
///   table     of packets, which is not needed to read them in order
///
/// Format: docs.inivation.com, "AEDAT 4.0".

#include <string>

#include "spiketune/datasets/byte_source.hpp"
#include "spiketune/datasets/readers/recording.hpp"

namespace spiketune {

/// Events of the stream with that number, or of the only one, from its first event on. The sensor's
/// size is that of the XML, or what holds all events. Throws Error(parse) with the packet, and
/// Error(invalid_argument) where there are several streams of events to choose from. The data of
/// all packets may have 64 MiB and 256 bytes for each byte of the file: LZ4 expands no further.
[[nodiscard]] Recording read_aedat4(const ByteSource& source, const std::string& member);

}  // namespace spiketune
