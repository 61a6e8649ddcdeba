#!/usr/bin/env bash
# Builds the C example against shared libraries, runs it, and looks at what the library of C exports.
# usage: shared.sh SOURCE_DIR BUILD_DIR
set -euo pipefail
source_dir=$1
build_dir=$2/shared_consumer
export CCACHE_BASEDIR=$source_dir CCACHE_NOHASHDIR=1
mkdir -p "$build_dir"
log=$build_dir/log
cmake -S "$source_dir/tests/consumer/shared" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Release >"$log" 2>&1 || { cat "$log"; exit 1; }
cmake --build "$build_dir" --target from_c >"$log" 2>&1 || { cat "$log"; exit 1; }
"$build_dir/from_c"
library=$(find "$build_dir/spiketune" -name 'libspiketune_c.so' | head -n 1)
exported=$(nm --dynamic --defined-only "$library" | awk '{print $3}')
others=$(grep -v '^spiketune_' <<<"$exported" || true)
declared=$(grep -c SPIKETUNE_API "$source_dir/c/spiketune.h")
if [ -n "$others" ] || [ "$(wc -l <<<"$exported")" != "$declared" ]; then
  echo "exported, but not in c/spiketune.h:" "$others"
  echo "declared $declared, exported:" "$exported"
  exit 1
fi
echo "$library exports the $declared functions of c/spiketune.h alone"
