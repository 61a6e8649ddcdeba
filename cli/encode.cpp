#include <fmt/format.h>

#include <memory>
#include <string>

#include "spiketune/autotune/encode_file.hpp"
#include "spiketune/autotune/report.hpp"
#include "spiketune/cli/commands.hpp"
#include "spiketune/cli/load_flags.hpp"
#include "spiketune/datasets/encoded_io.hpp"
#include "spiketune/datasets/load.hpp"

namespace spiketune::cli {
namespace {

struct EncodeFlags {
  LoadFlags load;
  std::string out;
  std::string format = "csr";
  int block_size = 16;
};

struct DecodeFlags {
  std::string file;
  std::string out;
  std::string value = "binary";
  std::string storage = "u8";
};

int run_encode(const EncodeFlags& flags) {
  require_other_file(flags.out, flags.load.file);
  const Trace trace = load(flags.load);
  const SpikeView spikes = trace.spikes.view();
  const EncodedFile written = write_encoded(HostContext{}, spikes, flags.format, flags.block_size,
                                            spikes.row_order, flags.out);
  if (!trace.how.empty()) fmt::print("{}\n", trace.how);
  fmt::print("wrote {}: {} of {} x {}, {} spikes, {} bytes in memory\n", flags.out, flags.format,
             spikes.shape.m(), spikes.shape.k, written.nnz, written.bytes);
  return exit_ok;
}

int run_decode(const DecodeFlags& flags) {
  require_other_file(flags.out, flags.file);
  const ScipyMatrix matrix = read_scipy(flags.file);
  const SpikeTensor spikes =
      to_spikes(matrix, parse_dtype(flags.storage), parse_value_kind(flags.value));
  save_spikes(flags.out, spikes.view());
  const SpikeShape& shape = spikes.view().shape;
  fmt::print("wrote {}: [{}, {}, {}]\n", flags.out, shape.timesteps, shape.rows, shape.k);
  return exit_ok;
}

}  // namespace

void add_encode(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("encode", "encode spikes into a file that scipy.sparse.load_npz reads");
  auto flags = std::make_shared<EncodeFlags>();
  command->add_option("--out", flags->out, "file to write (.npz)")->required();
  command->add_option("--format", flags->format, "coo, csr, csc or bsr")
      ->check(CLI::IsMember({"coo", "csr", "csc", "bsr"}))
      ->capture_default_str();
  command->add_option("--block-size", flags->block_size, "of bsr: 8, 16, 32 or 64")
      ->check(CLI::IsMember({8, 16, 32, 64}))
      ->capture_default_str();
  add_load_flags(*command, flags->load);
  command->footer(
      "Exit codes: 0 done; 1 error; 2 wrong usage.\n"
      "Example: spiketune encode spikes.npz --format csr --out csr.npz");
  command->callback([flags, &exit_code] { exit_code = run_encode(*flags); });
}

void add_decode(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("decode", "turn a file of encode, or of scipy, back into spikes");
  auto flags = std::make_shared<DecodeFlags>();
  command->add_option("file", flags->file, "coo, csr, csc or bsr of scipy.sparse.save_npz")
      ->required();
  command->add_option("--out", flags->out, "file to write (.npy or .npz), [T, rows, K]")
      ->required();
  command->add_option("--value", flags->value, "binary, graded2 or graded")->capture_default_str();
  command->add_option("--input", flags->storage, "storage of the spikes: u8 f16 bf16 f32")
      ->capture_default_str();
  command->footer(
      "Exit codes: 0 done; 1 error; 2 wrong usage.\n"
      "Example: spiketune decode csr.npz --out spikes.npy");
  command->callback([flags, &exit_code] { exit_code = run_decode(*flags); });
}

}  // namespace spiketune::cli
