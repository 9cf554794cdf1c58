//! How a shard started: what the barrier and the engine know of it, in the result.

use std::time::Duration;

use crate::bench::barrier::BarrierReport;
use crate::bench::engine::RunOutcome;
use crate::bench::measure::Fault;
use crate::bench::plan::named_shards;
use crate::bench::report::ResultDocument;

/// The most by which the start of a shard may be off.
const LATEST_START: Duration = Duration::from_millis(50);

/// Enters how this shard started.
pub(in crate::bench) fn note_start(context: &mut ResultDocument, report: BarrierReport, ran: Option<&RunOutcome>) {
    let BarrierReport { start_unix_ns, clock, lost } = report;
    let late_ns = ran.and_then(|ran| ran.start_late).map(|late| late.as_nanos() as u64);
    let bound_ns = clock.map(|clock| clock.bound_ns);
    let Some(shard) = &mut context.run.shard else { return };
    let began = |late: u64| start_unix_ns.map(|start| start.saturating_add_unsigned(late));
    shard.started_unix_ns = late_ns.and_then(began);
    shard.start_error_ns = late_ns.map(|late| late.saturating_add(bound_ns.unwrap_or_default()));
    (shard.clock_offset_ns, shard.clock_bound_ns) = (clock.map(|clock| clock.offset_ns), bound_ns);
    let (count, error_ns) = (shard.count, shard.start_error_ns.unwrap_or_default());
    if clock.is_none() && count > 1 && late_ns.is_some() {
        let text = "the clocks of the shards were not compared: their starts are as far apart as their clocks";
        context.warn("clocks-not-compared", text);
    }
    if error_ns > LATEST_START.as_nanos() as u64 {
        context.invalid.push(Fault::late_start(late_ns.unwrap_or_default(), bound_ns.unwrap_or_default()));
    }
    if !lost.is_empty() {
        let shards = named_shards(&lost, count);
        context.warn("shard-lost", format!("{shards} ended during the load without a word: the run is not complete"));
    }
}
