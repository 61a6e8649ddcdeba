#include "spiketune/autotune/plan_work.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "spiketune/autotune/report_json.hpp"
#include "spiketune/kernels/expand.hpp"
#include "spiketune/kernels/expand_imma.hpp"

namespace spiketune {
namespace {

using nlohmann::json;

constexpr double mega = 1e-6;
constexpr double kilo = 1e-3;
/// Bytes of shared memory of a block.
constexpr double shared_bytes = 226 << 10;

/// A product's shape, and the device's multiprocessors (1 where they are not known: all tiles after
/// one another).
struct Product {
  double m, k, n, density, units;
  double w_share;  ///< bits of an element of W, of 16
  double y_share;

  [[nodiscard]] double elements() const { return mega * m * k; }
  [[nodiscard]] double nonzeros() const { return elements() * density; }
  /// Share of the columns of S in which one of `rows` independent rows has a spike.
  [[nodiscard]] double used(double rows) const { return 1 - std::pow(1 - density, rows); }
};

Product product_of(const Problem& problem, double units) {
  return {std::max<double>(static_cast<double>(problem.m()), 1),
          static_cast<double>(std::max(problem.k, 1u)),
          static_cast<double>(std::max(problem.n, 1u)),
          problem.density,
          std::max(units, 1.0),
          bits_of(problem.weights) / 16.0,
          bits_of(problem.output) / 16.0};
}

double option(const json& config, const char* name, double otherwise) {
  return report_json::number(config, name).value_or(otherwise);
}

/// How Y is cut into tiles. `slowness`: of a product in such tiles, by experience.
struct Tiles {
  double rows, columns, slowness;
  double parts = 1;  ///< of K, each on a multiprocessor of its own
};

/// Turns of the busiest multiprocessor.
double turns_of(const Product& product, const Tiles& tiles) {
  return std::ceil(std::ceil(product.m / tiles.rows) * std::ceil(product.n / tiles.columns) *
                   tiles.parts / product.units);
}

/// What the busiest multiprocessor has to do, times their number.
struct Cut {
  double products = 0;  ///< M·K·N of its tiles
  double operands = 0;  ///< elements of S and W that it reads for them
  double steps = 0;     ///< rows of W that it goes through, one after another
  double outputs = 0;   ///< elements of Y
};

Cut cut_into(const Product& product, const Tiles& tiles) {
  const double turns = turns_of(product, tiles);
  const double outputs = turns * product.units * tiles.rows * tiles.columns;
  const double depth = turns * product.k / tiles.parts;
  return {mega * outputs * product.k / tiles.parts,
          mega * depth * product.units * (tiles.rows + tiles.columns), kilo * depth,
          mega * outputs};
}

/// By which a kernel compares such tiles.
double time_of(const Product& product, const Tiles& tiles) {
  return turns_of(product, tiles) * tiles.rows * tiles.columns / tiles.parts * tiles.slowness;
}

/// The quickest of some ways to cut it; there is one at least.
Tiles quickest(const Product& product, const std::vector<Tiles>& options) {
  Tiles best = options.front();
  for (const Tiles& tiles : options) {
    if (time_of(product, tiles) < time_of(product, best)) best = tiles;
  }
  return best;
}

/// Strips of 64 rows with all rows of W of `columns` columns in shared memory.
struct Strips {
  double columns = 0;   ///< 0: W does not fit
  double busiest = 0;   ///< strips of the busiest multiprocessor
  double turns = 0;     ///< of its warpgroups
  bool copied = false;  ///< words come as one copy, not one by one
};

bool holds_weights(double k, double columns) {
  return Expand::holds_weights(static_cast<std::uint32_t>(k), static_cast<int>(columns));
}

/// Of `columns` columns, dealt out among the blocks of each column of tiles, of `groups`
/// warpgroups, which read what they need of S one after another.
Strips cut_into_strips(const Product& product, double columns, double groups) {
  const double down = std::ceil(product.m / 64);
  const double across = std::ceil(product.n / columns);
  const double share = std::max(1.0, std::floor(product.units / across));
  const double busiest = std::ceil(down / share) * std::ceil(across / product.units);
  return {columns, busiest, std::ceil(busiest / groups), false};
}

/// Bytes of shared memory for `count` columns of tiles of W and the words of strips of 64 rows.
double strip_bytes(double k, double columns, double count, double groups) {
  const double steps = std::ceil(k / 64);
  return steps * (count * 64 * columns * 2 + groups * 64 * 8);
}

/// Those of a bitmap. `copied`: words of a strip come as one copy, where they and W find room and
/// rows are an even number of words; a multiprocessor may then have strips of two columns of tiles.
Strips cut_bits_into_strips(const Product& product, double columns, bool copied) {
  const double groups = columns == 64 ? 6 : 4;
  if (!copied || std::fmod(std::ceil(product.k / 32), 2) != 0 ||
      strip_bytes(product.k, columns, 1, groups) > shared_bytes) {
    return cut_into_strips(product, columns, columns == 64 ? 6.0 : 3.0);
  }
  Strips strips = cut_into_strips(product, columns, groups);
  strips.copied = true;
  const double across = std::ceil(product.n / columns);
  constexpr double most_steps = 32;
  if (across > 1 && across <= product.units && 2 * std::ceil(product.k / 64) <= most_steps &&
      strip_bytes(product.k, columns, 2, groups) <= shared_bytes) {
    strips.busiest = std::ceil(across * std::ceil(product.m / 64) / product.units);
    strips.turns = std::ceil(strips.busiest / groups);
  }
  return strips;
}

double products_of(const Product& product, const Strips& strips) {
  return mega * strips.busiest * 64 * strips.columns * product.k * product.units;
}

double outputs_of(const Product& product, const Strips& strips) {
  return mega * strips.busiest * 64 * strips.columns * product.units;
}

void add_common(std::vector<WorkTerm>& work, const Product& product) {
  work.push_back({"launch", 1});
  work.push_back({"Y (M·N)", mega * product.m * product.n * product.y_share});
  work.push_back({"W (K·N)", mega * product.k * product.n * product.w_share});
}

/// Bits to tensor cores, as kernels/cuda/expand.cu cuts it.
void add_expand(std::vector<WorkTerm>& work, const Product& product, const json& config) {
  const double tile_m = option(config, "tile_m", 0);
  const double tile_n = option(config, "tile_n", 0);
  // Reports of builds without `split` have no strips that are dealt out evenly either.
  const auto tiled = config.find("tiles");  // the bitmap is, and skips what is empty
  const bool in_rows = tiled == config.end() || *tiled != true;
  const bool splits = in_rows && config.contains("split");
  const double split = option(config, "split", 1);
  const bool may_split =
      in_rows && product.k >= 2048 && std::fmod(std::ceil(product.k / 32), 2) == 0;
  Tiles best{0, 0, 0};
  double least = std::numeric_limits<double>::infinity();
  for (const Tiles& tiles :
       {Tiles{256, 128, 1}, Tiles{128, 128, 1.1}, Tiles{256, 64, 1.1}, Tiles{128, 64, 1.4},
        Tiles{64, 128, 1.08}, Tiles{64, 64, 1.3}, Tiles{256, 64, 1.3, 2}}) {
    if (tile_m != 0 && tile_m != tiles.rows) continue;
    if (tile_n != 0 && tile_n != tiles.columns) continue;
    if (split != 0 && split != tiles.parts) continue;
    if (tiles.rows == 64 && !holds_weights(product.k, tiles.columns)) continue;
    if (tiles.parts > 1 && split == 0 && !may_split) continue;
    const double time = tiles.rows == 64 ? cut_into_strips(product, tiles.columns, 1).busiest *
                                               tiles.rows * tiles.columns * tiles.slowness
                                         : time_of(product, tiles);
    if (time < least) {
      best = tiles;
      least = time;
    }
  }
  const bool strips = best.rows == 64;
  const Cut cut = strips || best.rows == 0 ? Cut{} : cut_into(product, best);
  const Strips dealt = strips ? cut_bits_into_strips(product, best.columns, splits) : Strips{};
  const double steps_of_strips = kilo * dealt.turns * product.k;
  work.push_back({"S (M·K)", product.elements()});
  work.push_back({"products in turns (M·K·N)", cut.products + products_of(product, dealt)});
  work.push_back({"strips in turns (M·K·N)", products_of(product, dealt)});
  work.push_back({"steps of K", cut.steps});
  work.push_back({"steps of K of strips", steps_of_strips});
  work.push_back({"steps of K of strips, word by word", dealt.copied ? 0 : steps_of_strips});
  work.push_back({"operands of tiles", cut.operands});
  work.push_back({"W into shared memory", kilo * product.k * dealt.columns / 64});
  work.push_back({"Y of whole tiles", cut.outputs + outputs_of(product, dealt)});
}

/// The quickest of some ways to cut it, those of 64 rows strips, that config and `takes` (whether
/// strips of so many columns can be) leave; the first where they leave none.
template <class Takes, class StripsOf>
Tiles quickest_or_strips(const Product& product, const json& config, double tile_m,
                         const std::vector<Tiles>& options, const Takes& takes,
                         const StripsOf& strips_of) {
  const double tile_n = option(config, "tile_n", 0);
  Tiles best = options.front();
  double least = std::numeric_limits<double>::infinity();
  for (const Tiles& tiles : options) {
    if (tile_m != 0 && tile_m != tiles.rows) continue;
    if (tile_n != 0 && tile_n != tiles.columns) continue;
    const bool strips = tiles.rows == 64;
    if (strips && !takes(tiles.columns)) continue;
    const double turns = strips ? strips_of(tiles.columns).busiest : turns_of(product, tiles);
    const double time = turns * tiles.rows * tiles.columns * tiles.slowness;
    if (time < least) {
      best = tiles;
      least = time;
    }
  }
  return best;
}

/// Of bytes: reports of before there were tiles have none, and strips.
double tile_m_of_bytes(const json& config) {
  return option(config, "tile_m", 64);
}

/// Bytes to tensor cores, as kernels/cuda/expand.cu cuts it.
void add_expand_bytes(std::vector<WorkTerm>& work, const Product& product, const json& config) {
  const double tile_m = tile_m_of_bytes(config);
  const auto strips_of = [&](double columns) {
    return cut_into_strips(product, columns, columns == 64 ? 6.0 : 3.0);
  };
  const Tiles best = quickest_or_strips(
      product, config, tile_m, {{128, 128, 1}, {128, 64, 1.4}, {64, 128, 1.1}, {64, 64, 1.4}},
      [&](double columns) { return holds_weights(product.k, columns); }, strips_of);
  const bool strips = best.rows == 64;
  const Cut cut = strips ? Cut{} : cut_into(product, best);
  const Strips dealt = strips ? strips_of(best.columns) : Strips{};
  work.push_back({"S (M·K)", product.elements()});
  work.push_back({"products in turns (M·K·N)", cut.products + products_of(product, dealt)});
  work.push_back({"steps of K", cut.steps});
  work.push_back({"steps of K of strips", kilo * dealt.turns * product.k});
  work.push_back({"operands of tiles", cut.operands});
  work.push_back({"W into shared memory", kilo * product.k * dealt.columns / 64});
  work.push_back({"Y of whole tiles", cut.outputs + outputs_of(product, dealt)});
}

/// Whether expand_imma takes strips: as ExpandImma::why_invalid() with tile_m 64.
bool takes_byte_strips(double k, double columns) {
  return ExpandImma::holds_weights(static_cast<std::uint32_t>(k), static_cast<int>(columns)) &&
         std::fmod(std::ceil(k / 32), 2) == 0;
}

/// Bits to integer tensor cores, as kernels/cuda/sm90/expand_imma.cu cuts it.
void add_expand_imma(std::vector<WorkTerm>& work, const Product& product, const json& config) {
  const auto tiled = config.find("tiles");  // the bitmap is: no strips
  const bool in_rows = tiled == config.end() || *tiled != true;
  const auto strips_of = [&](double columns) {
    return cut_into_strips(product, columns, columns == 64 ? 6.0 : columns == 128 ? 4.0 : 3.0);
  };
  const Tiles best = quickest_or_strips(
      product, config, option(config, "tile_m", 0),
      {{256, 128, 1}, {128, 64, 1.4}, {64, 256, 0.6}, {64, 128, 0.65}, {64, 64, 0.8}},
      [&](double columns) { return in_rows && takes_byte_strips(product.k, columns); }, strips_of);
  const bool strips = best.rows == 64;
  const Cut cut = strips ? Cut{} : cut_into(product, best);
  const Strips dealt = strips ? strips_of(best.columns) : Strips{};
  work.push_back({"S (M·K)", product.elements()});
  work.push_back({"products in turns (M·K·N)", cut.products + products_of(product, dealt)});
  work.push_back({"steps of K", cut.steps});
  work.push_back({"steps of K of strips", kilo * dealt.turns * product.k});
  work.push_back({"W into shared memory", kilo * product.k * dealt.columns / 64});
  work.push_back({"Y of whole tiles", cut.outputs + outputs_of(product, dealt)});
}

/// Bytes as they lie times W in bytes: tiles of 128 rows.
void add_byte_mma(std::vector<WorkTerm>& work, const Product& product, const json& config) {
  const double tile_n = option(config, "tile_n", 0);
  std::vector<Tiles> options;
  for (const Tiles& tiles : {Tiles{128, 256, 1}, Tiles{128, 128, 1.05}, Tiles{128, 64, 1.7}}) {
    if (tile_n == 0 || tile_n == tiles.columns) options.push_back(tiles);
  }
  const Cut cut = cut_into(product, quickest(product, options));
  work.push_back({"S (M·K)", product.elements()});
  work.push_back({"tiles in turns (M·K·N)", cut.products});
  work.push_back({"steps of K", cut.steps});
  work.push_back({"operands of tiles", cut.operands});
  work.push_back({"Y of whole tiles", cut.outputs});
}

/// Planes of bits: a step takes 512 columns of S, whether they are there or not. Rows of bits that
/// are no whole pieces of 16 bytes cannot be copied by TMA: another kernel takes them.
void add_bit_planes(std::vector<WorkTerm>& work, const Product& product, const json& config) {
  const double tile_m = option(config, "tile_m", 0);
  const double tile_n = option(config, "tile_n", 0);
  constexpr double step = 512;
  const bool pieces = std::fmod(product.k, 128) == 0;
  Product padded = product;
  padded.k = std::ceil(product.k / step) * step * product.w_share;
  std::vector<Tiles> options;
  for (const Tiles& tiles : {Tiles{256, 128, 1}, Tiles{128, 128, 1.3}, Tiles{256, 64, 1.3}}) {
    if (tile_m != 0 && tile_m != tiles.rows) continue;
    if (tile_n != 0 && tile_n != tiles.columns) continue;
    options.push_back(tiles);
  }
  const Cut cut = options.empty() ? Cut{} : cut_into(padded, quickest(padded, options));
  work.push_back({"S (M·K)", product.elements()});
  work.push_back({"planes in turns (M·K·N)", pieces ? cut.products : 0});
  work.push_back({"planes in turns, K odd (M·K·N)", pieces ? 0 : cut.products});
  work.push_back({"steps of planes", cut.steps});
  work.push_back({"Y of whole tiles", cut.outputs});
}

double beyond_two_of_four(double d) {
  return 4 * d * d * d * (1 - d) + 2 * d * d * d * d;
}

void add_sparse_mma(std::vector<WorkTerm>& work, const Product& product, const json& config) {
  const double tile_m = option(config, "tile_m", 0);
  const Tiles tall{256, 128, 1};
  const Tiles low{128, 128, 1};
  const bool is_tall = tile_m == 256 || (tile_m != 128 && 4 * cut_into(product, tall).products <=
                                                              5 * cut_into(product, low).products);
  const Tiles tiles = is_tall ? tall : low;
  const Cut cut = cut_into(product, tiles);
  // The residual of a tile is added by warps of its own, in the same turns.
  const double beyond = beyond_two_of_four(product.density) / 4;
  work.push_back({"S (M·K)", product.elements()});
  // Rows of words that are no whole pieces of 16 bytes do not come by TMA: 32 columns have a word
  // of metadata and half of one that says which are there.
  const bool pieces = std::fmod(std::ceil(product.k / 64), 4) == 0;
  work.push_back({"tiles in turns (M·K·N)", cut.products});
  work.push_back({"words one by one (M·K·N)", pieces ? 0 : cut.products});
  work.push_back({"steps of K", cut.steps});
  work.push_back({"Y of whole tiles", cut.outputs});
  work.push_back({"beyond 2:4 (nnz·N)", cut.products * beyond});
}

/// A warp takes a row and 32 pieces of columns; each spike costs a piece of a row of W from L2.
void add_row_gather(std::vector<WorkTerm>& work, const Product& product, const json& config) {
  const double vector_bytes = option(config, "vector_bytes", 16);
  const double columns =
      32 * (vector_bytes == 0 ? 1 : std::max(1.0, vector_bytes / 2 / product.w_share));
  const double parts = std::ceil(product.n / columns);
  constexpr double warps = 48;  // of a multiprocessor, about
  const double turns = std::ceil(product.m * parts / (product.units * warps));
  const double row = product.k * product.density;
  const double gathered = product.nonzeros() * product.n;
  // W that is more than half of L2 comes from farther away.
  constexpr double near_bytes = 16 << 20;
  const double far = std::max(0.0, 1 - near_bytes / (product.k * product.n * 2 * product.w_share));
  work.push_back({"S (M·K)", product.elements()});
  work.push_back({"S for each part of a row", product.elements() * parts});
  work.push_back({"rows (M)", mega * product.m * parts});
  work.push_back({"nonzeros", product.nonzeros()});
  work.push_back({"gathered (nnz·N)", gathered});
  work.push_back({"gathered from far (nnz·N)", gathered * far});
  work.push_back({"spikes of rows, one by one", kilo * turns * row});
  work.push_back({"words of rows, one by one", kilo * turns * product.k});
}

/// W in slabs of shared memory. Three ways, by K and N (kernels/cuda/slab_gather.cu).
void add_slab_gather(std::vector<WorkTerm>& work, const Product& product, const json& config) {
  const double given = option(config, "columns", 0);
  const bool wide = given == 64 || (given == 0 && product.k * 128 + 3072 <= shared_bytes);
  const double columns = given != 0 ? given : wide ? 64 : 32;
  const double slabs = std::ceil(product.n / columns);
  constexpr double few_slabs = 8;
  const bool straight = wide && slabs <= few_slabs;
  // A warp of a block takes four rows, or 16 whose columns in use it goes through together.
  const double rows = wide ? 4 : 16;
  const double warps = wide ? 32 : 24;
  const double parts =
      std::clamp(std::floor(product.units / slabs), 1.0, std::ceil(product.m / 32));
  const double blocks = std::ceil(slabs * parts / product.units);  // of the busiest multiprocessor
  const double balance = blocks * product.units / (slabs * parts);
  const double turns = blocks * std::ceil(std::ceil(product.m / parts / rows) / warps);
  const double gathered = product.nonzeros() * product.n * balance;
  const double used = product.k * product.used(rows);
  const double lines = std::floor(shared_bytes / (2 * columns));  // rows of W that find room
  work.push_back({"S (M·K)", product.elements()});
  work.push_back({"nonzeros", product.nonzeros()});
  work.push_back({"rows (M)", mega * product.m});
  work.push_back({"rows for each slab of W", mega * product.m * slabs * balance});
  work.push_back(
      {"W into shared memory", kilo * std::min(product.k, lines) * columns / 64 * blocks});
  const double in_lists = wide && !straight ? 1 : 0;
  const double in_rows = straight ? 1 : 0;
  const double in_unions = wide ? 0 : 1;
  const double unions = mega * product.m / rows * used * product.n * balance * in_unions;
  const double far = std::max(0.0, 1 - lines / product.k);
  // Rows of W that find no room there, a block copies to where it reads them spike by spike.
  work.push_back({"W beside shared memory", kilo * product.k * far * blocks * in_unions});
  work.push_back(
      {"nonzeros for each slab of W", product.nonzeros() * slabs * balance * (in_lists + in_rows)});
  work.push_back({"gathered in lists (nnz·N)", gathered * in_lists});
  work.push_back({"gathered from rows (nnz·N)", gathered * in_rows});
  work.push_back({"spikes of rows, one by one",
                  kilo * turns * product.k * product.density * (in_lists + in_rows)});
  work.push_back({"columns in use (M·K·N)", unions * (1 - far)});
  work.push_back({"gathered from beside (nnz·N)", gathered * far * in_unions});
  work.push_back({"columns of units, one by one", kilo * turns * used * in_unions});
}

/// Blocks of S, or vectors of its columns, times rows of W that any of their rows uses.
void add_union(std::vector<WorkTerm>& work, const Product& product, const json& config,
               const std::string& kernel) {
  const double block = option(config, "block_size", 0);
  const double rows = block != 0 ? block : option(config, "vector", 16);
  const double used = product.used(block != 0 ? block * block : rows);
  const double kept = product.elements() * used;
  work.push_back({"S (M·K)", product.elements()});
  work.push_back({"rows (M)", mega * product.m});
  work.push_back({"nonzeros", product.nonzeros()});
  work.push_back({"columns in use", kept});
  work.push_back({"columns in use (M·K·N)", kept * product.n});
  work.push_back({"gathered (nnz·N)", product.nonzeros() * product.n});
  work.push_back({"W into shared memory", kilo * product.k});
  if (kernel == "row_gather") work.push_back({"steps of K", kilo * product.k * used});
}

/// cuBLASLt, which chooses tiles itself.
void add_dense(std::vector<WorkTerm>& work, const Product& product, bool odd) {
  const Tiles tiles = quickest(
      product, {{256, 128, 1}, {128, 128, 1.1}, {256, 64, 1.1}, {128, 64, 1.4}, {64, 64, 1.8}});
  const double all = product.elements() * product.n;
  work.push_back({"S (M·K)", product.elements()});
  work.push_back({"dense (M·K·N)", all});
  work.push_back({"dense, K or N odd (M·K·N)", odd ? all : 0});
  work.push_back({"operands of tiles", cut_into(product, tiles).operands});
}

}  // namespace

int oddness(std::uint32_t count) {
  return count % 16 == 0 ? 0 : count % 8 == 0 ? 1 : 2;
}

bool can_run(const std::string& format, const std::string& kernel, const json& config,
             const Problem& problem) {
  const bool in_pieces = kernel == "expand_mma" || kernel == "sparse_mma" ||
                         kernel == "slab_gather" || kernel == "union_mma";
  if (in_pieces && problem.n % 8 != 0) return false;
  const auto tile_m = static_cast<int>(option(config, "tile_m", 0));
  const auto tile_n = static_cast<int>(option(config, "tile_n", 0));
  if (kernel == "expand_imma") return tile_m != 64 || takes_byte_strips(problem.k, tile_n);
  if (kernel != "expand_mma") return true;
  const bool keeps_weights = (format == "bytes" ? tile_m_of_bytes(config) : tile_m) == 64;
  if (option(config, "split", 0) == 2 && std::fmod(std::ceil(problem.k / 32.0), 2) != 0) {
    return false;
  }
  return (format != "bytes" || problem.k % 16 == 0) &&
         (!keeps_weights || Expand::holds_weights(problem.k, tile_n));
}

std::vector<WorkTerm> encode_work(const Problem& problem) {
  const Product product = product_of(problem, 1);
  const double elements = product.elements();
  const int odd = oddness(problem.k);
  return {{"launch of encode", 1},
          {"launch of encode, K odd", odd != 0 ? 1.0 : 0.0},
          {"input (M·K)", elements},
          {"input, K of eights (M·K)", odd == 1 ? elements : 0},
          {"input, K odd (M·K)", odd == 2 ? elements : 0},
          {"rows encoded (M)", mega * product.m},
          {"nonzeros encoded", product.nonzeros()}};
}

std::vector<WorkTerm> product_work(const std::string& format, const std::string& kernel,
                                   const json& config, const Problem& problem, double units) {
  Product product = product_of(problem, units);
  if (format == "dense") product.w_share = std::max(product.w_share, 1.0);  // multiplied in f16
  const bool odd = oddness(problem.k) == 2 || oddness(problem.n) == 2;
  std::vector<WorkTerm> work;
  add_common(work, product);
  if (kernel == "expand_mma") {
    format == "bytes" ? add_expand_bytes(work, product, config) : add_expand(work, product, config);
  } else if (kernel == "expand_imma") {
    add_expand_imma(work, product, config);
  } else if (kernel == "byte_mma") {
    add_byte_mma(work, product, config);
  } else if (kernel == "bit_planes") {
    add_bit_planes(work, product, config);
  } else if (kernel == "sparse_mma") {
    add_sparse_mma(work, product, config);
  } else if (kernel == "slab_gather") {
    add_slab_gather(work, product, config);
  } else if (kernel == "union_mma" ||
             (kernel == "row_gather" && (format == "bsr" || format == "cvs"))) {
    add_union(work, product, config, kernel);
  } else if (kernel == "row_gather") {
    add_row_gather(work, product, config);
  } else if (format == "dense") {
    add_dense(work, product, odd);
  } else {
    const double all = product.elements() * product.n;
    work.push_back({"S (M·K)", product.elements()});
    work.push_back({"rows (M)", mega * product.m});
    work.push_back({"steps of K", kilo * product.k});
    work.push_back({"nonzeros", product.nonzeros()});
    work.push_back({"gathered (nnz·N)", product.nonzeros() * product.n});
    work.push_back({"dense (M·K·N)", all});
    work.push_back({"dense, K or N odd (M·K·N)", odd ? all : 0});
    work.push_back({"columns in use (M·K·N)", all * product.used(16)});
    work.push_back({"beyond 2:4 (nnz·N)", all / 4 * beyond_two_of_four(product.density)});
  }
  return work;
}

}  // namespace spiketune
