//! `mqbench self`: measures the ceiling of the generator against a built-in sink, and compares it with plain blocking
//! sockets that send the same packets. Both alternate over several rounds, so that other load on the machine affects
//! both.

mod case;
mod ceiling;
mod document;
mod limit;
mod measured;
mod recording;
mod sink;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use chrono::{SecondsFormat, Utc};

use self::case::{Case, cases};
use self::document::{CaseFigures, LagFigures, SCHEMA, SelfDocument, table, thread_figures};
use self::limit::PlainSockets;
use self::measured::Measured;
use self::sink::Sink;
use super::engine::{self, RunError, RunOutcome, StageOutcome};
use super::interruption::Interruption;
use super::measure::Percentile;
use super::report::Status;
use super::system::{EnvironmentFacts, thread_cpu};
use crate::exit_status::ExitStatus;
use crate::mqtt::QoS;
use crate::options::{BenchOptions, Environment};
use crate::terminal::number;
use crate::terminal::{Colors, Progress, print, width};

pub(super) use self::ceiling::Ceilings;

/// Name and version of the document that `mqbench self` writes.
pub(super) const SELF_SCHEMA: &str = SCHEMA;

/// Columns of a table that does not go to a terminal, and the most that it uses.
const WIDTH: usize = 100;

/// Load before each measurement, in which connections, buffers and windows grow.
const WARMUP: Duration = Duration::from_millis(60);

/// The schedule at which lateness is measured.
const LAG_RATE: u64 = 10_000;

/// File descriptors that a process needs next to those of the connections.
const OTHER_FILES: u64 = 64;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Effort {
    full: bool,
    threads: usize,
    rounds: usize,
    duration: Duration,
    /// The same for the paced run.
    lag_duration: Duration,
}

impl Effort {
    fn of(options: &BenchOptions) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = options.load.threads.map_or(cores, usize::from);
        let full = options.calibrate.full;
        let (duration, lag_duration) = if full {
            (Duration::from_millis(500), Duration::from_secs(10))
        } else {
            (Duration::from_millis(200), Duration::from_secs(2))
        };
        Self { full, threads, rounds: 3, duration, lag_duration }
    }
}

/// Runs `mqbench self`: the table on stdout, or the document with `--json`, which also goes to `files`.
///
/// # Errors
/// Sockets, threads, stdout, files. A ceiling that cannot be saved is only a warning.
pub(super) async fn run(
    options: &BenchOptions,
    environment: &Environment,
    interruption: Interruption,
    write: impl FnOnce(&[u8], bool) -> Result<()>,
) -> Result<ExitStatus> {
    let quiet = options.general.quiet;
    let calibration = Calibration {
        effort: Effort::of(options),
        interruption: interruption.clone(),
        progress: Progress::on_stderr(quiet),
        quiet,
    };
    let mut document = calibration.run().await?;
    interruption.write_begins();
    let is_partial = document.status == Status::Partial;
    if !is_partial {
        match ceiling::save(environment, &document.env, &document.cases) {
            Ok(path) => document.saved_to = path.as_deref().map(|path| path.display().to_string()),
            Err(error) if !quiet => crate::terminal::say(format_args!("Warning: the ceiling was not saved: {error}")),
            Err(_) => {}
        }
    }
    if !options.result.json {
        let width = width().unwrap_or(WIDTH).clamp(40, WIDTH);
        print(table(&document, width, Colors::for_stdout()).as_bytes())?;
    }
    let mut text = serde_json::to_vec_pretty(&document).context("the result cannot be written as JSON")?;
    text.push(b'\n');
    write(&text, options.result.json)?;
    Ok(interruption.end(ExitStatus::Done))
}

/// The ceilings in a saved `mqbench-self/1`, and the cores of its machine.
///
/// # Errors
/// It is none.
pub(super) fn read_saved(text: &[u8]) -> serde_json::Result<(Ceilings, EnvironmentFacts)> {
    let document: SelfDocument = serde_json::from_slice(text)?;
    Ok((Ceilings::of_cases(&document.cases), document.env))
}

