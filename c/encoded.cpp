#include "encoded.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <type_traits>
#include <utility>

#include "spiketune/autotune/builtin_formats.hpp"
#include "spiketune/autotune/fields.hpp"
#include "spiketune/core/error.hpp"
#if SPIKETUNE_HAVE_CUDA
#include "spiketune/core/cuda/fetch.hpp"
#endif

namespace spiketune::bindings {
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

EncodeStatus status_of(const HostContext&, const EncodeStatus* status) {
  return *status;
}
#if SPIKETUNE_HAVE_CUDA
EncodeStatus status_of(const CudaContext& context, const EncodeStatus* status) {
  std::array<std::uint64_t, 4> words;
  static_assert(sizeof words == sizeof *status);
  fetch(context, words.data(), reinterpret_cast<const std::uint64_t*>(status), words.size());
  return std::bit_cast<EncodeStatus>(words);
}
#endif

template <class ContextT, class Format, class Config>
void run(const ContextT& context, const Format& format, const WeightView& weights,
         const OutputView& output, const Config& config, const Allocate& allocate) {
  const std::size_t bytes = spmm_workspace_bytes(context, format, weights, output, config);
  const Block block = bytes == 0 ? Block{} : allocate(bytes);
  const Workspace workspace{static_cast<std::byte*>(block.data), bytes};
  if constexpr (requires { prepare(context, weights, config, workspace); }) {
    prepare(context, weights, config, workspace);
  }
  spmm(context, format, weights, output, config, workspace);
}

/// With the first kernel of the list that takes these operands; the reason of the first otherwise.
template <class ContextT, class Format, class... Configs>
void run_first(const ContextT& context, const Format& format, const WeightView& weights,
               const OutputView& output, const Allocate& allocate, KernelList<Configs...>) {
  check_spmm(format, weights, output, ContextT::space);
  std::string reason;
  const auto attempt = [&](const auto& config) {
    std::string why;
    if constexpr (requires { config.why_invalid(format.layout, weights, output); }) {
      why = config.why_invalid(format.layout, weights, output);
    }
    if (!why.empty()) {
      if (reason.empty()) reason = std::move(why);
      return false;
    }
    run(context, format, weights, output, config, allocate);
    return true;
  };
  if (!(attempt(Configs{}) || ...)) throw Error(ErrorCode::unsupported, reason);
}

template <class ContextT, class Format>
void multiply(const ContextT& context, const Format& format, const WeightView& weights,
              const OutputView& output, const Allocate& allocate) {
#if SPIKETUNE_HAVE_CUDA
  if constexpr (std::is_same_v<Format, Csr> && std::is_same_v<ContextT, CudaContext>) {
    // Slabs of W in shared memory: for one-bit spikes of any K, by lists made for them; for others
    // where slabs are wide, since narrow ones are no faster than W from L2.
    const bool wide = std::uint64_t{weights.k} * 64 * bits_of(weights.type) / 8 <= 226 * 1024;
    const bool binary = format.layout.value_type == DType::bit;
    if ((binary || wide) && SlabGather{}.why_invalid(format.layout, weights, output).empty()) {
      try {
        return run(context, format, weights, output, SlabGather{}, allocate);
      } catch (const Error& error) {  // a GPU with less shared memory
        if (error.code() != ErrorCode::unsupported) throw;
      }
    }
  }
#endif
  run_first(context, format, weights, output, allocate,
            typename SpmmKernels<ContextT, Format>::list{});
}

/// Columns of S as rows of Sᵀ: the same arrays.
Csr transpose_of(const Csc& csc) {
  Csr result;
  result.layout = csc.layout;
  result.layout.shape = {1, csc.layout.k(), static_cast<std::uint32_t>(csc.layout.m())};
  result.capacity = csc.capacity;
  result.status = csc.status;
  result.row_offsets = csc.column_offsets;
  result.column_indices = csc.row_indices;
  result.values = csc.values;
  return result;
}

template <class Format, class ContextT>
class EncodedOn final : public AnyEncoded {
 public:
  using Params = typename Format::Params;

