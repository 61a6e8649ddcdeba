#!/usr/bin/env bash
# Fuzzes the readers of spike files, one after the other, with libFuzzer under ASan and UBSan.
# usage: scripts/fuzz.sh [SECONDS] [TARGET ...]     default: 600 seconds for each of all targets
#
# Starts from tests/fuzz/corpus and keeps what it finds in build/fuzz/found. A crash leaves the bytes
# that caused it in build/fuzz/crashes and the script fails; put them into the corpus with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

case "${1:-}" in -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0" && exit 0 ;; esac
seconds=${1:-600}
shift || true
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(ls tests/fuzz/corpus); fi

need_packages "${BUILD_PACKAGES[@]}" clang-14 libomp-14-dev
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --parallel "$(job_count)"

failed=0
for target in "${targets[@]}"; do
  mkdir -p "build/fuzz/found/$target" build/fuzz/crashes
  say "Fuzzing $target for $seconds seconds"
  # The limits are far over what any file of this size may take.
  if ! OMP_NUM_THREADS=1 "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=25 \
    -rss_limit_mb=4096 -malloc_limit_mb=2048 -max_len=65536 -keep_seed=1 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/crashes/$target-" "build/fuzz/found/$target" "tests/fuzz/corpus/$target" \
    2>"build/fuzz/$target.log"; then
    failed=1
    say "FAILED: build/fuzz/$target.log"
  fi
  grep -E 'DONE|stat::number_of_executed_units|^SUMMARY' "build/fuzz/$target.log" || true
done
exit "$failed"
