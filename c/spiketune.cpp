#include "spiketune.h"

#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "encoded.hpp"
#include "memory.hpp"
#include "spiketune/core/error.hpp"
#include "spiketune/core/version.hpp"
#include "spiketune/encoders/lif.hpp"
#include "spiketune/kernels/gradients.hpp"

using namespace spiketune;
using bindings::AnyEncoded;

struct spiketune_context {
  Context context;
};

struct spiketune_encoded {
  std::unique_ptr<AnyEncoded> encoded;
};

namespace {

thread_local std::string last_error;

spiketune_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::parse:
    case ErrorCode::io:
      return SPIKETUNE_INVALID_ARGUMENT;
    case ErrorCode::invalid_value:
      return SPIKETUNE_INVALID_VALUE;
    case ErrorCode::overflow:
      return SPIKETUNE_OVERFLOW;
    case ErrorCode::unsupported:
      return SPIKETUNE_UNSUPPORTED;
    case ErrorCode::out_of_memory:
      return SPIKETUNE_OUT_OF_MEMORY;
    case ErrorCode::cuda:
      return SPIKETUNE_CUDA;
    case ErrorCode::internal:
      break;
  }
  return SPIKETUNE_INTERNAL;
}

/// Runs a call: exceptions end here.
template <class Call>
spiketune_status guarded(Call&& call) noexcept {
  try {
    call();
    return SPIKETUNE_OK;
  } catch (const Error& error) {
    last_error = error.what();
    return status_of(error.code());
  } catch (const std::bad_alloc&) {
    last_error = "out of memory";
    return SPIKETUNE_OUT_OF_MEMORY;
  } catch (const nlohmann::json::exception& error) {
    last_error = std::string("params are not JSON: ") + error.what();
    return SPIKETUNE_INVALID_ARGUMENT;
  } catch (const std::exception& error) {
    last_error = error.what();
    return SPIKETUNE_INTERNAL;
  }
}

template <class... Pointers>
void require_all(const char* message, Pointers... pointers) {
  require(((pointers != nullptr) && ...), ErrorCode::invalid_argument, message);
}

DType type_of(spiketune_dtype type) {
  switch (type) {
    case SPIKETUNE_BIT:
      return DType::bit;
    case SPIKETUNE_U2:
      return DType::u2;
    case SPIKETUNE_U8:
      return DType::u8;
    case SPIKETUNE_U16:
      return DType::u16;
    case SPIKETUNE_U32:
      return DType::u32;
    case SPIKETUNE_F16:
      return DType::f16;
    case SPIKETUNE_BF16:
      return DType::bf16;
    case SPIKETUNE_F32:
      return DType::f32;
    case SPIKETUNE_S8:
      return DType::s8;
    case SPIKETUNE_S4:
      return DType::s4;
  }
  throw Error(ErrorCode::invalid_argument, "there is no such spiketune_dtype");
}

spiketune_dtype type_of(DType type) {
  switch (type) {
    case DType::bit:
      return SPIKETUNE_BIT;
    case DType::u8:
      return SPIKETUNE_U8;
    case DType::u16:
      return SPIKETUNE_U16;
    case DType::u32:
      return SPIKETUNE_U32;
    case DType::f16:
      return SPIKETUNE_F16;
    case DType::bf16:
      return SPIKETUNE_BF16;
    case DType::f32:
      return SPIKETUNE_F32;
    default:
      throw Error(ErrorCode::internal, "an array of a type that C has no name for");
  }
}

RowOrder order_of(spiketune_row_order order) {
  require(order == SPIKETUNE_TIME_MAJOR || order == SPIKETUNE_TOKEN_MAJOR,
          ErrorCode::invalid_argument, "there is no such spiketune_row_order");
  return order == SPIKETUNE_TIME_MAJOR ? RowOrder::time_major : RowOrder::token_major;
}

ValueKind kind_of(spiketune_kind kind) {
  switch (kind) {
    case SPIKETUNE_BINARY:
      return ValueKind::binary;
    case SPIKETUNE_GRADED2:
      return ValueKind::graded2;
    case SPIKETUNE_GRADED:
      return ValueKind::graded;
  }
  throw Error(ErrorCode::invalid_argument, "there is no such spiketune_kind");
}

