#!/usr/bin/env bash
# A Slurm of one node runs a sweep as an array of four parts on the host backend; merged, it is the unsharded sweep.
#   slurm_test.sh PROGRAM SOURCE_DIR
set -euo pipefail
program=$(realpath "$1")
source_dir=$(realpath "$2")
skip() {
  echo "skipped: $*"
  exit 77
}
for tool in munged slurmctld slurmd sbatch; do
  command -v "$tool" >/dev/null || PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || skip "$tool is not installed (slurmctld slurmd slurm-client munge)"
done
[ "$(id -u)" = 0 ] || skip "slurmd has to run as root"
export PATH=$PATH:/usr/sbin
folder=$(mktemp -d /tmp/spiketune-slurm.XXXXXX)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap stop EXIT
host=$(hostname -s)
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }
mkdir -p "$folder/state" "$folder/spool"
dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
chmod 600 "$folder/munge.key"
chmod 755 "$folder"
# munged trusts only folders that nobody but their owner can write to.
munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" >"$folder/munged.out" 2>&1 &
pids+=($!)
for _ in $(seq 50); do [ -S "$folder/munge.socket" ] && break; sleep 0.1; done
[ -S "$folder/munge.socket" ] || { cat "$folder"/munged.*; skip "munged does not start here"; }
cat >"$folder/slurm.conf" <<END
ClusterName=spiketune
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
MinJobAge=300
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$folder/slurm.conf
slurmctld -D >"$folder/slurmctld.out" 2>&1 &
pids+=($!)
slurmd -D >"$folder/slurmd.out" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
  sinfo -h -o %t 2>/dev/null | grep -q idle && break
  sleep 0.2
done
sinfo -h -o %t 2>/dev/null | grep -q idle || {
  tail -5 "$folder"/slurm*.out "$folder"/slurm*.log
  skip "Slurm does not start here"
}
sweep=(--shape "64x48x16,32x32x8,16x70x8" --density "0.05,0.1,0.2" --timesteps 2 --backend host --threads 1 --no-baselines
  --max-samples 3 --max-seconds-per-candidate 0.05)
SPIKETUNE=$program "$source_dir/scripts/slurm/submit.sh" 4 "$folder/out" -- "${sweep[@]}"
for _ in $(seq 600); do
  [ -z "$(squeue -h)" ] && break
  sleep 0.5
done
[ -s "$folder/out/report.json" ] || {
  tail -n 5 "$folder"/out/*.log
  echo "the array left no report"
  exit 1
}
"$program" sweep "${sweep[@]}" --out "$folder/whole.json" --quiet
python3 - "$folder/out/report.json" "$folder/whole.json" <<'END'
import json
import sys

merged, whole = (json.load(open(path)) for path in sys.argv[1:3])


def work(report):
    return [[point[key] for key in ("index", "problem", "format", "kernel", "config", "status", "nnz", "bytes")]
            for point in report["points"]]


assert merged["complete"] and len(merged["shards"]) == 4
assert work(merged) == work(whole), "the parts together are not the sweep"
assert merged["plan"] == whole["plan"]
print(f"4 parts, {len(merged['points'])} points: the same as unsharded")
END