/// Measures the ceiling of this machine for one kind of message, with all threads; takes about a second.
///
/// # Errors
/// Sockets, threads.
pub(super) async fn measure_now(qos: QoS, size: usize, interruption: Interruption) -> Result<Ceilings> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let duration = Duration::from_millis(200);
    let effort = Effort { full: false, threads, rounds: 3, duration, lag_duration: duration };
    let calibration = Calibration { effort, interruption, progress: Progress::on_stderr(true), quiet: true };
    let case = Case { qos, size, connections: case::MANY, threads };
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        rounds.extend(calibration.engine(case).await?);
    }
    Ok(Ceilings::of_cases(&[CaseFigures::of(&case, &[], &rounds)]))
}

/// A run of `mqbench self`.
struct Calibration {
    effort: Effort,
    interruption: Interruption,
    progress: Progress,
    quiet: bool,
}

/// A case with its rounds.
struct Rounds {
    case: Case,
    limit: Vec<Measured>,
    engine: Vec<Measured>,
}

impl Calibration {
    async fn run(mut self) -> Result<SelfDocument> {
        let started_at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let env = EnvironmentFacts::read();
        let mut rounds = self.cases_that_fit(env.nofile);
        let pieces = rounds.iter().map(|rounds| if rounds.case.threads == 1 { 2 } else { 1 }).sum::<u32>();
        let each = (self.effort.duration + WARMUP).as_secs_f64() * 1.2;
        let total = f64::from(pieces) * each * self.effort.rounds as f64 + self.effort.lag_duration.as_secs_f64();
        self.progress.set_phase("self", total);
        let recording = recording::cost_ns();
        let sched_lag = self.sched_lag().await?;
        let mut done = 0;
        for _ in 0..self.effort.rounds {
            for rounds in &mut rounds {
                if self.is_interrupted() {
                    break;
                }
                self.progress.tick(&rounds.case.text());
                self.round(rounds).await.with_context(|| rounds.case.text())?;
            }
            if self.is_interrupted() {
                break;
            }
            done += 1;
        }
        self.progress.clear();
        let cases: Vec<CaseFigures> = rounds
            .iter()
            .map(|Rounds { case, limit, engine }| {
                CaseFigures::of(case, &limit[..limit.len().min(done)], &engine[..engine.len().min(done)])
            })
            .collect();
        Ok(SelfDocument {
            schema: SCHEMA.to_owned(),
            status: if done < self.effort.rounds { Status::Partial } else { Status::Ok },
            env,
            started_at,
            rounds: done as u64,
            threads: thread_figures(&cases),
            cases,
            recording_ns_per_message: Some(recording),
            sched_lag,
            ..SelfDocument::default()
        })
    }

    fn is_interrupted(&self) -> bool {
        self.interruption.is_interrupted()
    }

    /// The cases for which there are enough file descriptors: both ends of every connection are in this process.
    fn cases_that_fit(&self, files: Option<u64>) -> Vec<Rounds> {
        let mut left_out = 0;
        let mut fit = Vec::new();
        for case in cases(self.effort.full, self.effort.threads) {
            if files.is_some_and(|files| 2 * case.connections as u64 + OTHER_FILES > files) {
                left_out = case.connections;
                continue;
            }
            fit.push(Rounds { case, limit: Vec::new(), engine: Vec::new() });
        }
        if left_out > 0 && !self.quiet {
            let files = 2 * left_out as u64 + OTHER_FILES;
            eprintln!("Warning: skipping the cases with {left_out} connections: they need `ulimit -n {files}`");
        }
        fit
    }

    async fn round(&self, rounds: &mut Rounds) -> Result<()> {
        let case = rounds.case;
        // Plain sockets are measured on one thread only.
        if case.threads == 1 {
            rounds.limit.push(self.limit(case)?);
        }
        if let Some(engine) = self.engine(case).await? {
            rounds.engine.push(engine);
        }
        Ok(())
    }

    fn limit(&self, case: Case) -> Result<Measured> {
        let sink = Sink::start()?;
        let plan = case.plan(sink.address(), &[])?;
        let (address, duration) = (sink.address(), self.effort.duration);
        let work = std::thread::Builder::new()
            .name("limit".to_owned())
            .spawn(move || PlainSockets::connect(&plan, address)?.measure(WARMUP, |elapsed, _| elapsed < duration))?;
        let measured = work.join().map_err(|_| anyhow!("the thread of the plain sockets panicked"))??;
        check(case, &measured, &sink)?;
        Ok(measured)
    }

