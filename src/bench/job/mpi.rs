//! A script that calls mpirun.

use super::{EXIT_STATUS, Job};

/// The script.
pub(super) fn file(job: &Job) -> String {
    let shards = job.shards;
    let own = [r#"--shard auto --job "$job" --out "$results/shard-%s.json""#, r#"> "$results/shards.txt""#];
    let command = job.command(&own, "    ");
    let merge = job.merge_command("\"$results\"");
    let notes = job.notes();
    let password = if job.takes_password { " -x MQTT_PASSWORD" } else { "" };
    format!(
        r#"#!/bin/bash
# mqbench under Open MPI: {shards} shards of one plan, and one result. mqbench uses no MPI library: mpirun only starts the
# processes and numbers them.
set -u
job=$(date +%s)-$$
# In a folder that all machines share.
results=mqbench-$job
mkdir -p "$results"

if [ $# -gt 0 ]; then
    where=(--hostfile "$1" --map-by node)
else
    where=(--oversubscribe)
fi
[ "$(id -u)" -ne 0 ] || where+=(--allow-run-as-root)
# One shard that fails does not end the others: they name it.
export OMPI_MCA_orte_abort_on_non_zero_status=0 OMPI_MCA_orte_enable_recovery=1

# Shards meet at a barrier and begin together.
mpirun -np {shards} "${{where[@]}}" --bind-to none{password} \
  {command}

{merge}
exit $?

{notes}# Run:     bash FILE           all shards on this machine
#          bash FILE hosts     on the machines of a hostfile, a line each, as in: node1 slots=2
#          MPICH, Intel MPI: replace the line of mpirun by: mpiexec -n {shards} -f hosts
# Collect: the shards write into mqbench-JOB/ in the working folder, which the machines share.
# Merge:   the last command above; again with: mqbench merge mqbench-JOB/shard-*.json --out result.json
# Gate:    give mqbench plan --gate 'e2e.p99 <= 20ms && lost == 0'.
{EXIT_STATUS}"#
    )
}
