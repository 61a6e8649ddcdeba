# Sourced by the other scripts: what this machine has, and getting what is missing.
# shellcheck shell=bash

say() { printf '==> %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# shellcheck disable=SC2034  # used by the scripts that source this
BUILD_PACKAGES=(g++ make cmake ninja-build git pkg-config nlohmann-json3-dev libfmt-dev libcli11-dev
  libzip-dev zlib1g-dev libeigen3-dev libopenblas-dev libjs-vega libhdf5-dev
  libflatbuffers-dev flatbuffers-compiler liblz4-dev libzstd-dev libgtest-dev libbenchmark-dev)
# shellcheck disable=SC2034  # used by test.sh
TEST_PACKAGES=(python3 python3-numpy python3-scipy python3-jsonschema python3-h5py
  python3-flatbuffers python3-lz4 python3-zstandard clang-format-14 clang-tidy-14 shellcheck libboost-context-dev libomp-14-dev)
# Speeds things up or widens what is tested; a machine that does not offer them goes on without.
# shellcheck disable=SC2034
OPTIONAL_PACKAGES=(ccache python3-venv python3-dev chromium munge slurmctld slurmd slurm-client)

# The packages among "$@" that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      echo "$package"
    fi
  done
}

# Runs a command as root, or fails where that takes a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

# Installs the packages among "$@" that are missing, or lists them and stops.
need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "This is not a Debian or Ubuntu system, so nothing is installed. Needed (Debian's names): $*"
    return
  fi
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
    die "these packages are missing and only root may install them; run: sudo apt-get install ${missing[*]}"
  fi
  say "Installing ${missing[*]}"
  as_root apt-get update -qq || say "The package lists could not be refreshed; trying with those that are there"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
}

# The same, but goes on without those that cannot be had.
want_packages() {
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || return 0
  local package
  for package in $(missing_packages "$@"); do
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || continue
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
      say "Going on without $package, which this system does not offer"
  done
}

# Sets NVCC (empty where there is none) and GPU (the first GPU's name, or empty), and says so.
find_cuda() {
  NVCC=$(command -v nvcc || true)
  if [ -z "$NVCC" ] && [ -x /usr/local/cuda/bin/nvcc ]; then NVCC=/usr/local/cuda/bin/nvcc; fi
  GPU=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 || true)
  if [ -z "$NVCC" ]; then
    say "No CUDA toolkit found: building the host backend"
  elif [ -z "$GPU" ]; then
    say "CUDA toolkit found ($NVCC), but no GPU: building both backends, measuring the host's"
  else
    say "CUDA toolkit ($NVCC) and GPU ($GPU) found: building both backends, measuring the GPU's"
  fi
}

# The number of parallel jobs: all cores, but no more than one for every 2 GiB of memory.
job_count() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo 2>/dev/null || echo "$cores")
  [ "$memory" -ge 1 ] || memory=1
  echo $((cores < memory ? cores : memory))
}