    /// None when it was interrupted.
    async fn engine(&self, case: Case) -> Result<Option<Measured>> {
        let [warmup, duration] = [WARMUP, self.effort.duration].map(|time| format!("{}ms", time.as_millis()));
        let sink = Sink::start()?;
        let run = self.load(&sink, case, &["--flood", "--warmup", &warmup, "--duration", &duration]).await?;
        let Some(StageOutcome { recorder, measured_ns, usage, .. }) = run.as_ref().and_then(|run| run.stages.first())
        else {
            return Ok(None);
        };
        let counters = &recorder.counters;
        let messages = if case.qos == QoS::AtMostOnce { counters.sent } else { counters.acked };
        // Where threads are not distinguished this is the process's CPU time, which includes the sink.
        let cpu = usage.cpu.filter(|_| thread_cpu().is_some());
        let measured = Measured { messages, wall_ns: *measured_ns, cpu_ns: cpu.map(|cpu| cpu.total_ns()) };
        check(case, &measured, &sink)?;
        Ok(Some(measured))
    }

    /// How late messages are sent at a steady rate.
    async fn sched_lag(&self) -> Result<Option<LagFigures>> {
        self.progress.tick("lateness at a steady rate");
        let case = Case { qos: QoS::AtMostOnce, size: 64, connections: 10, threads: 1 };
        let [rate, duration] = [LAG_RATE.to_string(), format!("{}ms", self.effort.lag_duration.as_millis())];
        let run =
            self.load(&Sink::start()?, case, &["--rate", &rate, "--warmup", "200ms", "--duration", &duration]).await?;
        let stage = run.as_ref().and_then(|run| run.stages.first());
        let Some(histogram) = stage.and_then(|stage| stage.recorder.latency.sched_lag.histogram()) else {
            return Ok(None);
        };
        let [p50_ns, p99_ns] = [Percentile::P50, Percentile::P99].map(|percentile| histogram.percentile(percentile));
        Ok(Some(LagFigures { rate_per_s: LAG_RATE, p50_ns, p99_ns }))
    }

    /// A run of the engine against a sink. None when it was interrupted before the load.
    async fn load(&self, sink: &Sink, case: Case, options: &[&str]) -> Result<Option<RunOutcome>> {
        let plan = case.plan(sink.address(), options)?;
        match engine::run(plan, None, self.interruption.clone().first(), |_| {}, None, None).await {
            Ok(run) if run.lost.is_empty() => Ok(Some(run)),
            Ok(run) => Err(anyhow!(
                "the sink closed {}",
                number::counted(run.lost.values().sum(), "connection", "connections")
            )),
            Err(RunError::Interrupted) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Every acknowledged message must have arrived, or the sink is broken and its figures mean nothing.
fn check(case: Case, measured: &Measured, sink: &Sink) -> Result<()> {
    let arrived = match case.qos {
        // Nothing confirms the last one.
        QoS::AtMostOnce => return Ok(()),
        QoS::AtLeastOnce => sink.published(),
        QoS::ExactlyOnce => sink.completed(),
    };
    if arrived < measured.messages {
        return Err(anyhow!("{} messages were acknowledged, but only {arrived} arrived", measured.messages));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_the_engine_reaches_the_sink() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let case = Case { qos, size: 16, connections: 3, threads: 2 };
            let sink = Sink::start().unwrap();
            let plan = case.plan(sink.address(), &["--flood", "-C", "10000"]).unwrap();
            let run = engine::run(plan, None, std::future::pending(), |_| {}, None, None);
            let run = crate::client::run(run).unwrap().unwrap();
            let counters = &run.stages[0].recorder.counters;
            let acked = if qos == QoS::AtMostOnce { 0 } else { 10_000 };
            assert_eq!((counters.sent, counters.acked), (10_000, acked), "{qos:?}");
            while sink.published() < 10_000 {
                std::thread::yield_now();
            }
            let completed = if qos == QoS::ExactlyOnce { 10_000 } else { 0 };
            assert_eq!((sink.published(), sink.completed()), (10_000, completed), "{qos:?}");
        }
    }
}
