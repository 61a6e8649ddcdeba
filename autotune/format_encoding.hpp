#pragma once
/// \file
/// What all plugins over this project's formats share, whoever multiplies them.

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "spiketune/autotune/plugin.hpp"
#include "spiketune/core/cuda/fetch.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/encoders/encode.hpp"

namespace spiketune {

/// A format that may have spikes where they lie (encoders/bytes.hpp).
template <class Format, class ContextT>
concept Viewing = requires(const ContextT& context, const SpikeView& spikes, Format& format) {
  { view(spikes, format, ContextT::space) } -> std::same_as<bool>;
  count(context, format);
};

/// All but the product. For the dense product of a library the encode is the cast to the type that
/// it wants, and is timed as such.
template <class Format, class ContextT>
class FormatEncoding : public AnyEncoding {
 public:
  FormatEncoding(const ContextT& context, const Format& planned)
      : context_(context), encoded_(context, planned) {}

  std::function<void()> bind_encode(const SpikeView& spikes) override {
    auto workspace = std::make_shared<Buffer>(
        allocate(context_, encode_workspace_bytes(context_, spikes, *encoded_)));
    return [this, spikes, workspace = std::move(workspace)] {
      if constexpr (Viewing<Format, ContextT>) {
        viewed_ = view(spikes, *encoded_, ContextT::space);
        if (viewed_) return;
        bind(*encoded_, encoded_.buffer().data());
      }
      encode(context_, spikes, *encoded_, workspace->workspace());
    };
  }

  [[nodiscard]] bool views() const override { return viewed_; }

  EncodeStatus status() override {
    count_viewed();
    return read_status(context_, *encoded_);
  }
  void post_status(EncodeStatus* to) override {
    count_viewed();
    if constexpr (ContextT::space == Space::device) {
      post(context_, reinterpret_cast<std::uint64_t*>(to),
           reinterpret_cast<const std::uint64_t*>(encoded_->status), sizeof *to / 8);
    } else {
      copy(context_, to, encoded_->status, sizeof *to);
    }
  }

  void decode(const MutableSpikeView& spikes) override {
    spiketune::decode(context_, *encoded_, spikes);
    synchronize(context_);
  }

  void validate() override {
    count_viewed();
    if constexpr (ContextT::space == Space::host) {
      encoded_->validate(*encoded_->status);
    } else {
      const Encoded<Format> host = copy_to_host(context_, *encoded_);
      host->validate(*host->status);
    }
  }

  [[nodiscard]] std::uint64_t capacity() const override { return encoded_->capacity; }
  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const override {
    return encoded_->bytes(stored);
  }

 protected:
  ContextT context_;
  Encoded<Format> encoded_;

 private:
  /// A view counts nothing: whoever wants the counters pays for them.
  void count_viewed() {
    if constexpr (Viewing<Format, ContextT>) {
      if (viewed_) count(context_, *encoded_);
    }
  }

  bool viewed_ = false;
};

/// Throws Error(invalid_argument) unless `kernel` is the one that there is.
inline void require_kernel(std::string_view kernel, std::string_view expected) {
  if (kernel == expected) return;
  throw Error(ErrorCode::invalid_argument, "this baseline has no kernel '" + std::string(kernel) +
                                               "', only '" + std::string(expected) + "'");
}

}  // namespace spiketune