  EncodedOn(const ContextT& context, const SpikeView& spikes, const Params& params,
            const EncodeRequest& request, const Allocate& allocate)
      : params_(params), context_(context), any_context_(context), input_order_(spikes.row_order) {
    const EncodedLayout layout = layout_of(spikes, request.row_order);
    const bool waits = request.wait.value_or(!takes_any_spikes(layout, params, request));
    std::uint64_t capacity = request.capacity ? *request.capacity
                             : waits || request.density
                                 ? Format::bound(layout, params, request.density.value_or(0.1))
                                 : Format::max_capacity(layout, params);
    for (;;) {
      encode_into(plan(layout, params, capacity, request), spikes, allocate);
      if (!waits) return;
      const EncodeStatus counts = status_of(context_, format_.status);
      const bool too_small = counts.needed > format_.capacity && counts.needed > capacity;
      const bool too_wide = std::is_same_v<Format, Ell> && counts.needed < format_.capacity;
      if (counts.first_invalid != EncodeStatus::none_invalid || !(too_small || too_wide)) {
        accept(counts);
        return;
      }
      capacity = counts.needed;
    }
  }

  /// Of memory that somebody else writes, without counts.
  EncodedOn(const ContextT& context, const Format& planned, const Allocate& allocate)
      : context_(context),
        any_context_(context),
        input_order_(planned.layout.row_order),
        counted_(false),
        format_(planned),
        storage_(allocate(storage_bytes(planned))) {
    bind(format_, storage_.data);
  }

  std::string format() const override { return std::string(Format::name); }
  json params() const override { return fields_to_json(params_); }
  const EncodedLayout& layout() const override { return format_.layout; }
  const Context& context() const override { return any_context_; }
  const Block& storage() const override { return storage_; }
  const EncodeStatus& status() const override {
    if (!status_) accept(counted_ ? status_of(context_, format_.status) : count());
    return *status_;
  }
  std::uint64_t bytes() const override { return format_.bytes(status().needed); }
  const std::vector<NamedArray>& arrays() const override {
    if (arrays_.empty()) {
      Format::arrays(format_, [&](std::string_view name, const auto& array) {
        arrays_.push_back({std::string(name), any_array(array)});
      });
      // Of a size that follows from the shape: nothing to wait for.
      if (std::is_same_v<Format, Bitmap> || std::is_same_v<Format, Bytes> ||
          std::is_same_v<Format, Dense>) {
        return arrays_;
      }
      std::size_t i = 0;
      const Format exact = Format::plan(format_.layout, params_, status().needed);
      Format::arrays(exact, [&](std::string_view, const auto& array) {
        std::uint64_t& size = arrays_[i++].array.size;
        size = std::min(size, array.size);
      });
    }
    return arrays_;
  }
  void decode(const Context& context, const MutableSpikeView& spikes) const override {
    spiketune::decode(own(context), format_, spikes);
  }
  void spmm(const Context& context, const WeightView& weights, const OutputView& output,
            bool transposed, const Allocate& allocate, Workspace prepared) const override {
    if (!transposed) {
      const ContextT& here = own(context);
      if constexpr (std::is_same_v<Format, Bitmap> && std::is_same_v<ContextT, CudaContext>) {
        if (!prepared.empty() && ExpandImma{}.why_invalid(layout(), weights, output).empty()) {
          return spiketune::spmm(here, format_, weights, output, ExpandImma{}, prepared);
        }
      }
      return multiply(here, format_, weights, output, allocate);
    }
    if constexpr (std::is_same_v<Format, Csc>) {
      require(format_.layout.m() <= 0xfffffffeu, ErrorCode::unsupported,
              "the product of a transpose takes less than 2^32 rows");
      multiply(own(context), transpose_of(format_), weights, output, allocate);
    } else {
      throw Error(ErrorCode::unsupported,
                  "the product of a transpose is one of csc, not of " + std::string(Format::name));
    }
  }
  void weight_gradient(const Context& context, const GradientView& gradient,
                       const OutputView& result, const Allocate& allocate) const override {
    if constexpr (std::is_same_v<Format, Bitmap> || std::is_same_v<Format, Csr> ||
                  std::is_same_v<Format, Csc>) {
      const ContextT& here = own(context);
      check_weight_gradient(format_, gradient, result, ContextT::space);
      const std::size_t bytes = weight_gradient_workspace_bytes(here, format_, gradient);
      const Block block = bytes == 0 ? Block{} : allocate(bytes);
      spiketune::weight_gradient(here, format_, gradient, result,
                                 {static_cast<std::byte*>(block.data), bytes});
    } else {
      throw Error(
          ErrorCode::unsupported,
          "the gradient of W is one of bitmap, csr or csc, not of " + std::string(Format::name));
    }
  }
  std::unique_ptr<AnyEncoded> spmm_lif(const Context& context, const WeightView& weights,
                                       const LifInput& input, const LifParams& params,
                                       const LifState& state, RowOrder row_order,
                                       const Allocate& allocate,
                                       Workspace prepared) const override {
    if constexpr (std::is_same_v<Format, Bitmap>) {
      const ContextT& here = own(context);
      const SpikeShape& shape = format_.layout.shape;
      EncodedLayout fired{{shape.timesteps, shape.rows, weights.n}};
      fired.row_order = row_order;
      auto result = std::make_unique<EncodedOn>(here, Bitmap::plan(fired, {}), allocate);
      const std::size_t bytes =
          prepared.empty() ? spmm_lif_workspace_bytes(here, weights) : std::size_t{0};
      const Block block = bytes == 0 ? Block{} : allocate(bytes);
      if (bytes != 0) {
        prepared = {static_cast<std::byte*>(block.data), bytes};
        prepare_spmm_lif(here, weights, prepared);
      }
      spiketune::spmm_lif(here, format_, weights, input, params, state,
                          words_of(result->format_, ContextT::space), prepared);
      return result;
    } else {
      throw Error(ErrorCode::unsupported,
                  "spmm_lif takes spikes as bitmap, not as " + std::string(Format::name));
    }
  }
  std::unique_ptr<AnyEncoded> im2col(const Context& context, const Convolution& convolution,
                                     const Allocate& allocate) const override {
    if constexpr (std::is_same_v<Format, Bitmap>) {
      const ContextT& here = own(context);
      const EncodedLayout windows = im2col_layout(format_.layout, convolution);
      auto result = std::make_unique<EncodedOn>(here, Bitmap::plan(windows, {}), allocate);
      spiketune::im2col(here, format_, convolution, result->format_);
      return result;
    } else {
      throw Error(ErrorCode::unsupported,
                  "im2col takes spikes as bitmap, not as " + std::string(Format::name));
    }
  }

