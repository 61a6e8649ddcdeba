#include "spiketune/cli/load_flags.hpp"

namespace spiketune::cli {

void add_load_flags(CLI::App& command, LoadFlags& flags) {
  LoadOptions& options = flags.options;
  command.add_option("file", flags.file, ".npy or .npz with spikes, or a recorded layer")
      ->required();
  const auto in_group = [](CLI::Option* option) {
    option->group("Reading the file")->capture_default_str();
    return option;
  };
  in_group(command.add_option("--member", options.member, "of an .npz"));
  in_group(command.add_option("--images", flags.images, "of a recorded layer (0: all)"));
  in_group(command.add_option("--timesteps", options.timesteps,
                              "of a matrix [M, K] (0: every row is one)"));
  in_group(command.add_option("--matrix-order", flags.matrix_order,
                              "of a matrix: time-major or token-major"));
  in_group(command.add_flag("--transpose", options.transpose, "the axes are in reverse"));
  in_group(
      command.add_option("--kernel-h", options.window.kernel_h, "im2col of [T, (B,) C, H, W]"));
  in_group(command.add_option("--kernel-w", options.window.kernel_w, "its width"));
  in_group(command.add_option("--stride", options.window.stride, "its stride"));
  in_group(command.add_option("--padding", options.window.padding, "its padding"));
  in_group(command.add_option("--packing", flags.packing, "np.packbits: none, little or big"))
      ->check(CLI::IsMember({"none", "little", "big"}));
  in_group(command.add_option("--packed-length", options.packed_length,
                              "last axis before packing (0: eight times the packed)"));
  in_group(command.add_option("--value", flags.kind, "binary, graded2 or graded"));
  in_group(command.add_option("--input", flags.storage, "storage in memory: u8 f16 bf16 f32"));
  in_group(command.add_option("--row-order", flags.row_order, "time-major or token-major"));
}

Trace load(const LoadFlags& flags) {
  LoadOptions options = flags.options;
  options.kind = parse_value_kind(flags.kind);
  options.storage = parse_dtype(flags.storage);
  options.row_order = parse_row_order(flags.row_order);
  options.matrix_order = parse_row_order(flags.matrix_order);
  options.packing = flags.packing == "little" ? BitPacking::little
                    : flags.packing == "big"  ? BitPacking::big
                                              : BitPacking::none;
  return load_trace(flags.file, flags.images, options);
}

}  // namespace spiketune::cli
