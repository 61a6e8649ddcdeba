#!/usr/bin/env bash
# Prints one hash over all sources that a GPU run depends on: names and contents of the C++ and CUDA
# files and of the build files. results/gpu_verification.json records it.
#
#   source_hash.sh [FOLDER ...]   over these folders alone
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- CMakeLists.txt cmake core formats encoders kernels datasets autotune cli tests bench
find "$@" -type f \
  \( -name '*.hpp' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cmake' -o -name CMakeLists.txt \) \
  -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
