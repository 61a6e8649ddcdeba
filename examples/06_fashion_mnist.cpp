// A whole network: spikes → encoded → product → LIF → encoded, with no dense spikes between layers.
//
//   06_fashion_mnist [IMAGES [FOLDER]]
//
// The network of datasets/fashion_mnist_snn on the first IMAGES (default 500) test images of
// Fashion-MNIST, of which FOLDER has the idx .gz files (where Debian's dataset-fashion-mnist puts
// them). Fused: windows of bits, then product and neurons in one step, on the GPU where there is
// one. By way of each format, on the host: windows encoded, product, neurons into bits; `dense` is
// the dense network. All must classify alike. Without the images: the 64 that are recorded with the
// network, from their spikes on.

#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <spiketune/autotune/builtin_formats.hpp>
#include <spiketune/core/error.hpp>
#include <spiketune/core/half.hpp>
#include <spiketune/datasets/load.hpp>
#include <spiketune/datasets/npz.hpp>
#include <spiketune/encoders/im2col.hpp>
#include <spiketune/encoders/lif.hpp>
#include <spiketune/kernels/spmm_lif.hpp>
#include <string>
#include <vector>
#if SPIKETUNE_HAVE_CUDA
#include <spiketune/core/cuda/stream.hpp>
#endif