Space space_of(const Context& context) {
  return std::visit([](const auto& where) { return where.space; }, context);
}

LifParams neuron_of(const spiketune_lif_params& params) {
  return {
      params.leak,
      params.gain,
      params.threshold,
      params.soft_reset != 0 ? LifParams::Reset::soft : LifParams::Reset::hard,
      params.reset_value,
      params.snntorch != 0 ? LifParams::Convention::snntorch : LifParams::Convention::spikingjelly};
}

}  // namespace

const char* spiketune_last_error(void) {
  return last_error.c_str();
}

unsigned spiketune_version(void) {
  return 10000 * SPIKETUNE_VERSION_MAJOR + 100 * SPIKETUNE_VERSION_MINOR + SPIKETUNE_VERSION_PATCH;
}

spiketune_status spiketune_context_host(int threads, spiketune_context** context) {
  return guarded([&] {
    require_all("context is NULL", context);
    require(threads >= 0, ErrorCode::invalid_argument, "threads must be 0 or more");
    *context = new spiketune_context{HostContext{threads}};
  });
}

spiketune_status spiketune_context_cuda(int device, void* stream, spiketune_context** context) {
  return guarded([&] {
    require_all("context is NULL", context);
    *context =
        new spiketune_context{bindings::cuda_context(device, static_cast<CUstream_st*>(stream))};
  });
}

void spiketune_context_free(spiketune_context* context) {
  delete context;
}

spiketune_status spiketune_encode(const spiketune_context* context, const char* format,
                                  const char* params, const spiketune_spikes* spikes,
                                  spiketune_row_order order, uint64_t capacity,
                                  spiketune_encoded** encoded) {
  return guarded([&] {
    require_all("context, format, spikes or encoded is NULL", context, format, spikes, encoded);
    const SpikeView view{spikes->data,
                         {spikes->timesteps, spikes->rows, spikes->k},
                         type_of(spikes->storage),
                         kind_of(spikes->kind),
                         order_of(spikes->row_order),
                         space_of(context->context)};
    check(view);
    bindings::EncodeRequest request;
    request.row_order = order_of(order);
    if (capacity != 0) request.capacity = capacity;
    request.wait = capacity == 0;
    const auto chosen = params == nullptr ? nlohmann::json() : nlohmann::json::parse(params);
    const bindings::DeviceGuard guard(context->context);
    *encoded = new spiketune_encoded{bindings::encode_any(
        format, chosen, context->context, view, request, bindings::own_memory(context->context))};
  });
}

void spiketune_encoded_free(spiketune_encoded* encoded) {
  delete encoded;
}

spiketune_status spiketune_encoded_counts(const spiketune_encoded* encoded,
                                          spiketune_counts* counts) {
  return guarded([&] {
    require_all("encoded or counts is NULL", encoded, counts);
    const EncodeStatus& status = encoded->encoded->status();
    *counts = {status.nnz, status.lost, encoded->encoded->bytes()};
  });
}

spiketune_status spiketune_encoded_array(const spiketune_encoded* encoded, const char* name,
                                         spiketune_array* array) {
  return guarded([&] {
    require_all("encoded, name or array is NULL", encoded, name, array);
    std::string names;
    for (const bindings::NamedArray& named : encoded->encoded->arrays()) {
      if (named.name == name) {
        *array = {named.array.data, type_of(named.array.type), named.array.size};
        return;
      }
      names += " " + named.name;
    }
    throw Error(ErrorCode::invalid_argument,
                encoded->encoded->format() + " has no array '" + name + "'; it has" + names);
  });
}

spiketune_status spiketune_decode(const spiketune_context* context,
                                  const spiketune_encoded* encoded, void* spikes,
                                  spiketune_dtype storage) {
  return guarded([&] {
    require_all("context or encoded is NULL", context, encoded);
    const EncodedLayout& layout = encoded->encoded->layout();
    const bindings::DeviceGuard guard(context->context);
    encoded->encoded->decode(context->context, {spikes, layout.shape, type_of(storage), layout.kind,
                                                RowOrder::time_major, space_of(context->context)});
  });
}