 private:
  /// Whether room for any spikes is little enough to be made unasked.
  static bool takes_any_spikes(const EncodedLayout& layout, const Params& params,
                               const EncodeRequest& request) {
    // Ell's capacity is the width of its rows: another one is another layout.
    if (request.capacity || request.density || std::is_same_v<Format, Ell>) return false;
    const std::uint64_t most = Format::max_capacity(layout, params);
    if (most == Format::bound(layout, params, 0.1)) return true;
    return most <= most_unasked_bytes &&
           storage_bytes(plan(layout, params, most, request)) <= most_unasked_bytes;
  }
  static Format plan(const EncodedLayout& layout, const Params& params, std::uint64_t capacity,
                     const EncodeRequest& request) {
    Format planned = Format::plan(layout, params, capacity);
    if constexpr (std::is_same_v<Format, Csr> || std::is_same_v<Format, Coo>) {
      if (request.wide_indices) planned.column_indices.type = DType::u32;
    } else {
      require(!request.wide_indices, ErrorCode::unsupported,
              "indices of 32 bits for any K are an option of csr and coo");
    }
    return planned;
  }

  /// Counts of bits that no encoder wrote.
  EncodeStatus count() const {
    if constexpr (std::is_same_v<Format, Bitmap>) {
      const DeviceGuard guard(any_context_);
      const EncodedOn counted(context_, SpikeView(words_of(format_, ContextT::space)), params_,
                              {format_.layout.row_order, std::nullopt, std::nullopt, false, false},
                              own_memory(any_context_));
      return status_of(context_, counted.format_.status);
    } else {
      return {};
    }
  }

