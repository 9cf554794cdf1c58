#!/usr/bin/env bash
# Slurm: a cluster of four nodes on this machine (slurmd -N), with its own munge key, sockets, ports and folders; the
# printed file by sbatch with 4 shards, one per node, and with a shard that is killed. Needs root.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || fail "run it as root: slurmd starts jobs of other users"
need sbatch slurm-wlm
need slurmctld slurmctld
need slurmd slurmd
need munged munge
need jq jq
start_broker
cd "$scratch"
chmod 755 "$scratch"

mkdir munge state spool
dd if=/dev/urandom of=munge/key bs=1024 count=1 status=none
chmod 400 munge/key
chmod 711 munge
munged --foreground --force --socket="$scratch/munge/socket" --key-file="$scratch/munge/key" \
    --pid-file="$scratch/munge/pid" --log-file="$scratch/munge/log" --seed-file="$scratch/munge/seed" 2>munge/err &
pids+=($!)
wait_for munged test -S munge/socket

host=$(hostname -s)
{
    cat <<CONF
ClusterName=mqbench
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$scratch/munge/socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$scratch/state
SlurmdSpoolDir=$scratch/spool/%n
SlurmctldPidFile=$scratch/slurmctld.pid
SlurmdPidFile=$scratch/slurmd.%n.pid
SlurmctldLogFile=$scratch/slurmctld.log
SlurmdLogFile=$scratch/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmdParameters=config_overrides
MpiDefault=none
CONF
    for node in 0 1 2 3; do
        echo "NodeName=n$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=2 State=UNKNOWN"
    done
    echo "PartitionName=all Nodes=n[0-3] Default=YES MaxTime=INFINITE State=UP"
} >slurm.conf
export SLURM_CONF=$scratch/slurm.conf
slurmctld -D -f "$SLURM_CONF" >slurmctld.out 2>&1 &
pids+=($!)
for node in 0 1 2 3; do
    mkdir "spool/n$node"
    slurmd -D -N "n$node" -f "$SLURM_CONF" >"slurmd.n$node.out" 2>&1 &
    pids+=($!)
done
all_idle() { [ "$(sinfo -h -N -t idle -o %N | wc -l)" -eq 4 ]; }
wait_for "the cluster of four nodes" all_idle
sinfo

one_process one.json
job_file slurm >job.sbatch
mkdir job && (cd job && finished sbatch --wait ../job.sbatch) || fail "sbatch: $(tail -5 job/*.log)"
one_process again.json
echo "== four nodes"
compare one.json again.json job/mqbench-*/result.json

echo "== with a shard that is killed"
cat >die.sh <<'SH'
#!/bin/bash
[ "$SLURM_PROCID" != 2 ] || exec timeout -s KILL 2 "$@"
exec "$@"
SH
sed "s|^  mqbench|  bash $scratch/die.sh mqbench|" job.sbatch >killed.sbatch
mkdir killed
status=0
(cd killed && sbatch --wait ../killed.sbatch) || status=$?
names_killed "$status" killed/*.log
