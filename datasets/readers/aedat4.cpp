#include "spiketune/datasets/readers/aedat4.hpp"

#include "spiketune/core/error.hpp"

#if defined(SPIKETUNE_HAVE_AEDAT4)

#include <fmt/format.h>
#include <lz4frame.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "aedat4_generated.h"
#include "spiketune/datasets/readers/readers.hpp"

namespace spiketune {
namespace {

constexpr std::string_view version_line = "#!AER-DAT4.0\r\n";
constexpr std::uint64_t longest_header = std::uint64_t{16} << 20;
constexpr std::uint64_t data_of_any_file = std::uint64_t{64} << 20;
constexpr std::uint64_t data_of_a_byte = 256;
constexpr std::size_t chunk_bytes = std::size_t{1} << 16;

using Bytes = std::vector<std::uint8_t>;

[[noreturn]] void fail(const std::string& name, const std::string& why,
                       ErrorCode code = ErrorCode::parse) {
  throw Error(code, fmt::format("{}: {}", name, why));
}

/// Memory grows with what is found.
Bytes read_bytes(const ByteSource& source, std::uint64_t count) {
  Bytes bytes;
  while (bytes.size() < count) {
    const std::size_t have = bytes.size();
    bytes.resize(std::min<std::uint64_t>(count, std::max(16 * chunk_bytes, 2 * have)));
    read_exactly(source, std::as_writable_bytes(std::span(bytes)).subspan(have));
  }
  return bytes;
}

std::uint32_t read_u32(const ByteSource& source) {
  std::uint32_t value = 0;
  read_exactly(source, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

/// Undoes the compression of packets. `budget` is how many more bytes may come out.
class Decompressor {
 public:
  Decompressor(aedat4::Compression compression, std::uint64_t budget)
      : compression_(compression), budget_(budget) {
    LZ4F_dctx* lz4 = nullptr;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&lz4, LZ4F_VERSION)) != 0) {
      throw std::bad_alloc();
    }
    lz4_.reset(lz4);
    zstd_.reset(ZSTD_createDStream());
    if (zstd_ == nullptr) throw std::bad_alloc();
  }

  Bytes operator()(Bytes packed, const std::string& name) {
    Bytes result;
    switch (compression_) {
      case aedat4::Compression_none:
        result = std::move(packed);
        break;
      case aedat4::Compression_lz4:
      case aedat4::Compression_lz4_high:
        result = from_lz4(packed, name);
        break;
      case aedat4::Compression_zstd:
      case aedat4::Compression_zstd_high:
        result = from_zstd(packed, name);
        break;
    }
    spend(result.size(), name);
    budget_ -= result.size();
    return result;
  }

 private:
  void spend(std::uint64_t bytes, const std::string& name) const {
    if (bytes > budget_) {
      fail(name, "unfolds into more than a file of this size may hold", ErrorCode::unsupported);
    }
  }

  Bytes from_lz4(const Bytes& packed, const std::string& name) {
    LZ4F_resetDecompressionContext(lz4_.get());
    Bytes result;
    std::size_t at = 0;
    std::size_t wanted = 1;
    while (wanted != 0) {
      const std::size_t have = result.size();
      result.resize(have + chunk_bytes);
      std::size_t written = chunk_bytes;
      std::size_t taken = packed.size() - at;
      wanted = LZ4F_decompress(lz4_.get(), result.data() + have, &written, packed.data() + at,
                               &taken, nullptr);
      if (LZ4F_isError(wanted) != 0) {
        fail(name, fmt::format("its LZ4 frame is damaged ({})", LZ4F_getErrorName(wanted)));
      }
      at += taken;
      result.resize(have + written);
      spend(result.size(), name);
      if (wanted != 0 && taken == 0 && written == 0) fail(name, "its LZ4 frame is truncated");
    }
    return result;
  }