namespace {

using namespace spiketune;
using Seconds = std::chrono::duration<double>;

constexpr std::uint32_t steps = 4;
constexpr std::uint32_t classes = 10;
/// SpikingJelly's neuron whose membrane halves and whose input does not decay.
const LifParams neuron = spikingjelly_lif(/*tau=*/2.0f, /*decay_input=*/false);

/// W [K, N] as products of windows read it, channels last.
struct Layer {
  std::string name;
  std::optional<Convolution> convolution;
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  std::vector<Half> weights;
  std::vector<float> bias;
};

/// Rows of [T, images · positions, channels] of a convolution are the rows of [T, images, K] of
/// what follows, if K is in the order (position, channel): so rows of W are reordered, not spikes.
Layer make_layer(const NpzFile& file, const std::string& prefix, std::uint32_t side) {
  const NpyArray weight = file.read(prefix + "weight");
  const NpyArray bias = file.read(prefix + "bias");
  const auto outputs = static_cast<std::uint32_t>(weight.shape[0]);
  // Tensor cores want a multiple of 8: the last layer gets outputs without weights.
  const std::uint32_t n = (outputs + 7) / 8 * 8;
  Layer layer{prefix, {}, static_cast<std::uint32_t>(weight.size() / outputs), n, {}, {}};
  std::uint32_t taps = side * side;
  if (weight.shape.size() == 4) {
    const auto kernel = static_cast<std::uint32_t>(weight.shape[2]);
    taps = kernel * kernel;
    layer.convolution = {side,
                         side,
                         kernel,
                         kernel,
                         static_cast<std::uint32_t>(read_sizes(file, prefix + "stride")[0]),
                         static_cast<std::uint32_t>(read_sizes(file, prefix + "padding")[0])};
  }
  const std::uint32_t channels = layer.k / taps;
  layer.weights.resize(std::uint64_t{layer.k} * n);
  for (std::uint32_t out = 0; out < outputs; ++out) {
    for (std::uint32_t c = 0; c < channels; ++c) {
      for (std::uint32_t tap = 0; tap < taps; ++tap) {
        layer.weights[(std::uint64_t{tap} * channels + c) * n + out] =
            weight.as<Half>()[(std::uint64_t{out} * channels + c) * taps + tap];
      }
    }
  }
  layer.bias.assign(bias.as<float>(), bias.as<float>() + outputs);
  layer.bias.resize(n);
  return layer;
}

struct Images {
  std::vector<std::uint8_t> pixels;  ///< [images, 28, 28]; empty: recorded spikes
  std::vector<std::uint8_t> labels;
  std::uint32_t count = 0;
};

std::vector<std::uint8_t> read_idx(const std::string& path, std::size_t header, std::size_t bytes) {
  std::vector<std::uint8_t> content(header + bytes);
  const gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return {};
  const int got = gzread(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
  if (got != static_cast<int>(content.size())) return {};
  content.erase(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(header));
  return content;
}

// --- a context's copy of the network, and what it does ------------------------------------------

template <class ContextT>
Buffer upload(const ContextT& context, const void* data, std::size_t bytes) {
  Buffer buffer = allocate(context, bytes);
  copy(context, buffer.data(), data, bytes);
  synchronize(context);
  return buffer;
}

template <class ContextT>
struct Placed {
  const Layer* layer;
  Buffer weights;  ///< f16; on the host f32, which its products read faster
  Buffer bias;

  Placed(const ContextT& context, const Layer& source) : layer(&source) {
    std::vector<float> wide(source.weights.size());
    std::transform(source.weights.begin(), source.weights.end(), wide.begin(),
                   [](Half x) { return to_float(x); });
    weights = ContextT::space == Space::host
                  ? upload(context, wide.data(), wide.size() * sizeof(float))
                  : upload(context, source.weights.data(), source.weights.size() * sizeof(Half));
    bias = upload(context, source.bias.data(), source.bias.size() * sizeof(float));
  }
  [[nodiscard]] WeightView view() const {
    return {weights.data(), ContextT::space == Space::host ? DType::f32 : DType::f16, layer->k,
            layer->n, ContextT::space};
  }
};

/// Time and bytes that a layer needed besides W, at the most of all batches.
struct Cost {
  double seconds = 0;
  std::uint64_t bytes = 0;
};
using Costs = std::map<std::string, Cost>;

/// The windows of a convolution, or the spikes themselves, seen as rows of all positions.
template <class ContextT>
Encoded<Bitmap> windows_of(const ContextT& context, const Bitmap& spikes, const Layer& layer) {
  if (layer.convolution) {
    Encoded<Bitmap> windows(context,
                            Bitmap::plan(im2col_layout(spikes.layout, *layer.convolution), {}));
    im2col(context, spikes, *layer.convolution, *windows);
    return windows;
  }
  const std::uint64_t rows = spikes.layout.shape.rows * spikes.layout.shape.k / layer.k;
  Encoded<Bitmap> windows(context, Bitmap::plan({{steps, rows, layer.k}}, {}));
  copy(context, windows->words.data, spikes.words.data, windows->words.size * 4);
  return windows;
}

/// With the first of the format's kernels that takes these operands.
template <class ContextT, class Format, class... Configs>
void multiply(const ContextT& context, const Format& spikes, const WeightView& weights,
              const OutputView& output, KernelList<Configs...>) {
  const auto attempt = [&](const auto& config) {
    if constexpr (requires { config.why_invalid(spikes.layout, weights, output); }) {
      if (!config.why_invalid(spikes.layout, weights, output).empty()) return false;
    }
    const Buffer scratch =
        allocate(context, spmm_workspace_bytes(context, spikes, weights, output, config));
    spmm(context, spikes, weights, output, config, scratch.workspace());
    synchronize(context);  // before the scratch goes
    return true;
  };
  if (!(attempt(Configs{}) || ...))
    std::printf("no kernel of %s takes this\n", Format::name.data());
}

/// Currents [T · rows, N] of spikes in a format, in host memory, with the bias.
template <class ContextT, class Format>
std::vector<float> currents_of(const ContextT& context, const Format& spikes,
                               const Placed<ContextT>& placed) {
  const std::uint64_t m = spikes.layout.m();
  const std::uint32_t n = placed.layer->n;
  std::vector<float> result(m * n);
  const Buffer y = allocate(context, result.size() * sizeof(float));
  multiply(context, spikes, placed.view(), {y.data(), DType::f32, m, n, ContextT::space},
           typename SpmmKernels<ContextT, Format>::list{});
  copy(context, result.data(), y.data(), y.bytes());
  synchronize(context);
  for (std::uint64_t i = 0; i < result.size(); ++i) result[i] += placed.layer->bias[i % n];
  return result;
}

/// Neurons into the bits of the next layer.
Encoded<Bitmap> fire(const HostContext& context, const std::vector<float>& currents,
                     std::uint32_t n) {
  const SpikeShape shape{steps, currents.size() / n / steps, n};
  Encoded<Bitmap> fired(context, Bitmap::plan({shape}, {}));
  lif(context, {currents.data(), shape}, neuron, {}, words_of(*fired, Space::host));
  return fired;
}

/// Windows, product and neurons in one step.
struct Fused {
  static constexpr const char* name = "fused";
  template <class ContextT>
  static Encoded<Bitmap> run(const ContextT& context, const Bitmap& spikes,
                             const Placed<ContextT>& placed, Cost& cost) {
    const Encoded<Bitmap> windows = windows_of(context, spikes, *placed.layer);
    const SpikeShape shape{steps, windows->layout.shape.rows, placed.layer->n};
    Encoded<Bitmap> fired(context, Bitmap::plan({shape}, {}));
    LifInput input;
    input.bias = static_cast<const float*>(placed.bias.data());
    spmm_lif(context, *windows, placed.view(), input, neuron, {},
             words_of(*fired, ContextT::space));
    synchronize(context);  // before the windows go
    cost.bytes = std::max(cost.bytes, windows.buffer().bytes() + fired.buffer().bytes());
    return fired;
  }
};

/// By way of a format.
template <class Format>
struct By {
  static constexpr const char* name = Format::name.data();
  static Encoded<Bitmap> run(const HostContext& context, const Bitmap& spikes,
                             const Placed<HostContext>& placed, Cost& cost) {
    const Encoded<Bitmap> windows = windows_of(context, spikes, *placed.layer);
    const SpikeView bits = words_of(*windows, Space::host);
    const EncodedLayout layout = layout_of(bits, RowOrder::time_major);
    const Encoded<Format> encoded =
        encode_to_fit<Format>(context, bits, Format::choices(layout, DType::f32).front());
    const std::vector<float> currents = currents_of(context, *encoded, placed);
    Encoded<Bitmap> fired = fire(context, currents, placed.layer->n);
    cost.bytes = std::max(cost.bytes, windows.buffer().bytes() + encoded.buffer().bytes() +
                                          currents.size() * 4 + fired.buffer().bytes());
    return fired;
  }
};

/// Spikes of the first layer, whose currents are those of the images at every step.
Encoded<Bitmap> first_spikes(const HostContext& context, const Layer& layer,
                             const std::uint8_t* pixels, std::uint32_t images) {
  const Convolution& c = *layer.convolution;
  const std::uint32_t positions = c.out_height() * c.out_width();
  const std::uint64_t size = std::uint64_t{images} * positions * layer.n;
  std::vector<float> currents(steps * size);
  for (std::uint64_t row = 0; row < std::uint64_t{images} * positions; ++row) {
    float* out = currents.data() + row * layer.n;
    std::copy(layer.bias.begin(), layer.bias.end(), out);
    const std::uint8_t* image = pixels + row / positions * c.height * c.width;
    for (std::uint32_t k = 0; k < layer.k; ++k) {
      const auto y = static_cast<std::uint32_t>(row % positions / c.out_width() * c.stride) +
                     k / c.kernel_w - c.padding;
      const auto x =
          static_cast<std::uint32_t>(row % c.out_width() * c.stride) + k % c.kernel_w - c.padding;
      if (y >= c.height || x >= c.width || image[y * c.width + x] == 0) continue;
      const float pixel = static_cast<float>(image[y * c.width + x]) / 256;
      const Half* w = layer.weights.data() + std::uint64_t{k} * layer.n;
      for (std::uint32_t n = 0; n < layer.n; ++n) out[n] += pixel * to_float(w[n]);
    }
  }
  for (std::uint32_t t = 1; t < steps; ++t) {
    std::copy_n(currents.begin(), size, currents.begin() + static_cast<std::ptrdiff_t>(t * size));
  }
  return fire(context, currents, layer.n);
}

/// The recorded spikes of conv2, [T, images, C, H, W], channels last.
Encoded<Bitmap> recorded_spikes(const HostContext& context, const std::string& path) {
  const LayerTrace trace = load_layer(path);
  const auto& shape = trace.recorded_shape;
  LoadOptions channels_last;
  channels_last.window = Window{};
  const SpikeTensor spikes = load_spikes(path, channels_last);
  if (spikes.view().shape.k != shape[2]) std::printf("%s is no recorded layer\n", path.c_str());
  return encode_to_fit<Bitmap>(context, spikes.view());
}

/// The mean over the steps of the last layer, of n outputs, decides.
std::vector<std::uint8_t> classes_of(const std::vector<float>& logits, std::uint32_t n) {
  const std::uint64_t images = logits.size() / n / steps;
  std::vector<std::uint8_t> result(images);
  for (std::uint64_t i = 0; i < images; ++i) {
    float sums[classes] = {};
    for (std::uint32_t t = 0; t < steps; ++t) {
      for (std::uint32_t c = 0; c < classes; ++c) sums[c] += logits[(t * images + i) * n + c];
    }
    result[i] = static_cast<std::uint8_t>(std::max_element(sums, sums + classes) - sums);
  }
  return result;
}

struct Network {
  std::string folder;
  std::vector<Layer> layers;  ///< conv1 to fc2

  explicit Network(const std::string& where) : folder(where) {
    const NpzFile first(where + "/network.npz");
    layers.push_back(make_layer(first, "conv1_", 28));
    std::uint32_t side = 14;
    for (const char* name : {"conv2", "conv3", "conv4", "fc1", "fc2"}) {
      const bool flat = std::string(name) == "fc2";
      Layer layer = make_layer(NpzFile(where + "/" + name + ".npz"), "", flat ? 1 : side);
      layer.name = name;
      if (layer.convolution) side = layer.convolution->out_height();
      layers.push_back(std::move(layer));
    }
  }

  template <class Method, class ContextT>
  std::vector<std::uint8_t> classify(const ContextT& context, const Images& images,
                                     Costs& costs) const {
    std::vector<Placed<ContextT>> placed;
    for (const Layer& layer : layers) placed.emplace_back(context, layer);
    std::vector<std::uint8_t> result;
    constexpr std::uint32_t batch = 250;
    for (std::uint32_t first = 0; first < images.count; first += batch) {
      const std::uint32_t count = std::min(batch, images.count - first);
      const Encoded<Bitmap> made =
          images.pixels.empty()
              ? recorded_spikes({}, folder + "/conv2.npz")
              : first_spikes({}, layers[0], images.pixels.data() + first * 784, count);
      Encoded<Bitmap> spikes(context, *made);
      copy(context, spikes->words.data, made->words.data, made->words.size * 4);
      synchronize(context);
      std::vector<float> logits;
      for (std::size_t i = 1; i < layers.size(); ++i) {
        Cost& cost = costs[layers[i].name];
        const auto start = std::chrono::steady_clock::now();
        if (i + 1 < layers.size()) {
          spikes = Method::run(context, *spikes, placed[i], cost);
        } else {
          logits = currents_of(context, *windows_of(context, *spikes, layers[i]), placed[i]);
        }
        cost.seconds += Seconds(std::chrono::steady_clock::now() - start).count();
      }
      const std::vector<std::uint8_t> found = classes_of(logits, layers.back().n);
      result.insert(result.end(), found.begin(), found.end());
      if (images.pixels.empty()) break;
    }
    return result;
  }
};

// --- the run ------------------------------------------------------------------------------------

class Run {
 public:
  Run(const Network& network, const Images& images) : network_(network), images_(images) {}

  template <class Method, class ContextT>
  void add(const ContextT& context, const std::string& name) {
    Costs costs;
    const std::vector<std::uint8_t> found =
        network_.template classify<Method>(context, images_, costs);
    if (expected_.empty()) expected_ = found;
    std::uint32_t right = 0, different = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      right += found[i] == images_.labels[i];
      different += found[i] != expected_[i];
    }
    same_ = same_ && different == 0;
    std::printf("%-12s accuracy %.2f %%, %u classes differ\n", name.c_str(),
                100.0 * right / static_cast<double>(found.size()), different);
    if (name == "fused" || name == "fused, cuda" || name == "csr" || name == "dense") {
      table_.emplace_back(name, costs);
    }
  }
  template <class... Formats>
  void add_formats(const HostContext& context, FormatList<Formats...>) {
    (add<By<Formats>>(context, std::string(Formats::name)), ...);
  }

  void print_table() const {
    std::printf("\n%-8s", "layer");
    for (const auto& [name, costs] : table_) std::printf("%16s, ms      MB", name.c_str());
    std::printf("\n");
    for (std::size_t i = 1; i < network_.layers.size(); ++i) {
      std::printf("%-8s", network_.layers[i].name.c_str());
      for (const auto& [name, costs] : table_) {
        const Cost& cost = costs.at(network_.layers[i].name);
        std::printf("%20.2f%8.2f", 1e3 * cost.seconds, static_cast<double>(cost.bytes) / 1e6);
      }
      std::printf("\n");
    }
  }
  [[nodiscard]] bool same() const { return same_; }
  [[nodiscard]] const std::vector<std::uint8_t>& classes() const { return expected_; }

 private:
  const Network& network_;
  const Images& images_;
  std::vector<std::uint8_t> expected_;
  std::vector<std::pair<std::string, Costs>> table_;
  bool same_ = true;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = FASHION_MNIST_SNN;
  if (!std::filesystem::exists(folder + "/network.npz")) {
    std::printf("skipped: %s has no network.npz\n", folder.c_str());
    return 0;
  }
  const Network network(folder);
  const NpyArray predictions = NpzFile(folder + "/network.npz").read("predictions");
  const std::string data = argc > 2 ? argv[2] : "/usr/share/datasets/fashion-mnist";
  Images images;
  images.count = argc > 1 ? static_cast<std::uint32_t>(std::stoul(argv[1])) : 500;
  images.pixels =
      read_idx(data + "/t10k-images-idx3-ubyte.gz", 16, std::size_t{images.count} * 784);
  images.labels = read_idx(data + "/t10k-labels-idx1-ubyte.gz", 8, images.count);
  if (images.pixels.empty() || images.labels.empty()) {
    std::printf("no %u images in %s: those recorded with the network\n", images.count,
                data.c_str());
    const NpyArray labels = NpzFile(folder + "/network.npz").read("labels");
    images = {{}, {}, static_cast<std::uint32_t>(labels.size())};
    images.labels.assign(labels.as<std::uint8_t>(), labels.as<std::uint8_t>() + labels.size());
  }

  Run run(network, images);
  run.add<Fused>(HostContext{}, "fused");
#if SPIKETUNE_HAVE_CUDA
  if (const std::string reason = cuda_unavailable_reason(); reason.empty()) {
    const CudaStream stream;
    run.add<Fused>(stream.context(), "fused, cuda");
  } else {
    std::printf("fused, cuda  skipped: %s\n", reason.c_str());
  }
#endif
  run.add_formats(HostContext{}, BuiltinFormats{});
  run.print_table();
  const std::size_t recorded = std::min<std::size_t>(predictions.size(), run.classes().size());
  const bool as_recorded = std::equal(run.classes().begin(),
                                      run.classes().begin() + static_cast<std::ptrdiff_t>(recorded),
                                      predictions.as<std::uint8_t>());
  std::printf("%s\n", as_recorded ? "the recorded classes too" : "NOT the recorded classes");
  return run.same() && as_recorded ? 0 : 1;
}
