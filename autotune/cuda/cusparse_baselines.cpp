/// cuSPARSE on CSR and COO. Encode: cusparseDenseToSparse (analysis, which returns the count to the
/// host, then convert) from a dense matrix of W's type. Where the spikes arrive as such a matrix
/// they are used in place; otherwise this project's cast to it comes first and counts as encode.

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <variant>

#include "spiketune/autotune/cuda/cuda_baselines.hpp"
#include "spiketune/encoders/dense.hpp"
#include "spiketune/encoders/pack.hpp"
#include "spiketune/kernels/baselines/cuda/cusparse.hpp"

namespace spiketune {
namespace {

using namespace baselines;
using nlohmann::json;

constexpr std::uint64_t largest_index = std::numeric_limits<std::int32_t>::max();

struct Algorithm {
  std::string_view kernel;
  cusparseSpMMAlg_t algorithm;
  bool preprocesses;  ///< cusparseSpMM_preprocess makes it faster
  bool adds_to_y;     ///< part by part, rounding each to Y's type
};

/// All that take a row-major W, from the library's documentation. What adds_to_y says of CSR was
/// seen on an H200: errors of 0.1 to 0.5 with Y in f16 where the others are a rounding off.
constexpr Algorithm csr_algorithms[] = {{"cusparse.csr_alg1", CUSPARSE_SPMM_CSR_ALG1, true, true},
                                        {"cusparse.csr_alg2", CUSPARSE_SPMM_CSR_ALG2, false, true},
                                        {"cusparse.csr_alg3", CUSPARSE_SPMM_CSR_ALG3, true, false}};
constexpr Algorithm coo_algorithms[] = {{"cusparse.coo_alg1", CUSPARSE_SPMM_COO_ALG1, false, true},
                                        {"cusparse.coo_alg2", CUSPARSE_SPMM_COO_ALG2, false, false},
                                        {"cusparse.coo_alg3", CUSPARSE_SPMM_COO_ALG3, false, true},
                                        {"cusparse.coo_alg4", CUSPARSE_SPMM_COO_ALG4, false, true}};

struct SparseFormat {
  std::string_view name;
  std::span<const Algorithm> algorithms;
  bool compressed;  ///< row offsets instead of row indices
};

constexpr SparseFormat csr{"csr", csr_algorithms, true};
constexpr SparseFormat coo{"coo", coo_algorithms, false};

const Algorithm* find_algorithm(const SparseFormat& format, std::string_view kernel) {
  const auto found = std::find_if(format.algorithms.begin(), format.algorithms.end(),
                                  [&](const Algorithm& one) { return one.kernel == kernel; });
  return found == format.algorithms.end() ? nullptr : &*found;
}

/// Preprocessing is done when the product is bound, so neither encode nor compute counts it: more
/// than fair where the spikes change with every call. The other choice goes without it.
struct Preprocess {
  bool preprocess = true;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("preprocess", self.preprocess);
  }
};

/// The spikes as entries on the host.
struct HostEntries {
  std::vector<std::int32_t> rows;  ///< of each entry, or offsets where the format is compressed
  std::vector<std::int32_t> columns;
  Buffer memory;
  AnyArray values;
};

class CusparseEncoding final : public AnyEncoding {
 public:
  CusparseEncoding(const CudaContext& context, const SparseFormat& format,
                   const EncodedLayout& layout, DType type, std::uint64_t capacity)
      : context_(context), format_(format), type_(type), handle_(make_cusparse_handle(context)) {
    base_.layout = layout;
    base_.capacity = capacity;
    base_.status = &status_;
    const std::uint64_t rows = format.compressed ? layout.m() + 1 : capacity;
    rows_ = allocate(context, rows * sizeof(std::int32_t));
    columns_ = allocate(context, capacity * sizeof(std::int32_t));
    values_ = allocate(context, capacity * bits_of(type) / 8);
  }

  std::function<void()> bind_encode(const SpikeView& spikes) override;
  std::function<void()> bind_spmm(std::string_view kernel, const json& config,
                                  const WeightView& weights, const OutputView& output) override;

  void post_status(EncodeStatus* to) override { *to = status_; }
  EncodeStatus status() override { return status_; }
  void decode(const MutableSpikeView& spikes) override;
  void validate() override;

  std::uint64_t capacity() const override { return base_.capacity; }
  std::uint64_t bytes(std::uint64_t stored) const override {
    const std::uint64_t entry = sizeof(std::int32_t) + bits_of(type_) / 8;
    const std::uint64_t rows = format_.compressed ? base_.layout.m() + 1 : stored;
    return rows * sizeof(std::int32_t) + stored * entry;
  }

 private:
  struct Conversion;
  struct Product;

  [[nodiscard]] SparseMatrix matrix(std::uint64_t nnz) const {
    const MatrixShape shape{base_.layout.m(), base_.layout.k(), type_};
    const auto make = format_.compressed ? csr_matrix : coo_matrix;
    return make(shape, nnz, rows_.data(), columns_.data(), values_.data());
  }
  void convert(const Conversion& conversion);
  [[nodiscard]] HostEntries copy_entries() const;

