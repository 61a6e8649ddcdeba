#!/usr/bin/env bash
# Proves on a machine with a GPU that what is in the tree runs: builds, runs all tests including
# those labelled gpu, runs compute-sanitizer on the small ones, and writes
# results/gpu_verification.json with the GPU, the driver, the counts and scripts/source_hash.sh.
#
# usage: scripts/verify_gpu.sh [--build DIR] [--out FILE] [--skip-sanitizer]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

build=build/cuda
out=results/gpu_verification.json
sanitize=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build=${2:?--build needs a folder} && shift ;;
    --out) out=${2:?--out needs a file} && shift ;;
    --skip-sanitizer) sanitize=no ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) die "unknown option $1 (see --help)" ;;
  esac
  shift
done

find_cuda
[ -n "$NVCC" ] || die "a CUDA toolkit is needed"
[ -n "$GPU" ] || die "a GPU is needed"
hash=$(scripts/source_hash.sh)
logs=$build/verification
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
say "Building into $build"
cmake -S . -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DSPIKETUNE_CUDA=ON -DCMAKE_CUDA_COMPILER="$NVCC" >/dev/null
cmake --build "$build" --parallel "$(job_count)" | tail -n 1
checks=()
mkdir -p "$logs"
rm -f "$logs"/*

say "Running the tests on the GPU"
# The log has each test as it begins: the last line names one that hangs.
"$build/tests/spiketune_gpu_tests" --gtest_output="json:$logs/gpu.json" >"$logs/gpu.txt" 2>&1 &
gpu_tests=$!
trap 'kill "$gpu_tests" && echo "interrupted; the last lines of $logs/gpu.txt:" && tail -n 5 "$logs/gpu.txt"; exit 130' INT
wait "$gpu_tests" || true
trap - INT
grep -vE '^\[( RUN|       OK|-----)' "$logs/gpu.txt" | tail -n 60 || true
# Those labelled gpu that are programs of their own.
ctest --test-dir "$build" --label-regex '^gpu$' --exclude-regex '^gpu$' --output-junit "$PWD/$logs/programs.xml" \
  --output-on-failure | tail -n 40 || true

say "Running the tests of the host, and beside them compute-sanitizer"
jobs=$(($(job_count) - 4))
ctest --test-dir "$build" --parallel "$((jobs > 1 ? jobs : 1))" --label-exclude 'gpu|lint' \
  --output-junit "$PWD/$logs/host.xml" --output-on-failure >"$logs/host.txt" &
host_tests=$!
if [ "$sanitize" = yes ]; then
  sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
  [ -x "$sanitizer" ] || die "compute-sanitizer is needed (or --skip-sanitizer)"
  # The libraries behind the baselines are not ours to check; times mean nothing here.
  filter='-*cusparse*:*cublas*:*Measure*:*Huge*:*BeyondFourBillion*'
  # One process a tool: more of them take turns on the GPU and end no sooner.
  tools=(racecheck memcheck initcheck synccheck)
  for tool in "${tools[@]}"; do
    options=()
    # Tests copy whole arrays back, the part beyond what an encoder had to write included.
    [ "$tool" != initcheck ] || options=(--check-api-memory-access no)
    SPIKETUNE_SMALL_TESTS=1 "$sanitizer" --tool "$tool" "${options[@]}" --error-exitcode 9 --print-limit 20 \
      "$build/tests/spiketune_gpu_tests" --gtest_filter="$filter" >"$logs/$tool.txt" 2>&1 &
    checks+=($!)
  done
  wait "${checks[@]}" || true
  for tool in "${tools[@]}"; do
    grep -qE '(ERROR SUMMARY: 0 errors|RACECHECK SUMMARY: 0 hazards)' "$logs/$tool.txt" || {
      # What it found first, and in which test; after an error that ends the context all others fail.
      grep -m 12 -B 1 '^=========' "$logs/$tool.txt" || true
      tail -n 30 "$logs/$tool.txt"
    }
  done
fi

wait "$host_tests" || tail -n 40 "$logs/host.txt"
tail -n 3 "$logs/host.txt"

python3 - "$logs" "$out" "$hash" "$sanitize" <<'PY'
import datetime, glob, json, os, re, subprocess, sys
import xml.etree.ElementTree as xml

logs, out, source_hash, sanitize = sys.argv[1:]
query = "name,driver_version,compute_cap"
name, driver, capability = [
    field.strip()
    for field in subprocess.check_output(
        ["nvidia-smi", "--query-gpu=" + query, "--format=csv,noheader"], text=True
    ).splitlines()[0].split(",")
]
suite = xml.parse(f"{logs}/host.xml").getroot()
host = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "skipped")}
gpu = json.load(open(f"{logs}/gpu.json")) if os.path.exists(f"{logs}/gpu.json") else None
gpu_counts = {"tests": 0, "failures": 1, "skipped": 0}
if gpu:
    cases = [case for group in gpu["testsuites"] for case in group["testsuite"]]
    gpu_counts = {
        "tests": len(cases),
        "failures": sum("failures" in case for case in cases),
        "skipped": sum(case["result"] == "SKIPPED" for case in cases),
    }
if os.path.exists(f"{logs}/programs.xml"):
    programs = xml.parse(f"{logs}/programs.xml").getroot()
    for key in gpu_counts:
        gpu_counts[key] += int(programs.get(key, 0))
tools = {}
for path in sorted(glob.glob(f"{logs}/*check.txt")):
    text = open(path, errors="replace").read()
    found = re.search(r"ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard", text)
    ran = re.search(r"(\d+) tests? from \d+ test suites? ran", text)
    passed = re.search(r"\[  PASSED  \] (\d+) test", text)
    tools[os.path.basename(path).split(".")[0]] = {
        # A process without a summary did not end: an error.
        "errors": int(found.group(1) or found.group(2)) if found else 1,
        "tests": int(ran.group(1)) if ran else 0,
        "passed": int(passed.group(1)) if passed else 0,
    }
clean = all(tool["errors"] == 0 and tool["tests"] > 0 for tool in tools.values())
record = {
    "schema": "spiketune.gpu_verification/1",
    "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    "source_hash": source_hash,
    "gpu": name,
    "compute_capability": capability,
    "driver": driver,
    "nvcc": subprocess.run(["nvcc", "--version"], capture_output=True, text=True).stdout.strip().splitlines()[-1:],
    "host_tests": host,
    "gpu_tests": gpu_counts,
    "sanitizer": tools if sanitize == "yes" else None,
    "passed": host["failures"] == 0 and gpu_counts["failures"] == 0 and gpu_counts["tests"] > gpu_counts["skipped"] and clean,
}
os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
with open(out, "w") as file:
    json.dump(record, file, indent=2)
    file.write("\n")
print(json.dumps(record, indent=2))
sys.exit(0 if record["passed"] else 1)
PY
