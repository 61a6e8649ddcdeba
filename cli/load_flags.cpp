#include "spiketune/cli/load_flags.hpp"

#include "spiketune/cli/validators.hpp"

namespace spiketune::cli {

void add_event_flags(CLI::App& command, EventOptions& events) {
  const auto in_group = [](CLI::Option* option) {
    option->group("Events")->capture_default_str();
    return option;
  };
  in_group(command.add_option("--steps", events.steps, "time steps T (0: as many windows)"))
      ->check(not_negative());
  in_group(command.add_option("--window", events.window_us,
                              "length of a step in µs (0: the recording divided by --steps)"))
      ->check(not_negative());
  in_group(
      command.add_option("--polarity", events.polarity, "split (two channels), merge, on or off"))
      ->check(CLI::IsMember({"split", "merge", "on", "off"}));
  in_group(command.add_option("--downsample", events.downsample,
                              "squares of so many pixels a side become one"))
      ->check(positive());
  command.add_option("--crop", events.crop, "x,y,width,height of the pixels to keep")
      ->delimiter(',')
      ->group("Events");
  command.add_option("--sensor", events.sensor, "width,height, where the file does not say")
      ->delimiter(',')
      ->group("Events");
}

void add_load_flags(CLI::App& command, LoadFlags& flags) {
  LoadOptions& options = flags.options;
  command.add_option("file", flags.file, "recorded spikes, or FILE:MEMBER (docs/data.md)")
      ->required();
  const auto in_group = [](CLI::Option* option) {
    option->group("Reading the file")->capture_default_str();
    return option;
  };
  in_group(command.add_option("--member", options.member, "of a file with several"));
  in_group(command.add_option("--images", flags.images, "of a recording of several (0: all)"));
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
  add_event_flags(command, options.events);
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
