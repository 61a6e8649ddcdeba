/// cuSPARSE on blocks: Block-CSR and Blocked-ELL. Encode: this project's Block-CSR, widened to
/// blocks of values, as the library has no conversion that finds blocks. The number of blocks goes
/// to the host on the way, because the library's descriptors want it there.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <variant>

#include "spiketune/autotune/cuda/cuda_baselines.hpp"
#include "spiketune/autotune/cuda/library_blocks.hpp"
#include "spiketune/autotune/format_encoding.hpp"
#include "spiketune/encoders/bsr.hpp"
#include "spiketune/kernels/baselines/cuda/cusparse.hpp"
#include "spiketune/kernels/baselines/cuda/padded_operands.hpp"

namespace spiketune {
namespace {

using namespace baselines;
using nlohmann::json;

constexpr std::uint64_t largest_index = std::numeric_limits<std::int32_t>::max();
/// Columns of W and Y are padded to whole 16-byte pieces of 16-bit types.
constexpr std::uint64_t column_multiple = 8;

enum class BlockFormat { bsr, ell };

/// What a plugin of one block size encodes; decoding and the format's rules are those of the
/// Block-CSR that it is widened from. capacity() counts stored blocks, of Blocked-ELL with
/// fillings.
class BlockEncoding final : public FormatEncoding<Bsr, CudaContext> {
 public:
  BlockEncoding(const CudaContext& context, const Bsr& planned, BlockFormat format, DType type,
                std::uint64_t slots)
      : FormatEncoding(context, planned),
        format_(format),
        type_(type),
        slots_(slots),
        handle_(make_cusparse_handle(context)),
        columns_(allocate(context, slots * sizeof(std::int32_t))),
        values_(allocate(context, slots * block_bytes())),
        widest_(allocate(context, sizeof(std::uint32_t))) {}

  std::function<void()> bind_encode(const SpikeView& spikes) override {
    return [this, encode_blocks = FormatEncoding::bind_encode(spikes)] {
      encode_blocks();
      widen();
    };
  }

  std::function<void()> bind_spmm(std::string_view kernel, const json& config,
                                  const WeightView& weights, const OutputView& output) override;

  EncodeStatus status() override { return status_; }
  [[nodiscard]] std::uint64_t capacity() const override { return slots_; }
  [[nodiscard]] std::uint64_t bytes(std::uint64_t stored) const override {
    const std::uint64_t offsets =
        format_ == BlockFormat::bsr ? encoded_->block_row_offsets.bytes() : 0;
    return offsets + stored * (sizeof(std::int32_t) + block_bytes());
  }

  [[nodiscard]] static std::string kernel_name(BlockFormat format, int block_size) {
    return (format == BlockFormat::bsr ? "cusparse.bsr_" : "cusparse.blocked_ell_") +
           std::to_string(block_size);
  }

 private:
  struct Product;

  [[nodiscard]] std::uint64_t block_bytes() const {
    return std::uint64_t{encoded_->block_size()} * encoded_->block_size() * bits_of(type_) / 8;
  }
  /// Blocks of Block-CSR, or the width of Blocked-ELL: what a descriptor says.
  [[nodiscard]] std::uint64_t extent_of(std::uint64_t slots) const {
    if (format_ == BlockFormat::bsr) return slots;
    return slots / std::max<std::uint64_t>(1, encoded_->block_rows());
  }
  [[nodiscard]] std::uint64_t extent() const { return extent_of(status_.needed); }
  [[nodiscard]] SparseMatrix matrix(std::uint64_t size) const;
  void read_status_and_width();
  void widen();