  CudaContext context_;
  const SparseFormat& format_;
  DType type_;
  FormatBase base_;
  /// Of the last encode; the library returns the count to the host.
  EncodeStatus status_{0, 0, 0, EncodeStatus::none_invalid};
  CusparseHandle handle_;
  Buffer rows_;
  Buffer columns_;
  Buffer values_;
};

/// A bound encode.
struct CusparseEncoding::Conversion {
  SpikeView spikes;
  Encoded<Dense> cast;  ///< used unless the spikes are such a matrix already
  Buffer cast_workspace;
  ConstDenseMatrix dense;
  SparseMatrix sparse;
  std::optional<DenseToSparse> to_sparse;
};

std::function<void()> CusparseEncoding::bind_encode(const SpikeView& spikes) {
  check_encode(spikes, base_, Space::device);
  const EncodedLayout& layout = base_.layout;
  if (layout.shape.elements() == 0) {
    return [this] { status_ = {0, 0, 0, EncodeStatus::none_invalid}; };
  }
  auto conversion = std::make_shared<Conversion>();
  conversion->spikes = spikes;
  const void* dense = spikes.data;
  if (spikes.storage != type_ || spikes.row_order != layout.row_order) {
    conversion->cast = Encoded<Dense>(context_, Dense::plan(layout, {type_}));
    conversion->cast_workspace =
        allocate(context_, encode_workspace_bytes(context_, spikes, *conversion->cast));
    dense = conversion->cast->values.data;
  }
  conversion->dense = const_dense_matrix({layout.m(), layout.k(), type_}, dense);
  conversion->sparse = matrix(0);
  conversion->to_sparse.emplace(context_, handle_, conversion->dense, conversion->sparse);
  return [this, conversion = std::move(conversion)] { convert(*conversion); };
}

void CusparseEncoding::convert(const Conversion& conversion) {
  if (conversion.cast->status != nullptr) {
    encode(context_, conversion.spikes, *conversion.cast, conversion.cast_workspace.workspace());
  }
  const std::uint64_t nnz = conversion.to_sparse->analyse();
  status_ = {nnz, nnz, 0, EncodeStatus::none_invalid};
  if (nnz != 0 && nnz <= base_.capacity) conversion.to_sparse->convert();
}

/// A bound product.
struct CusparseEncoding::Product {
  CusparseSpmm spmm;
  SparseMatrix matrix;  ///< its own, as preprocessing leaves marks on it
  std::uint64_t nnz;    ///< of `matrix`
};

std::function<void()> CusparseEncoding::bind_spmm(std::string_view kernel, const json& config,
                                                  const WeightView& weights,
                                                  const OutputView& output) {
  const Algorithm* algorithm = find_algorithm(format_, kernel);
  if (algorithm == nullptr) {
    throw Error(
        ErrorCode::invalid_argument,
        std::string(format_.name) + " of cuSPARSE has no kernel '" + std::string(kernel) + "'");
  }
  check_spmm(base_, weights, output, Space::device);
  check_weight_type(type_, weights);
  if (base_.layout.k() == 0 || output.bytes() == 0) {
    return [this, output] { fill(context_, output.data, 0, output.bytes()); };
  }
  auto product = std::make_shared<Product>(
      Product{CusparseSpmm(context_, handle_, algorithm->algorithm,
                           const_dense_matrix({weights.k, weights.n, weights.type}, weights.data),
                           dense_matrix({output.m, output.n, output.type}, output.data)),
              matrix(status_.nnz), status_.nnz});
  // An encode to come may find more spikes than the last one.
  for (const std::uint64_t nnz : {status_.nnz, base_.capacity}) {
    if (nnz != 0) product->spmm.reserve(matrix(nnz));
  }
  const bool preprocess =
      algorithm->preprocesses && fields_from_json<Preprocess>(config, true).preprocess;
  if (preprocess && product->nnz != 0) product->spmm.preprocess(product->matrix);
  return [this, output, product = std::move(product)] {
    if (status_.nnz == 0) {
      fill(context_, output.data, 0, output.bytes());
      return;
    }
    if (product->nnz != status_.nnz) {  // other spikes: nothing prepared for the last ones holds
      product->matrix = matrix(status_.nnz);
      product->nnz = status_.nnz;
      product->spmm.check_room(product->matrix);
    }
    product->spmm.run(product->matrix);
  };
}

HostEntries CusparseEncoding::copy_entries() const {
  const std::uint64_t nnz = status_.nnz;
  HostEntries entries;
  entries.rows.resize(format_.compressed ? base_.layout.m() + 1 : nnz);
  entries.columns.resize(nnz);
  entries.memory = allocate(HostContext{}, nnz * bits_of(type_) / 8);
  entries.values = {entries.memory.data(), type_, nnz};
  if (nnz == 0) return entries;  // nothing was written
  copy(context_, entries.rows.data(), rows_.data(), entries.rows.size() * sizeof(std::int32_t));
  copy(context_, entries.columns.data(), columns_.data(), nnz * sizeof(std::int32_t));
  copy(context_, entries.memory.data(), values_.data(), entries.values.bytes());
  synchronize(context_);
  return entries;
}

/// The row of entry i, given that of the one before.
std::uint64_t row_of(const SparseFormat& format, const HostEntries& entries, std::uint64_t i,
                     std::uint64_t row) {
  if (!format.compressed) return static_cast<std::uint64_t>(entries.rows[i]);
  while (static_cast<std::uint64_t>(entries.rows[row + 1]) <= i) ++row;
  return row;
}

/// On the host: only verification needs it.
void CusparseEncoding::decode(const MutableSpikeView& spikes) {
  check_decode(base_, spikes, Space::device);
  const HostEntries entries = copy_entries();
  SpikeTensor host(HostContext{}, spikes.shape, spikes.storage, spikes.kind, spikes.row_order);
  const MutableSpikeView& to = host.mutable_view();
  fill(HostContext{}, to.data, 0, to.bytes());
  const RowMap to_target{spikes.shape.timesteps, spikes.shape.rows, spikes.row_order,
                         base_.layout.row_order};
  std::uint64_t row = 0;
  for (std::uint64_t i = 0; i < status_.nnz; ++i) {
    row = row_of(format_, entries, i, row);
    store_spike(to.data, to.storage, to.shape.k, to_target.source(row),
                static_cast<std::uint32_t>(entries.columns[i]), load_value(entries.values, i));
  }
  copy(context_, spikes.data, to.data, to.bytes());
  synchronize(context_);
}

/// Rows ascend and no column occurs twice in one; the library does not promise sorted columns.
void CusparseEncoding::validate() {
  const HostEntries entries = copy_entries();
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) spiketune::detail::invalid_format(format_.name, what);
  };
  if (status_.nnz == 0) return;
  expect(std::is_sorted(entries.rows.begin(), entries.rows.end()), "rows do not ascend");
  if (format_.compressed) {
    expect(entries.rows.front() == 0, "the first row does not begin at 0");
    expect(static_cast<std::uint64_t>(entries.rows.back()) == status_.nnz,
           "the last row does not end at nnz");
  } else {
    expect(entries.rows.front() >= 0 &&
               static_cast<std::uint64_t>(entries.rows.back()) < base_.layout.m(),
           "a row index is out of range");
  }
  std::vector<std::uint64_t> last_row(base_.layout.k(), std::numeric_limits<std::uint64_t>::max());
  std::uint64_t row = 0;
  for (std::uint64_t i = 0; i < status_.nnz; ++i) {
    row = row_of(format_, entries, i, row);
    const auto column = static_cast<std::uint32_t>(entries.columns[i]);
    expect(column < base_.layout.k(), "a column index is out of range");
    expect(last_row[column] != row, "a column occurs twice in a row");
    last_row[column] = row;
  }
}