  Bytes from_zstd(const Bytes& packed, const std::string& name) {
    ZSTD_DCtx_reset(zstd_.get(), ZSTD_reset_session_only);
    Bytes result;
    ZSTD_inBuffer in{packed.data(), packed.size(), 0};
    std::size_t wanted = 1;
    while (wanted != 0) {
      const std::size_t have = result.size();
      const std::size_t taken = in.pos;
      result.resize(have + chunk_bytes);
      ZSTD_outBuffer out{result.data() + have, chunk_bytes, 0};
      wanted = ZSTD_decompressStream(zstd_.get(), &out, &in);
      if (ZSTD_isError(wanted) != 0) {
        fail(name, fmt::format("its Zstandard frame is damaged ({})", ZSTD_getErrorName(wanted)));
      }
      result.resize(have + out.pos);
      spend(result.size(), name);
      if (wanted != 0 && in.pos == taken && out.pos == 0) {
        fail(name, "its Zstandard frame is truncated");
      }
    }
    return result;
  }

  struct Free {
    void operator()(LZ4F_dctx* context) const { LZ4F_freeDecompressionContext(context); }
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  aedat4::Compression compression_;
  std::uint64_t budget_;
  std::unique_ptr<LZ4F_dctx, Free> lz4_;
  std::unique_ptr<ZSTD_DStream, Free> zstd_;
};

struct Header {
  aedat4::Compression compression = aedat4::Compression_none;
  std::uint64_t packets_end = 0;  ///< in the file
  std::string xml;
};

Header read_header(const ByteSource& source, std::uint64_t& offset) {
  std::array<char, version_line.size()> version{};
  read_exactly(source, std::as_writable_bytes(std::span(version)));
  if (std::string_view(version.data(), version.size()) != version_line) {
    fail(source.name, "does not start with '#!AER-DAT4.0'");
  }
  const std::uint32_t length = read_u32(source);
  offset = version.size() + 4 + std::uint64_t{length};
  if (length > longest_header || offset > source.size) {
    fail(source.name,
         fmt::format("claims a header of {} bytes in a file of {}", length, source.size));
  }
  // Writers align its 64-bit field either with or without those 4 bytes in front.
  const Bytes bytes = read_bytes(source, length);
  Bytes prefixed(sizeof length);
  std::memcpy(prefixed.data(), &length, sizeof length);
  prefixed.insert(prefixed.end(), bytes.begin(), bytes.end());
  const aedat4::IoHeader* root = nullptr;
  flatbuffers::Verifier with_length(prefixed.data(), prefixed.size());
  flatbuffers::Verifier without_length(bytes.data(), bytes.size());
  if (with_length.VerifySizePrefixedBuffer<aedat4::IoHeader>(nullptr)) {
    root = flatbuffers::GetSizePrefixedRoot<aedat4::IoHeader>(prefixed.data());
  } else if (without_length.VerifyBuffer<aedat4::IoHeader>(nullptr)) {
    root = flatbuffers::GetRoot<aedat4::IoHeader>(bytes.data());
  } else {
    fail(source.name, "its header is damaged");
  }
  Header header;
  header.compression = root->compression();
  if (header.compression < aedat4::Compression_MIN ||
      header.compression > aedat4::Compression_MAX) {
    fail(source.name, fmt::format("unknown compression {}", static_cast<int>(header.compression)),
         ErrorCode::unsupported);
  }
  const std::int64_t table = root->data_table_position();
  header.packets_end = table < 0 ? source.size : static_cast<std::uint64_t>(table);
  if (header.packets_end < offset || header.packets_end > source.size) {
    fail(source.name,
         fmt::format("claims that its packets end at byte {} of {}", table, source.size));
  }
  if (root->info_node() != nullptr) header.xml = root->info_node()->str();
  return header;
}

/// The number in <attr key="sizeX" ...>346</attr>, in the part of the XML that describes a stream;
/// nothing where there is none. The XML is one that a program wrote, always in this form.
std::optional<std::uint32_t> size_in(std::string_view xml, const std::string& stream,
                                     std::string_view key) {
  const std::size_t node = xml.find(fmt::format("<node name=\"{}\"", stream));
  if (node == xml.npos) return std::nullopt;
  xml.remove_prefix(node);
  const std::size_t attribute = xml.find(fmt::format("key=\"{}\"", key));
  const std::size_t value = attribute == xml.npos ? xml.npos : xml.find('>', attribute);
  if (value == xml.npos) return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, status] =
      std::from_chars(xml.data() + value + 1, xml.data() + xml.size(), number);
  return status == std::errc{} ? std::optional(number) : std::nullopt;
}

/// Appends the events of a packet; returns whether it is one of events at all.
bool append_events(const Bytes& packet, EventStream& stream, bool wanted, const std::string& name) {
  const bool events = packet.size() >= 12 && std::memcmp(packet.data() + 8, "EVTS", 4) == 0;
  if (!events || !wanted) return events;
  flatbuffers::Verifier verifier(packet.data(), packet.size());
  if (!verifier.VerifySizePrefixedBuffer<aedat4::EventPacket>("EVTS")) {
    fail(name, "its events are damaged");
  }
  const auto* found =
      flatbuffers::GetSizePrefixedRoot<aedat4::EventPacket>(packet.data())->elements();
  if (found == nullptr) return true;
  for (flatbuffers::uoffset_t i = 0; i < found->size(); ++i) {
    aedat4::Event event;  // a copy: the verifier lets misaligned ones pass
    std::memcpy(&event, found->Data() + i * sizeof event, sizeof event);
    if (event.x() < 0 || event.y() < 0) {
      fail(name, fmt::format("an event at ({}, {})", event.x(), event.y()));
    }
    stream.events.push_back({event.timestamp(), 0, static_cast<std::uint32_t>(event.x()),
                             static_cast<std::uint32_t>(event.y()), event.on()});
  }
  return true;
}

/// All packets, those of other streams and kinds passed over. Returns the stream that was read.
std::string read_packets(const ByteSource& source, const Header& header, std::uint64_t offset,
                         const std::string& member, EventStream& stream) {
  Decompressor decompress(header.compression, data_of_any_file + data_of_a_byte * source.size);
  std::set<std::uint32_t> streams;
  for (std::uint64_t packet = 0; offset < header.packets_end; ++packet) {
    const std::string name = fmt::format("{}, packet {} at byte {}", source.name, packet, offset);
    const std::uint64_t present = header.packets_end - offset;
    if (present < 8) fail(name, "is truncated");
    const std::uint32_t id = read_u32(source);
    const std::uint32_t length = read_u32(source);
    if (length > present - 8) {
      fail(name, fmt::format("claims {} bytes where {} are left", length, present - 8));
    }
    offset += 8 + std::uint64_t{length};
    const bool wanted = member.empty() || member == std::to_string(id);
    const Bytes bytes = decompress(read_bytes(source, length), name);
    if (append_events(bytes, stream, wanted, name)) streams.insert(id);
  }
  std::vector<std::string> names;
  for (const std::uint32_t id : streams) names.push_back(std::to_string(id));
  if (names.empty()) fail(source.name, "holds no events");
  return choose_member(names, member, source.name);
}

/// Without sign, so that any two times have a difference; `end` one behind the last event.
void set_times(EventStream& stream) {
  if (stream.events.empty()) return;
  const auto [first, last] =
      std::minmax_element(stream.events.begin(), stream.events.end(),
                          [](const Event& a, const Event& b) { return a.time_us < b.time_us; });
  stream.begin_us = first->time_us;
  stream.end_us = std::min(last->time_us, std::numeric_limits<std::int64_t>::max() - 1) + 1;
}

}  // namespace

Recording read_aedat4(const ByteSource& source, const std::string& member) {
  std::uint64_t offset = 0;
  const Header header = read_header(source, offset);
  EventStream stream;
  stream.polarity = true;
  stream.file_bytes = source.size;
  const std::string id = read_packets(source, header, offset, member, stream);
  set_times(stream);
  const auto width = size_in(header.xml, id, "sizeX");
  const auto height = size_in(header.xml, id, "sizeY");
  if (width && height) {
    stream.width = *width;
    stream.height = *height;
  } else {
    guess_sensor(stream, 1, 1);
  }
  return {fmt::format("{}, stream {}", source.name, id), std::move(stream)};
}

}  // namespace spiketune

#else

namespace spiketune {

Recording read_aedat4(const ByteSource& source, const std::string&) {
  throw Error(ErrorCode::unsupported, source.name + ": this build does not read AEDAT4");
}

}  // namespace spiketune

#endif
