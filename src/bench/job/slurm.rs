//! A file for sbatch.

use super::{EXIT_STATUS, Job};

/// Minutes beside the run itself: starting, connecting, the barrier, writing.
const MINUTES: u64 = 10;

/// The batch file.
pub(super) fn file(job: &Job) -> String {
    let shards = job.shards;
    let time = job
        .length
        .map_or_else(String::new, |length| format!("#SBATCH --time={}\n", length.as_secs().div_ceil(60) + MINUTES));
    let own = [r#"--shard auto --job "$SLURM_JOB_ID" --out "$results/shard-%s.json""#, r#"> "$results/shards.txt""#];
    let command = job.command(&own, "    ");
    let merge = job.merge_command("\"$results\"");
    let notes = job.notes();
    format!(
        r#"#!/bin/bash
# mqbench on Slurm: {shards} shards of one plan, each on its own node, and one result.
#SBATCH --job-name=mqbench
#SBATCH --nodes={shards}
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --no-requeue
#SBATCH --output=mqbench-%j.log
{time}set -u

# In a folder that all nodes share; the one of sbatch is.
results=mqbench-$SLURM_JOB_ID
mkdir -p "$results"

# Shards meet at a barrier and begin together. One that fails does not end the others.
srun --kill-on-bad-exit=0 --wait=0 \
  {command}

{merge}

{notes}# Run:     sbatch --wait FILE      (several shards per node: sbatch --nodes=2 --ntasks-per-node=4 FILE)
# Collect: the shards write into mqbench-JOBID/, and their errors are in mqbench-JOBID.log.
# Merge:   the last command above; again with: mqbench merge mqbench-JOBID/shard-*.json --out result.json
# Gate:    give mqbench plan --gate 'e2e.p99 <= 20ms && lost == 0': sbatch --wait exits with the status of the merge.
{EXIT_STATUS}"#
    )
}
