#!/bin/sh
# Joins the modules of Debian's libjs-vega into one browser script that defines `vega`.
#
#   bundle_vega.sh /usr/share/javascript/vega vega.bundle.js
#
# Debian ships Vega as one UMD file per module and no joined build, and the files' own browser
# branch overwrites the global `vega` each time. So each file is wrapped as a CommonJS module and
# the parts are assembled as Vega's own index.js does, without maps, trees and word clouds, which
# a report does not draw. Where upstream's single vega.min.js is at hand, use that instead.
set -eu

if [ $# -ne 2 ]; then
  echo "usage: $0 <directory of libjs-vega> <output.js>" >&2
  exit 2
fi
directory=$1
output=$2

# Dependencies first.
modules="vega-util vega-time vega-format vega-loader vega-canvas vega-dataflow vega-scale
  vega-statistics vega-expression vega-event-selector vega-scenegraph vega-selection
  vega-functions vega-transforms vega-encode vega-view-transforms vega-runtime vega-parser
  vega-view"

{
  echo '/* Vega, a visualization grammar. https://vega.github.io/vega/'
  echo '   Copyright (c) 2015-2022, University of Washington Interactive Data Lab. BSD-3-Clause. */'
  echo '(function(){"use strict";var modules={},require=function(n){return modules[n]};'
  for module in $modules; do
    file=$directory/$module.min.js
    if [ ! -r "$file" ]; then
      echo "$0: $file is missing; install libjs-vega or pass its directory" >&2
      exit 1
    fi
    echo "(function(module){var exports=module.exports;"
    # The source maps are not there to be found.
    sed -e '/^\/\/# sourceMappingURL=/d' "$file"
    echo "modules[\"$module\"]=exports;})({exports:{}});"
    # vega-functions asks for this one by the plural.
    [ "$module" != vega-selection ] || echo 'modules["vega-selections"]=modules["vega-selection"];'
  done
  echo 'Object.assign(modules["vega-dataflow"].transforms,modules["vega-transforms"],'
  echo '  modules["vega-encode"],modules["vega-view-transforms"]);'
  echo 'globalThis.vega=Object.assign({},modules["vega-util"],modules["vega-view"],'
  echo '  modules["vega-parser"]);'
  echo '})();'
} > "$output.partial"
mv "$output.partial" "$output"
