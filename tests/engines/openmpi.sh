#!/usr/bin/env bash
# Open MPI: the printed script with 4 shards on this machine, and with a shard that is killed; merged and compared with one
# process.
. "$(dirname "$0")/lib.sh"
need mpirun openmpi-bin
need jq jq
start_broker
cd "$scratch"

one_process one.json
job_file mpi >job.sh
mkdir job && (cd job && finished bash ../job.sh >out.txt 2>&1) || fail "job.sh: $(tail -5 job/out.txt)"
one_process again.json
echo "== on this machine"
compare one.json again.json job/mqbench-*/result.json

echo "== with a shard that is killed"
cat >die.sh <<'SH'
#!/bin/bash
[ "$OMPI_COMM_WORLD_RANK" != 2 ] || exec timeout -s KILL 2 "$@"
exec "$@"
SH
sed "s|^  mqbench|  bash $scratch/die.sh mqbench|" job.sh >killed.sh
mkdir killed
status=0
(cd killed && bash ../killed.sh >out.txt 2>&1) || status=$?
names_killed "$status" killed/out.txt
