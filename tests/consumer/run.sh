#!/usr/bin/env bash
# Installs a build into a fresh folder, builds the consumer and the example plugin against it as
# strangers would, runs the one, and sweeps the other.
# usage: run.sh SOURCE_DIR BUILD_DIR
set -euo pipefail
source_dir=$1
build_dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build_dir" --prefix "$work/prefix" >"$work/install.log" || { cat "$work/install.log"; exit 1; }
for file in bin/spiketune share/man/man1/spiketune.1 share/bash-completion/completions/spiketune; do
  [ -s "$work/prefix/$file" ] || { echo "$file was not installed"; exit 1; }
done
for project in tests/consumer examples examples/plugin; do
  cmake -S "$source_dir/$project" -B "$work/$project" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  cmake --build "$work/$project" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
done
"$work/tests/consumer/consumer"
for example in "$work/examples"/0?_*; do
  [ ! -x "$example" ] || "$example" >"$work/log" || { cat "$work/log"; echo "$example failed"; exit 1; }
done
cmake -S "$source_dir/tests/consumer" -B "$work/cuda" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCOMPONENT=cuda >"$work/log" 2>&1 ||
  grep -q "built without its component 'cuda'" "$work/log" || { cat "$work/log"; exit 1; }
# With a compiler and pkg-config alone.
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name spiketune.pc)")
export PKG_CONFIG_PATH
read -ra flags <<<"$(pkg-config --cflags --libs spiketune)"
"${CXX:-c++}" "$source_dir/tests/consumer/consumer.cpp" "${flags[@]}" -o "$work/by_pkg_config"
# The README's program, as it is written there.
awk '/^## As a library/ {here = 1} here && /^```cpp/ {code = 1; next} /^```/ {here = here && !code; code = 0} code' "$source_dir/README.md" >"$work/readme.cpp"
"${CXX:-c++}" "$work/readme.cpp" "${flags[@]}" -o "$work/readme"
[ "$("$work/readme")" = "6 1" ] || { echo "the README's program prints something else than it says"; exit 1; }
"$work/by_pkg_config"
plugin=$(find "$work/examples/plugin" -name '*.so' | head -n 1)
"$work/prefix/bin/spiketune" sweep --backend host --plugin "$plugin" --formats "$(basename "$plugin" .so | sed 's/^lib//'),csr" \
  --shape 256x128x64 --density 0.05 --max-samples 5 --quiet --out "$work/report.json"
python3 - "$work/report.json" <<'PY'
import json, sys
points = json.load(open(sys.argv[1]))["points"]
bad = [p for p in points if p["status"] != "ok"]
formats = {p["format"] for p in points}
assert len(formats) >= 2 and not bad, (formats, [(p["format"], p["status"], p["reason"]) for p in bad])
print("plugin swept:", ", ".join(sorted(formats)))
PY
