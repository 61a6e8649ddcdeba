#!/usr/bin/env bash
# Builds everything with warnings as errors and runs all tests. See CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

case "${1:-}" in
  "") ;;
  -h | --help) echo "usage: scripts/test.sh    builds into build/test and build/asan, runs all tests" && exit 0 ;;
  *) die "unknown option $1 (see scripts/test.sh --help)" ;;
esac

need_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
want_packages "${OPTIONAL_PACKAGES[@]}"
find_cuda
jobs=$(job_count)
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1  # a clone elsewhere finds what this one compiled
backend=OFF
[ -z "$NVCC" ] || backend=ON

say "Building host code with AddressSanitizer and UndefinedBehaviorSanitizer (build/asan)"
cmake --preset asan -DSPIKETUNE_WERROR=ON -DSPIKETUNE_CLI=OFF >/dev/null
cmake --build --preset asan --target spiketune_tests --parallel "$jobs"

say "Building everything with warnings as errors (build/test, CUDA $backend)"
cmake --preset dev -B build/test -DSPIKETUNE_CUDA="$backend" -DCMAKE_CUDA_COMPILER="${NVCC:-}" \
  -DSPIKETUNE_ASAN_TESTS="$PWD/build/asan/tests/spiketune_tests" >/dev/null
cmake --build build/test --parallel "$jobs"

say "Running the tests"
ctest --test-dir build/test --parallel "$jobs" --output-on-failure --no-tests=error
