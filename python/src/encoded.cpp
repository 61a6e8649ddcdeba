#include "encoded.hpp"

#include <algorithm>
#include <map>
#include <type_traits>
#include <utility>

#include "spiketune/autotune/builtin_formats.hpp"
#include "spiketune/autotune/fields.hpp"
#include "spiketune/core/error.hpp"

namespace spiketune::python {
namespace {

using nlohmann::json;

template <class T>
AnyArray any_array(const Array<T>& array) {
  return {const_cast<std::remove_const_t<T>*>(array.data), dtype_of<std::remove_const_t<T>>,
          array.size};
}
AnyArray any_array(const AnyArray& array) {
  return array;
}

template <class First, class... Rest>
First first_of(KernelList<First, Rest...>);

template <class Format>
class HostEncoded final : public AnyEncoded {
 public:
  using Params = typename Format::Params;

  HostEncoded(const SpikeView& spikes, const Params& params, RowOrder row_order) : params_(params) {
    const HostContext context;
    EncodeOptions options;
    options.row_order = row_order;
    encoded_ = encode_to_fit<Format>(context, spikes, params, options);
    const std::uint64_t needed = encoded_->status->needed;
    if constexpr (std::is_same_v<Format, Ell>) {
      // Its capacity is the width of rows: another one is another layout.
      if (needed < encoded_->capacity) {
        options.capacity = needed;
        encoded_ = encode_to_fit<Format>(context, spikes, params, options);
      }
    }
    Format::arrays(*encoded_, [&](std::string_view name, const auto& array) {
      arrays_.push_back({std::string(name), any_array(array)});
    });
    std::size_t i = 0;
    const Format exact = Format::plan(encoded_->layout, params, needed);
    Format::arrays(exact, [&](std::string_view, const auto& array) {
      std::uint64_t& size = arrays_[i++].array.size;
      size = std::min(size, array.size);
    });
  }

  std::string format() const override { return std::string(Format::name); }
  json params() const override { return fields_to_json(params_); }
  const EncodedLayout& layout() const override { return encoded_->layout; }
  EncodeStatus status() const override { return *encoded_->status; }
  std::uint64_t bytes() const override { return encoded_->bytes(encoded_->status->needed); }
  const std::vector<NamedArray>& arrays() const override { return arrays_; }
  void decode(const MutableSpikeView& spikes) const override {
    spiketune::decode(HostContext{}, *encoded_, spikes);
  }
  void spmm(const WeightView& weights, const OutputView& output) const override {
    using Config = decltype(first_of(typename SpmmKernels<HostContext, Format>::list{}));
    const HostContext context;
    const Buffer workspace =
        allocate(context, spmm_workspace_bytes(context, *encoded_, weights, output, Config{}));
    spiketune::spmm(context, *encoded_, weights, output, Config{}, workspace.workspace());
  }

 private:
  Params params_;
  Encoded<Format> encoded_;
  std::vector<NamedArray> arrays_;
};

using Make = std::function<std::unique_ptr<AnyEncoded>(const json&, const SpikeView&, RowOrder)>;

template <class... Formats>
std::map<std::string, Make> makers(FormatList<Formats...>) {
  std::map<std::string, Make> result;
  (result.emplace(Formats::name,
                  [](const json& params, const SpikeView& spikes, RowOrder order) {
                    using Params = typename Formats::Params;
                    const EncodedLayout layout = layout_of(spikes, order);
                    const Params chosen = params.is_null()
                                              ? Formats::choices(layout, DType::f32).front()
                                              : fields_from_json<Params>(params);
                    return std::make_unique<HostEncoded<Formats>>(spikes, chosen, order);
                  }),
   ...);
  return result;
}

const std::map<std::string, Make>& all_formats() {
  static const auto result = makers(BuiltinFormats{});
  return result;
}

}  // namespace

std::vector<std::string> format_names() {
  std::vector<std::string> result;
  for (const auto& [name, make] : all_formats()) result.push_back(name);
  return result;
}

std::unique_ptr<AnyEncoded> encode_any(const std::string& format, const json& params,
                                       const SpikeView& spikes, RowOrder row_order) {
  const auto found = all_formats().find(format);
  if (found != all_formats().end()) return found->second(params, spikes, row_order);
  std::string message = "there is no format '" + format + "'; there are";
  for (const auto& [name, make] : all_formats()) message += " " + name;
  throw Error(ErrorCode::invalid_argument, message);
}

}  // namespace spiketune::python
