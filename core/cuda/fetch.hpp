#pragma once
/// \file
/// A few words from the device to the host: now, or as soon as they are there.

#include <cstdint>

#include "spiketune/core/context.hpp"

namespace spiketune {

inline constexpr unsigned most_fetched_words = 8;

/// Waits for all that was enqueued on the context's stream, and copies `words` words, at most
/// most_fetched_words, from the device to the host. In less time than copy() and synchronize(): a
/// kernel writes to pinned memory that this thread watches. Throws Error(cuda) where something
/// that was enqueued failed, or where the stream is being captured.
void fetch(const CudaContext& context, std::uint64_t* to, const std::uint64_t* from,
           unsigned words);

/// Enqueues a copy of `words` words, at most most_fetched_words, from the device to pinned memory
/// (allocate_pinned()), for whoever looks there later: a kernel that begins while the one before it
/// ends, where copy() holds the stream up for longer. Can be captured.
void post(const CudaContext& context, std::uint64_t* to, const std::uint64_t* from, unsigned words);

}  // namespace spiketune
