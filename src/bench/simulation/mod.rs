//! Simulated runs: what a broker with faults does on a virtual clock must come back exactly in the result document.
//!
//! The whole of mqbench from the command line to the document runs here, but for the sockets, the threads and the
//! clock: connections are pipes in memory, shards are tasks of one runtime, and its clock jumps to the next timer
//! whenever no task has anything left to do. So work takes no time at all, and every figure is known beforehand to the
//! nanosecond. The broker is the core of mqbroker; a script decides what goes wrong with its packets. Times are whole
//! milliseconds, the grain of the runtime's timers. A closed loop needs a delay: without one it never lets the clock go
//! on.

mod broker;
// Shared with the integration tests, where the library is another crate.
mod faults;
#[path = "../../../tests/support/faulty_broker/mod.rs"]
mod faulty_broker;
mod latency;
mod ledger;
mod load;
mod machines;
mod reconnect;
mod script;
mod series;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use self::broker::{Log, SimulatedFaults};
use self::faulty_broker::{FaultyBroker, boundless, run_timers, serve};
use self::script::Script;
use super::engine::{RunError, RunOutcome, RunProgress, WatchedSecond, run_in_place};
use super::plan::{BenchPlan, Target, bench_plan};
use super::report::{self, ResultDocument};
use crate::client::ClientError;
use crate::options::{BenchOptions, Environment, Reading};
use crate::transport::MemoryListener;

/// Where the broker seems to be: an address that no machine has (RFC 5737).
const ADDRESS: &str = "192.0.2.1:1883";

/// A run that has not ended by then never ends.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// What a run came to.
struct Outcome {
    /// The result document, or why the load could not begin.
    result: Result<Value, RunError>,
    /// Connections that were lost under load, by cause.
    lost: BTreeMap<String, u64>,
    /// The last second that was shown while it ran.
    watched: Option<Arc<WatchedSecond>>,
    /// What the broker saw.
    log: Log,
    /// How long it took from the first connect to the last DISCONNECT.
    took: Duration,
}

/// Runs mqbench with these arguments, separated by blanks, against a broker that follows the script.
fn simulate(arguments: &str, script: Script) -> Outcome {
    simulate_until(arguments, script, FOR_EVER)
}

/// The same, interrupted after a while as with Ctrl-C.
fn simulate_until(arguments: &str, script: Script, interrupt: Duration) -> Outcome {
    let plan = bench_plan(&options_of(arguments), &Environment::fixed([], []), &Target::AsTyped).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let Simulated { document, lost, watched, log, took } =
        tokio::task::LocalSet::new().block_on(&runtime, simulate_plan(plan, script, interrupt));
    let result = document.map(|document| {
        let mut document = serde_json::to_value(document).unwrap();
        report::check_schema(&document);
        // The machine below is real: what the other programs on it do (processor time, TCP segments that are sent again)
        // is no part of the simulated run, and differs from one run to the next.
        document["warnings"].as_array_mut().unwrap().retain(|warning| warning["code"] != "generator");
        document
    });
    Outcome { result, lost, watched, log, took }
}

/// The options of these arguments, for the broker of the simulation.
fn options_of(arguments: &str) -> BenchOptions {
    let (host, port) = ADDRESS.split_once(':').unwrap();
    let always = ["mqbench", "-h", host, "-p", port, "--threads", "2"];
    let argv = always.into_iter().chain(arguments.split_whitespace()).map(OsString::from);
    match BenchOptions::read(&Environment::fixed([], []), argv) {
        Ok(Reading::Options(options)) => *options,
        Ok(_) => panic!("{arguments}: no options"),
        Err(error) => panic!("{arguments}: {error}"),
    }
}

/// What a plan came to: [`Outcome`] with the document as such.
struct Simulated {
    document: Result<ResultDocument, RunError>,
    lost: BTreeMap<String, u64>,
    watched: Option<Arc<WatchedSecond>>,
    log: Log,
    took: Duration,
}

/// Runs a plan against a new broker, on the virtual clock of the runtime and its `LocalSet`.
async fn simulate_plan(plan: BenchPlan, script: Script, interrupt: Duration) -> Simulated {
    simulate_noting(plan, script, interrupt, |_, _| {}).await
}

