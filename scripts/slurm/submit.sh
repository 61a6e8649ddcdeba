#!/usr/bin/env bash
# Submits a sweep as a Slurm job array of N parts, and the merge that follows it.
#
#   scripts/slurm/submit.sh PARTS FOLDER [SBATCH OPTION ...] -- SWEEP OPTION ...
#   scripts/slurm/submit.sh 64 /scratch/sweep --gres=gpu:1 --time=4:00:00 -- \
#       --suite /home/me/large.json --configs all --devices all
#
# FOLDER must be seen by all nodes; it gets part-1.json ... and, in the end, report.json. The program is
# $SPIKETUNE, or spiketune on the PATH. Submitting the same again after a failure goes on where the parts ended.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 3 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
parts=$1
mkdir -p "$2"
OUT=$(cd "$2" && pwd)
SPIKETUNE=$(command -v "${SPIKETUNE:-spiketune}") || { echo "error: no program ${SPIKETUNE:-spiketune}; set SPIKETUNE" >&2; exit 1; }
SPIKETUNE=$(realpath "$SPIKETUNE")
export OUT SPIKETUNE
shift 2
options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  options+=("$1")
  shift
done
[ "${1:-}" = -- ] || { echo "error: what to sweep comes after --" >&2; exit 2; }
shift
array=$(sbatch --parsable --array="1-$parts" --output="$OUT/part-%a.log" "${options[@]}" "$here/sweep.sbatch" "$@")
merge=$(sbatch --parsable --dependency="afterany:$array" --output="$OUT/merge.log" "$here/merge.sbatch")
echo "array $array of $parts parts, then merge $merge: $OUT/report.json"