spiketune_status spiketune_spmm(const spiketune_context* context, const spiketune_encoded* encoded,
                                const void* weights, spiketune_dtype weight_type, uint32_t n,
                                void* output, spiketune_dtype output_type) {
  return guarded([&] {
    require_all("context or encoded is NULL", context, encoded);
    const EncodedLayout& layout = encoded->encoded->layout();
    const Space space = space_of(context->context);
    const WeightView w{weights, type_of(weight_type), layout.k(), n, space};
    const OutputView y{output, type_of(output_type), layout.m(), n, space};
    const bindings::DeviceGuard guard(context->context);
    encoded->encoded->spmm(context->context, w, y, false, bindings::own_memory(context->context));
  });
}

spiketune_status spiketune_weight_gradient(const spiketune_context* context,
                                           const spiketune_encoded* encoded, const void* gradient,
                                           spiketune_dtype gradient_type, uint32_t n,
                                           float* result) {
  return guarded([&] {
    require_all("context or encoded is NULL", context, encoded);
    const EncodedLayout& layout = encoded->encoded->layout();
    const Space space = space_of(context->context);
    const bindings::DeviceGuard guard(context->context);
    encoded->encoded->weight_gradient(
        context->context, {gradient, type_of(gradient_type), layout.m(), n, space},
        {result, DType::f32, layout.k(), n, space}, bindings::own_memory(context->context));
  });
}

spiketune_status spiketune_spike_gradient(const spiketune_context* context, const void* gradient,
                                          const void* weights, spiketune_dtype type, uint64_t m,
                                          uint32_t k, uint32_t n, const uint32_t* mask,
                                          const void* values, spiketune_dtype value_type,
                                          void* result, spiketune_dtype result_type) {
  return guarded([&] {
    require_all("context is NULL", context);
    const Space space = space_of(context->context);
    const GradientView dy{gradient, type_of(type), m, n, space};
    const WeightView w{weights, type_of(type), k, n, space};
    const SurrogateView surrogate{mask, values,
                                  values == nullptr ? DType::f32 : type_of(value_type), space};
    const OutputView ds{result, type_of(result_type), m, k, space};
    const bindings::DeviceGuard guard(context->context);
#if SPIKETUNE_HAVE_CUDA
    if (const auto* cuda = std::get_if<CudaContext>(&context->context)) {
      return spike_gradient(*cuda, dy, w, surrogate, ds);
    }
#endif
    spike_gradient(std::get<HostContext>(context->context), dy, w, surrogate, ds);
  });
}

spiketune_status spiketune_lif(const spiketune_context* context, const void* currents,
                               spiketune_dtype current_type, uint32_t timesteps, uint64_t rows,
                               uint32_t n, const spiketune_lif_params* params, const float* before,
                               float* after, void* spikes, spiketune_dtype storage) {
  return guarded([&] {
    require_all("context or params is NULL", context, params);
    const LifParams neuron = neuron_of(*params);
    const Space space = space_of(context->context);
    const SpikeShape shape{timesteps, rows, n};
    const CurrentView view{currents, shape, type_of(current_type), space};
    const MutableSpikeView fired{
        spikes, shape, type_of(storage), ValueKind::binary, RowOrder::time_major, space};
    const bindings::DeviceGuard guard(context->context);
#if SPIKETUNE_HAVE_CUDA
    if (const auto* cuda = std::get_if<CudaContext>(&context->context)) {
      return lif(*cuda, view, neuron, {before, after}, fired);
    }
#endif
    lif(std::get<HostContext>(context->context), view, neuron, {before, after}, fired);
  });
}

spiketune_status spiketune_spmm_lif(const spiketune_context* context,
                                    const spiketune_encoded* encoded, const void* weights,
                                    spiketune_dtype weight_type, uint32_t n, float scale,
                                    const float* scales, const float* bias,
                                    const spiketune_lif_params* params, const float* before,
                                    float* after, spiketune_row_order order,
                                    spiketune_encoded** fired) {
  return guarded([&] {
    require_all("context, encoded, params or fired is NULL", context, encoded, params, fired);
    const WeightView w{weights, type_of(weight_type), encoded->encoded->layout().k(), n,
                       space_of(context->context)};
    const bindings::DeviceGuard guard(context->context);
    *fired = new spiketune_encoded{encoded->encoded->spmm_lif(
        context->context, w, {scales, scale, bias}, neuron_of(*params), {before, after},
        order_of(order), bindings::own_memory(context->context))};
  });
}
