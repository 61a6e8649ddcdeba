#!/usr/bin/env bash
# Runs clang-tidy (checks in .clang-tidy) over the host sources of a build folder.
# usage: scripts/lint.sh BUILD_DIR     Exits 77 where there is no clang-tidy.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: scripts/lint.sh BUILD_DIR}
tidy=$(command -v clang-tidy-14 || command -v clang-tidy || true)
if [ -z "$tidy" ]; then
  echo "skipped: clang-tidy is not installed"
  exit 77
fi
find core/*.cpp core/host formats encoders/*.cpp encoders/host kernels/*.cpp kernels/host autotune/*.cpp \
  -name '*.cpp' -print0 | xargs -0 -n 4 -P "$(nproc)" "$tidy" -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option
