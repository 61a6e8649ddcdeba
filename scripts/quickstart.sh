#!/usr/bin/env bash
# Installs what is missing, builds spiketune, sweeps the quick suite, and shows who wins.
# Run it again whenever you like: what is done already is not done twice.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

usage() {
  cat <<'USAGE'
usage: scripts/quickstart.sh [--again] [--suite FILE] [--out DIR]
  --again       measure again although a complete report is there
  --suite FILE  the suite to sweep                 (datasets/suites/quick.json)
  --out DIR     where report.json and report.html go           (spiketune-out)
USAGE
}
again=no
suite=datasets/suites/quick.json
out=spiketune-out
while [ $# -gt 0 ]; do
  case "$1" in
    --again) again=yes ;;
    --suite | --out)
      [ $# -ge 2 ] || die "$1 needs a value"
      if [ "$1" = --suite ]; then suite=$2; else out=$2; fi
      shift
      ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die "unknown option $1" ;;
  esac
  shift
done

need_packages "${BUILD_PACKAGES[@]}"
find_cuda
preset=host
[ -z "$NVCC" ] || preset=cuda
say "Building (preset $preset, into build/$preset)"
cmake --preset "$preset" -DCMAKE_CUDA_COMPILER="${NVCC:-}" >"/tmp/spiketune-configure.$$" 2>&1 ||
  { cat "/tmp/spiketune-configure.$$" && die "cmake failed"; }
rm -f "/tmp/spiketune-configure.$$"
cmake --build --preset "$preset" --target spiketune_cli --parallel "$(job_count)"

program=build/$preset/spiketune
report=$out/report.json
mkdir -p "$out"
if [ "$again" = no ] && [ "$report" -nt "$program" ] && [ "$report" -nt "$suite" ] &&
  ! grep -q '"complete": *false' "$report"; then
  say "$report is up to date (--again measures anew)"
  "$program" report "$report" --html "$out/report.html"
else
  say "Sweeping $suite"
  status=0
  "$program" sweep --suite "$suite" --out "$report" --html "$out/report.html" || status=$?
  # 3: some result was wrong or failed. The report says which, so show it all the same.
  [ "$status" = 0 ] || [ "$status" = 3 ] || exit "$status"
fi
echo
say "Report: $PWD/$report"
say "Page:   $PWD/$out/report.html"