/// The same; `note` may enter what else was known of the run before its document is made.
async fn simulate_noting(
    plan: BenchPlan,
    script: Script,
    interrupt: Duration,
    note: impl FnOnce(&mut ResultDocument, &mut RunOutcome),
) -> Simulated {
    let mut listener = MemoryListener::bind(ADDRESS.parse().unwrap(), script.buffer, script.connect_takes);
    let broker = Rc::new(RefCell::new(FaultyBroker::new(SimulatedFaults::new(script), boundless())));
    let timers = tokio::task::spawn_local(run_timers(Rc::clone(&broker)));
    let listening = Rc::clone(&broker);
    let accepting = tokio::task::spawn_local(async move {
        while let Some(stream) = listener.accept().await {
            tokio::task::spawn_local(serve(Rc::clone(&listening), stream));
        }
    });
    let began = Instant::now();
    let mut watched = None;
    let watch = |progress| {
        if let RunProgress::Measuring { second: Some(second), .. } = progress {
            watched = Some(second);
        }
    };
    let run = run_in_place(plan.clone(), tokio::time::sleep(interrupt), watch);
    let run = tokio::time::timeout(FOR_EVER, run).await.expect("it hangs");
    let lost = run.as_ref().map(|run| run.lost.clone()).unwrap_or_default();
    let document = run.map(|mut run| {
        let mut context = report::context(&plan, Vec::new(), None, chrono::Utc::now());
        note(&mut context, &mut run);
        report::assemble(context, &plan, &run, None, false)
    });
    let took = began.elapsed();
    // The next run has its own broker, at the same address.
    timers.abort();
    accepting.abort();
    let _ = accepting.await;
    let log = broker.borrow().plan.log.clone();
    Simulated { document, lost, watched, log, took }
}

impl Outcome {
    /// The document.
    fn document(&self) -> &Value {
        self.result.as_ref().unwrap_or_else(|error| panic!("no load was made: {error}"))
    }

    /// A part of the document by its path; names are separated by slashes.
    fn at(&self, path: &str) -> &Value {
        self.document().pointer(&format!("/{path}")).unwrap_or_else(|| panic!("the document has no {path}"))
    }

    /// A count or a time in nanoseconds.
    fn number(&self, path: &str) -> u64 {
        self.at(path).as_u64().unwrap_or_else(|| panic!("{path} is {}", self.at(path)))
    }

    /// Several of them.
    fn numbers<const N: usize>(&self, paths: [impl AsRef<str>; N]) -> [u64; N] {
        paths.map(|path| self.number(path.as_ref()))
    }

    /// How long the last drain took.
    fn drain(&self) -> Duration {
        let phase = self.at("phases").as_array().and_then(|phases| phases.last()).expect("there are phases");
        assert_eq!(phase["name"], "drain");
        Duration::from_nanos(phase["duration_ns"].as_u64().unwrap())
    }

    /// Why the load could not begin.
    fn error(self) -> ClientError {
        match self.result {
            Err(RunError::Client { error, .. }) => error,
            other => panic!("no client failed: {other:?}"),
        }
    }

    /// Asserts that a latency has `count` samples, all of them this long, and no percentile that needs more samples.
    fn all_took(&self, latency: &str, count: u64, each: Duration) {
        let each = each.as_nanos() as u64;
        let figures = ["count", "min", "mean", "max"].map(|name| format!("latency/{latency}/{name}"));
        assert_eq!(self.numbers(figures), [count, each, each, each], "{latency}: count, min, mean, max");
        for (name, above) in [("50", 2), ("90", 10), ("99", 100), ("99.9", 1_000), ("99.99", 10_000)] {
            let percentile = self.at(&format!("latency/{latency}/p/{name}")).as_u64();
            assert_eq!(percentile, (count / above >= 10).then_some(each), "{latency} p{name}");
        }
    }

    /// Asserts the figures of the ledger: expected, delivered once, lost, duplicates, of these flagged, reordered.
    fn has_ledger(&self, figures: [u64; 6]) {
        let names = ["expected", "delivered_once", "lost", "duplicates", "dup_flagged", "reordered"];
        assert_eq!(self.numbers(names.map(|name| format!("delivery/{name}"))), figures, "{names:?}");
        assert_eq!(self.at("invalid"), &Value::Array(Vec::new()));
    }
}
