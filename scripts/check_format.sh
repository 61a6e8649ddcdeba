#!/usr/bin/env bash
# Checks (or with --fix mends) the layout of all C++ and CUDA files with clang-format 14.
# Exits 77 where there is no clang-format 14: other versions disagree.
set -euo pipefail
cd "$(dirname "$0")/.."
formatter=$(command -v clang-format-14 || command -v clang-format || true)
if [ -z "$formatter" ] || ! "$formatter" --version | grep -q 'version 14\.'; then
  echo "skipped: clang-format 14 is not installed"
  exit 77
fi
mode=(--dry-run --Werror)
[ "${1:-}" != --fix ] || mode=(-i)
find core formats encoders kernels datasets autotune cli tests bench examples python c \
  \( -name '*.hpp' -o -name '*.h' -o -name '*.c' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
  xargs -0 "$formatter" "${mode[@]}"