class CusparsePlugin final : public CudaBaseline {
 public:
  explicit CusparsePlugin(const SparseFormat& format) : format_(format) {}

  std::string name() const override { return std::string(format_.name); }
  bool synchronous() const override { return true; }

  std::vector<KernelInfo> kernels() const override {
    std::vector<KernelInfo> result;
    for (const Algorithm& algorithm : format_.algorithms) {
      std::vector<json> configs{json::object()};
      if (algorithm.preprocesses) {
        configs = {fields_to_json(Preprocess{true}), fields_to_json(Preprocess{false})};
      }
      result.push_back({std::string(algorithm.kernel), std::move(configs)});
    }
    return result;
  }

  std::vector<json> params(const EncodedLayout&, DType weights) const override {
    if (!is_floating(weights)) return {};
    return {fields_to_json(ValueType{weights})};
  }

  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json& params, double density,
                                    std::optional<std::uint64_t> capacity) const override {
    const DType type = fields_from_json<ValueType>(params, true).type;
    check_value_type(layout, type);
    const std::uint64_t room =
        capacity ? *capacity : likely_entries(layout.shape.elements(), density);
    require(std::max({room, layout.m(), std::uint64_t{layout.k()}}) <= largest_index,
            ErrorCode::unsupported, "cuSPARSE is used with 32-bit indices, which end at 2^31");
    return std::make_unique<CusparseEncoding>(std::get<CudaContext>(context), format_, layout, type,
                                              room);
  }

  std::string why_invalid(std::string_view kernel, const json&, const EncodedLayout&,
                          const WeightView& weights, const OutputView& output) const override {
    if (!is_floating(weights.type)) return "W must be f32, f16 or bf16";
    const Algorithm* algorithm = find_algorithm(format_, kernel);
    if (algorithm == nullptr) return "no such kernel";
    if (!algorithm->adds_to_y || output.type == DType::f32) return "";
    return "it adds up parts of a row in Y, each rounded to Y's type; Y must be f32";
  }

 private:
  const SparseFormat& format_;
};

}  // namespace

void add_cusparse_baselines(Registry& registry) {
  registry.add(std::make_unique<CusparsePlugin>(csr));
  registry.add(std::make_unique<CusparsePlugin>(coo));
}

}  // namespace spiketune
