#!/usr/bin/env bash
# Installs the Python package into a virtual environment, as a user would, and runs its tests. Those of PyTorch, which is
# large, are skipped unless it is there: build/python-venv/bin/pip install torch snntorch spikingjelly
# Exit code 77, with the reason, where a virtual environment or PyPI cannot be had.
#
# usage: scripts/test_python.sh [FOLDER]     default: build/python-venv
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-build/python-venv}

skip() {
  echo "skipped: $1"
  exit 77
}

python=$(command -v python3) || skip "no python3"
"$python" -c 'import sys, sysconfig, os; os.path.exists(sysconfig.get_paths()["include"] + "/Python.h") or sys.exit(1)' ||
  skip "no Python headers (Debian, Ubuntu: python3-dev)"
[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv" >/dev/null 2>&1 || skip "no virtual environments (Debian, Ubuntu: python3-venv)"
"$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 10 scikit-build-core nanobind numpy pytest scipy pandas mypy ||
  skip "pip cannot install from PyPI here"

# CUDA takes many minutes to compile: SPIKETUNE_CUDA=AUTO asks for it, where the tests of it can run. The tests ask what
# comes out, not how fast: -O1 compiles in two thirds of the time.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
  -C cmake.define.SPIKETUNE_CUDA="${SPIKETUNE_CUDA:-OFF}" -C cmake.define.CMAKE_CXX_FLAGS_RELEASE="-O1 -DNDEBUG" .
cd "$venv" # so that the installed package is tested, not the sources
bin/python -m pytest --quiet -rs --override-ini testpaths= -p no:cacheprovider "$OLDPWD/python/tests"