  BlockFormat format_;
  DType type_;
  std::uint64_t slots_;
  EncodeStatus status_{0, 0, 0, EncodeStatus::none_invalid};
  CusparseHandle handle_;
  Buffer columns_;
  Buffer values_;
  Buffer widest_;
};

SparseMatrix BlockEncoding::matrix(std::uint64_t size) const {
  const std::uint32_t b = encoded_->block_size();
  const MatrixShape shape{encoded_->block_rows() * b, encoded_->block_columns() * b, type_};
  if (format_ == BlockFormat::ell) {
    return blocked_ell_matrix(shape, b, size, columns_.data(), values_.data());
  }
  return bsr_matrix(shape, b, size, encoded_->block_row_offsets.data, columns_.data(),
                    values_.data());
}

/// Waits for the counts.
void BlockEncoding::read_status_and_width() {
  std::uint32_t widest = 0;
  if (format_ == BlockFormat::ell) {
    auto* on_device = static_cast<std::uint32_t*>(widest_.data());
    cuda::find_widest_row(context_, *encoded_, on_device);
    copy(context_, &widest, on_device, sizeof widest);
  }
  status_ = read_status(context_, *encoded_);
  if (format_ == BlockFormat::ell) {
    // Where the blocks themselves overflow, their total says more than rows that are cut short.
    const std::uint64_t width_of_total =
        ceil_div(status_.needed, std::max<std::uint64_t>(1, encoded_->block_rows()));
    status_.needed = encoded_->block_rows() * std::max<std::uint64_t>(widest, width_of_total);
  }
}

void BlockEncoding::widen() {
  read_status_and_width();
  if (status_.needed > slots_) return;
  auto* columns = static_cast<std::int32_t*>(columns_.data());
  if (format_ == BlockFormat::bsr) {
    cuda::widen_block_csr(context_, *encoded_, extent(), type_, columns, values_.data());
  } else {
    cuda::widen_blocked_ell(context_, *encoded_, static_cast<std::uint32_t>(extent()), type_,
                            columns, values_.data());
  }
}

/// A bound product.
struct BlockEncoding::Product {
  PaddedOperands operands;
  CusparseSpmm spmm;
  SparseMatrix matrix;
  std::uint64_t extent;  ///< of `matrix`
};

std::function<void()> BlockEncoding::bind_spmm(std::string_view kernel, const json&,
                                               const WeightView& weights,
                                               const OutputView& output) {
  const Bsr& bsr = *encoded_;
  require_kernel(kernel, kernel_name(format_, bsr.params.block_size));
  check_spmm(bsr, weights, output, Space::device);
  check_weight_type(type_, weights);
  const auto clear = [this, output] { fill(context_, output.data, 0, output.bytes()); };
  if (bsr.layout.k() == 0 || output.bytes() == 0) return clear;
  const std::uint64_t b = bsr.block_size();
  PaddedOperands operands(context_, weights, output, bsr.block_rows() * b,
                          ceil_div(weights.n, column_multiple) * column_multiple,
                          bsr.block_columns() * b);
  ConstDenseMatrix w =
      const_dense_matrix({operands.k(), operands.n(), weights.type}, operands.weights());
  DenseMatrix y = dense_matrix({operands.m(), operands.n(), output.type}, operands.output());
  const auto algorithm =
      format_ == BlockFormat::bsr ? bsr_algorithm : CUSPARSE_SPMM_BLOCKED_ELL_ALG1;
  auto product = std::make_shared<Product>(
      Product{std::move(operands),
              CusparseSpmm(context_, handle_, algorithm, std::move(w), std::move(y)), nullptr, 0});
  // An encode to come may find more blocks than the last one.
  const std::uint64_t most = std::min(slots_, bsr.block_rows() * bsr.block_columns());
  for (const std::uint64_t size : {extent(), extent_of(most)}) {
    if (size != 0) product->spmm.reserve(matrix(size));
  }
  if (extent() != 0) {
    product->extent = extent();
    product->matrix = matrix(product->extent);
  }
  return [this, clear, product = std::move(product)] {
    if (status_.nnz == 0) {
      clear();
      return;
    }
    if (product->extent != extent()) {
      product->extent = extent();
      product->matrix = matrix(product->extent);
      product->spmm.check_room(product->matrix);
    }
    product->spmm.run(product->matrix);
    product->operands.store();
  };
}

class BlockPlugin final : public CudaBaseline {
 public:
  BlockPlugin(BlockFormat format, int block_size) : format_(format), block_size_(block_size) {}

  std::string name() const override { return format_ == BlockFormat::bsr ? "bsr" : "ell"; }
  bool synchronous() const override { return true; }
  std::string why_unavailable() const override {
    const std::string reason =
        format_ == BlockFormat::bsr ? bsr_unavailable_reason() : std::string();
    return reason.empty() ? CudaBaseline::why_unavailable() : reason;
  }

  std::vector<KernelInfo> kernels() const override {
    return {{BlockEncoding::kernel_name(format_, block_size_), {json::object()}}};
  }

  std::vector<json> params(const EncodedLayout&, DType weights) const override {
    if (!is_floating(weights)) return {};
    json result = fields_to_json(ValueType{weights});
    result["block_size"] = block_size_;
    return {result};
  }

  std::unique_ptr<AnyEncoding> plan(const Context& context, const EncodedLayout& layout,
                                    const json& params, double density,
                                    std::optional<std::uint64_t> capacity) const override;

  std::string why_invalid(std::string_view kernel, const json&, const EncodedLayout&,
                          const WeightView& weights, const OutputView&) const override {
    if (!is_floating(weights.type)) return "W must be f32, f16 or bf16";
    return kernel == BlockEncoding::kernel_name(format_, block_size_) ? "" : "no such kernel";
  }

 private:
  BlockFormat format_;
  int block_size_;
};

std::unique_ptr<AnyEncoding> BlockPlugin::plan(const Context& context, const EncodedLayout& layout,
                                               const json& params, double density,
                                               std::optional<std::uint64_t> capacity) const {
  const DType type = fields_from_json<ValueType>(params, true).type;
  check_value_type(layout, type);
  const Bsr::Params blocks{block_size_};
  std::uint64_t slots = capacity ? *capacity : Bsr::bound(layout, blocks, density);
  if (format_ == BlockFormat::ell && !capacity) {
    // Every row is as wide as the widest: what is likely for one row, times all of them.
    const EncodedLayout one_row{{1, static_cast<std::uint64_t>(block_size_), layout.k()},
                                layout.row_order,
                                layout.kind,
                                layout.value_type};
    slots = ceil_div(layout.m(), static_cast<std::uint64_t>(block_size_)) *
            Bsr::bound(one_row, blocks, density);
  }
  require(std::max({slots, layout.m(), std::uint64_t{layout.k()}}) <= largest_index,
          ErrorCode::unsupported, "cuSPARSE is used with 32-bit indices, which end at 2^31");
  return std::make_unique<BlockEncoding>(std::get<CudaContext>(context),
                                         Bsr::plan(layout, blocks, slots), format_, type, slots);
}

}  // namespace

void add_cusparse_block_baselines(Registry& registry) {
  for (const BlockFormat format : {BlockFormat::bsr, BlockFormat::ell}) {
    for (const int block_size : {16, 32}) {
      registry.add(std::make_unique<BlockPlugin>(format, block_size));
    }
  }
}

}  // namespace spiketune