  void encode_into(const Format& planned, const SpikeView& spikes, const Allocate& allocate) {
    format_ = planned;
    // One block for both where the workspace, which then lives as long as the encoding, is
    // little.
    const std::size_t stored = storage_bytes(format_);
    const std::size_t bytes = encode_workspace_bytes(context_, spikes, format_);
    const bool together = bytes <= stored / 16;
    storage_ = allocate(together ? stored + bytes : stored);
    bind(format_, storage_.data);
    const Block scratch = together ? Block{} : allocate(bytes);
    void* workspace = together ? static_cast<std::byte*>(storage_.data) + stored : scratch.data;
    encode(context_, spikes, format_, {static_cast<std::byte*>(workspace), bytes});
  }

  void accept(const EncodeStatus& counts) const {
    check_status(counts, format_, Format::name, input_order_);
    status_ = counts;
  }

  static const ContextT& own(const Context& context) {
    const auto* result = std::get_if<ContextT>(&context);
    if (result == nullptr) {
      throw Error(ErrorCode::invalid_argument, "the encoding is in the memory of " +
                                                   std::string(ContextT::name) +
                                                   ", and the array that it meets is not");
    }
    return *result;
  }

  Params params_;
  ContextT context_;
  Context any_context_;
  RowOrder input_order_;
  bool counted_ = true;  ///< by an encoder
  Format format_;
  Block storage_;
  mutable std::optional<EncodeStatus> status_;
  mutable std::vector<NamedArray> arrays_;
};

using Make = std::unique_ptr<AnyEncoded> (*)(const json&, const Context&, const SpikeView&,
                                             const EncodeRequest&, const Allocate&);

template <class Format>
std::unique_ptr<AnyEncoded> make(const json& params, const Context& context,
                                 const SpikeView& spikes, const EncodeRequest& request,
                                 const Allocate& allocate) {
  using Params = typename Format::Params;
  const Params chosen =
      params.is_null() ? Format::choices(layout_of(spikes, request.row_order), DType::f32).front()
                       : fields_from_json<Params>(params);
#if SPIKETUNE_HAVE_CUDA
  if (const auto* cuda = std::get_if<CudaContext>(&context)) {
    return std::make_unique<EncodedOn<Format, CudaContext>>(*cuda, spikes, chosen, request,
                                                            allocate);
  }
#endif
  return std::make_unique<EncodedOn<Format, HostContext>>(std::get<HostContext>(context), spikes,
                                                          chosen, request, allocate);
}

template <class... Formats>
std::map<std::string, Make, std::less<>> makers(FormatList<Formats...>) {
  return {{std::string(Formats::name), &make<Formats>}...};
}

const std::map<std::string, Make, std::less<>>& all_formats() {
  static const auto result = makers(BuiltinFormats{});
  return result;
}

}  // namespace

PreparedWeights quantize_any(const Context& context, const WeightView& weights, DType type) {
  const auto make = [&](const auto& here) {
    PreparedWeights result{context, quantize(here, weights, type), {}};
    const WeightView& view = result.weights.view;
    const std::size_t bytes = spmm_lif_workspace_bytes(here, view);
    if (bytes != 0) result.prepared = allocate(here, bytes);
    prepare_spmm_lif(here, view, result.prepared.workspace());
    return result;
  };
#if SPIKETUNE_HAVE_CUDA
  if (const auto* cuda = std::get_if<CudaContext>(&context)) return make(*cuda);
#endif
  return make(std::get<HostContext>(context));
}

std::vector<std::string> format_names() {
  std::vector<std::string> result;
  for (const auto& [name, make] : all_formats()) result.push_back(name);
  return result;
}

std::unique_ptr<AnyEncoded> encode_any(const std::string& format, const json& params,
                                       const Context& context, const SpikeView& spikes,
                                       const EncodeRequest& request, const Allocate& allocate) {
  const auto found = all_formats().find(format);
  if (found != all_formats().end()) {
    return found->second(params, context, spikes, request, allocate);
  }
  std::string message = "there is no format '" + format + "'; there are";
  for (const auto& [name, make] : all_formats()) message += " " + name;
  throw Error(ErrorCode::invalid_argument, message);
}

}  // namespace spiketune::bindings
