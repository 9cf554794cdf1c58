//! mqbench from its options to its exit status: plan, engine, result document, output.

mod assessment;
mod conclusion;
mod failure;
mod live_view;
mod preflight;
mod progress_view;
pub(super) mod together;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::Utc;

use self::assessment::note_sys;
use self::conclusion::{Conclusion, baseline, gates};
use self::failure::print_connect_error;
use self::preflight::{find_obstacle, print_preface, serve_figures};
use self::progress_view::ProgressView;
use self::together::note_start;
use super::attempt::Attempt;
use super::barrier::Barrier;
use super::calibrate::Ceilings;
use super::compare::Turn;
use super::engine::{self, RunError};
use super::interruption::Interruption;
use super::measure::LiveFigures;
use super::output::{Outputs, outputs, write_json};
use super::plan::{BenchPlan, RunTag, Target, bench_plan};
use super::report::{self, BrokerName, ResultDocument, Status};
use super::sys_sampler::SysSampler;
use super::{calibrate, compare, doctor, find, identify, job, saved};
use crate::client::ClientError;
use crate::exit_status::ExitStatus;
use crate::options::{BenchOptions, Environment, Verb};
use crate::terminal::{Colors, print, say};
use crate::transport::TlsClient;

/// Between two runs, where nothing else is asked for.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// The embedded broker that was started for this run.
#[derive(Clone, Debug)]
pub struct OwnBroker {
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// The command line as the result document quotes it.
fn command() -> Vec<String> {
    BenchOptions::masked_command_line(std::env::args_os())
}

/// Runs mqbench. Errors go to stderr, the result to stdout and to the files of `--out`.
pub fn run(options: &BenchOptions, environment: &Environment, own: Option<OwnBroker>) -> ExitStatus {
    match options.load.verb {
        Some(Verb::Self_) => return measure_self(options, environment),
        Some(verb @ (Verb::Report | Verb::Merge)) => {
            let work = if verb == Verb::Merge { saved::merge } else { saved::report };
            return match gates(options).and_then(|gates| Ok((gates, baseline(options)?))) {
                Ok((gates, baseline)) => work(options, &gates, baseline.as_ref()).unwrap_or_else(failed),
                Err(error) => error.report(),
            };
        }
        Some(Verb::Compare) => return compare::compare_files(options).unwrap_or_else(failed),
        Some(Verb::Plan) => return job::run(options, environment).unwrap_or_else(failed),
        _ => {}
    }
    let target = own.as_ref().map_or(Target::AsTyped, |own| Target::Embedded(own.address));
    let prepared = bench_plan(options, environment, &target).and_then(|plan| {
        if options.load.verb == Some(Verb::Find) {
            find::Settings::from_options(options, &plan)?;
        }
        let conclusion = Conclusion::from_options(options, plan.shard)?;
        if options.repeat.ab {
            conclusion.files().check_comparison()?;
        }
        Ok((plan, conclusion))
    });
    let (mut plan, conclusion) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("{error}");
            return error.exit_status();
        }
    };
    if options.load.verb == Some(Verb::Doctor) {
        let files = conclusion.files();
        if let Err(error) = files.check_json("doctor") {
            return error.report();
        }
        let examine = examine(&plan, own.is_some(), options.result.json, files);
        return crate::client::run(examine).map_err(Into::into).flatten().unwrap_or_else(failed);
    }
    if options.targets.broker_pid.is_none() && own.is_none() {
        plan.find_processes(options.repeat.ab);
    }
    let run = BenchRun {
        options,
        environment,
        plan,
        conclusion,
        ceilings: Ceilings::load(environment),
        live: options.result.prometheus.is_some().then(Arc::<LiveFigures>::default),
        own: own.map(|own| BrokerName {
            name: Some(own.name.to_owned()),
            version: Some(own.version.to_owned()),
            source: Some("embedded".to_owned()),
        }),
    };
    crate::client::run(run.run()).map_err(Into::into).flatten().unwrap_or_else(failed)
}

/// `mqbench self`.
fn measure_self(options: &BenchOptions, environment: &Environment) -> ExitStatus {
    let files = outputs(options, None).and_then(|files| files.check_json("self").map(|()| files));
    let files = match files {
        Ok(files) => files,
        Err(error) => {
            eprintln!("{error}");
            return error.exit_status();
        }
    };
    let measure = async {
        let writes_document = options.result.json || !files.is_empty();
        let interruption = Interruption::listen(options.general.quiet, writes_document);
        let write = |text: &[u8], json| write_json(text, json, &files);
        calibrate::run(options, environment, interruption, write).await
    };
    crate::client::run(measure).map_err(Into::into).flatten().unwrap_or_else(failed)
}

/// `mqbench doctor`.
async fn examine(plan: &BenchPlan, embedded: bool, json: bool, files: &Outputs) -> Result<ExitStatus> {
    let findings = doctor::Findings::of(plan, embedded, report::url(plan)).await;
    if !json {
        print(findings.text(Colors::for_stdout()).as_bytes())?;
    }
    let text = findings.to_json().context("the findings cannot be written as JSON")?;
    write_json(&text, json, files)?;
    Ok(findings.exit_status())
}

fn failed(error: anyhow::Error) -> ExitStatus {
    say(format_args!("Error: {error:#}"));
    ExitStatus::Failed
}

/// One command line that generates a load.
struct BenchRun<'a> {
    options: &'a BenchOptions,
    environment: &'a Environment,
    plan: BenchPlan,
    conclusion: Conclusion<'a>,
    ceilings: Ceilings,
    /// What `--prometheus` serves.
    live: Option<Arc<LiveFigures>>,
    /// The embedded broker, if this is its run.
    own: Option<BrokerName>,
}

impl BenchRun<'_> {
    async fn run(self) -> Result<ExitStatus> {
        let (options, plan) = (self.options, &self.plan);
        let (verb, quiet) = (options.load.verb, options.general.quiet);
        let fail = |error| {
            self.conclusion.conclude_failure(report::nothing_measured(self.context(plan), Status::Failed, error))
        };
        if let Some(error) = find_obstacle(plan, verb, self.own.is_some()) {
            fail(error)?;
            return Ok(ExitStatus::Failed);
        }
        let interruption = Interruption::listen(quiet, self.conclusion.writes_document());
        let tls = match plan.transport.tls.as_ref().map(TlsClient::new).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                let error = ClientError::Tls(error);
                print_connect_error(&error, None, plan);
                fail(error.to_string())?;
                return Ok(error.exit_status());
            }
        };
        let served = options.result.prometheus.as_ref().zip(self.live.clone());
        // It serves until the end of the run.
        let _server = match served.map(|(address, live)| serve_figures(address, live, plan, quiet)).transpose() {
            Ok(server) => server,
            Err(error) => {
                fail(error)?;
                return Ok(ExitStatus::Failed);
            }
        };
        if !quiet {
            print_preface(plan);
        }
        let tls = tls.as_ref();
        let status = match (verb, options.repeat.count(), options.repeat.ab) {
            (Some(Verb::Find), ..) => self.find(tls, &interruption).await?,
            (_, 1, false) => {
                let attempt = self.measure(plan, tls, &interruption).await?;
                interruption.write_begins();
                self.conclusion.conclude(attempt)?
            }
            (_, runs, false) => self.repeat(runs as usize, tls, &interruption).await?,
            (_, runs, true) => self.alternate(runs as usize, tls, &interruption).await?,
        };
        Ok(interruption.end(status))
    }

    /// What is known of a run before it begins.
    fn context(&self, plan: &BenchPlan) -> ResultDocument {
        let mut context = report::context(plan, command(), self.own.clone(), Utc::now());
        let result = &self.options.result;
        (context.run.name, context.run.labels) = (result.name.clone(), result.label.iter().cloned().collect());
        context
    }

    /// Runs a plan once.
    async fn measure(&self, plan: &BenchPlan, tls: Option<&TlsClient>, interruption: &Interruption) -> Result<Attempt> {
        let mut context = self.context(plan);
        let mut view = ProgressView::new(plan, self.options.general.quiet);
        let show = |progress| view.show(progress);
        let sampler = plan.samples_sys.then(|| SysSampler::start(plan, tls));
        let live = self.live.clone();
        let identity = format!("{} {:?} {}", context.tool.version, context.run.plan_hash, plan.seed);
        let (barrier, together) = Barrier::start(plan, tls, identity, self.environment.random()).unzip();
        let run = engine::run(plan.clone(), tls.cloned(), interruption.clone().first(), show, live, together);
        let ran = tokio::select! {
            biased;
            () = interruption.clone().second() => Err(RunError::Interrupted),
            ran = run => ran,
        };
        view.clear();
        if let Some(barrier) = barrier {
            note_start(&mut context, barrier.finish().await, ran.as_ref().ok());
        }
        if let Ok(ran) = &ran {
            if let Some(sampler) = sampler {
                note_sys(&mut context, &sampler.finish().await, ran);
            }
            let is_reachable = ran.stages.iter().any(|stage| stage.connected > 0) && !ran.collapsed;
            if plan.asks_sys && context.target.broker.is_none() && is_reachable {
                context.target.broker = tokio::select! {
                    biased;
                    () = interruption.clone().first() => None,
                    name = identify::broker_name(plan, tls) => name,
                };
            }
        }
        assessment::attempt(plan, context, ran, &self.ceilings, interruption.is_urgent())
    }

    /// The plan for one more run: its own tag, against one broker where two take turns.
    fn plan_again(&self, side: Option<usize>) -> BenchPlan {
        let plan = self.plan.again(RunTag(self.environment.random() as u16));
        side.map_or(plan.clone(), |side| plan.for_broker(side))
    }

    /// Makes the runs of a series.
    async fn series(
        &self,
        turns: &[Turn],
        tls: Option<&TlsClient>,
        interruption: &Interruption,
    ) -> Result<Vec<(Turn, Attempt)>> {
        let measure = async |turn: Turn| {
            let plan = self.plan_again(self.options.repeat.ab.then_some(turn.side));
            if !self.options.general.quiet {
                let broker = if self.options.repeat.ab { report::url(&plan) } else { String::new() };
                say(format_args!("{}", format!("run {} of {}  {broker}", turn.number, turn.of).trim_end()));
            }
            self.measure(&plan, tls, interruption).await
        };
        let pause = async |time| {
            tokio::select! {
                biased;
                () = interruption.clone().first() => true,
                () = tokio::time::sleep(time) => false,
            }
        };
        let cool_down = self.options.repeat.cool_down.unwrap_or(COOL_DOWN);
        let attempts = compare::run_series(turns, cool_down, measure, pause).await?;
        interruption.write_begins();
        Ok(attempts)
    }

    /// `--runs`: several runs, one result.
    async fn repeat(&self, runs: usize, tls: Option<&TlsClient>, interruption: &Interruption) -> Result<ExitStatus> {
        let turns = compare::turns(runs, 1, self.plan.seed);
        let attempts = self.series(&turns, tls, interruption).await?;
        match one_result(attempts.into_iter().map(|(_, attempt)| attempt).collect(), runs) {
            Some(attempt) => self.conclusion.conclude(attempt),
            None => Ok(ExitStatus::Failed),
        }
    }

    /// `--ab`: runs against two brokers in turns, and the comparison.
    async fn alternate(&self, runs: usize, tls: Option<&TlsClient>, interruption: &Interruption) -> Result<ExitStatus> {
        let turns = compare::turns(runs, 2, self.plan.seed);
        let mut sides = [Vec::new(), Vec::new()];
        for (turn, attempt) in self.series(&turns, tls, interruption).await? {
            sides[turn.side].push(attempt);
        }
        let names = [0, 1].map(|side| report::url(&self.plan.for_broker(side)));
        match sides.map(|attempts| one_result(attempts, runs)) {
            [Some(base), Some(new)] if base.has_load && new.has_load => {
                self.conclusion.conclude_two(names, [base, new])
            }
            // Without figures of both there is nothing to compare: the one that failed says why.
            [one, other] => {
                let mut found: Vec<Attempt> = one.into_iter().chain(other).collect();
                found.sort_by_key(|attempt| attempt.has_load);
                let first = found.into_iter().next();
                first.map_or(Ok(ExitStatus::Failed), |attempt| self.conclusion.conclude(attempt))
            }
        }
    }

    /// `mqbench find`.
    async fn find(&self, tls: Option<&TlsClient>, interruption: &Interruption) -> Result<ExitStatus> {
        let settings = match find::Settings::from_options(self.options, &self.plan) {
            Ok(settings) => settings,
            Err(error) => return Ok(error.report()),
        };
        let measure = async |plan: BenchPlan| {
            let plan = plan.again(RunTag(self.environment.random() as u16));
            self.measure(&plan, tls, interruption).await
        };
        let say = |line: &str| {
            if !self.options.general.quiet {
                say(format_args!("{line}"));
            }
        };
        let attempt = find::find(&self.plan, &settings, measure, say).await?;
        interruption.write_begins();
        self.conclusion.conclude(attempt)
    }
}

/// One result out of the runs of one side: a single one as it is.
fn one_result(attempts: Vec<Attempt>, planned: usize) -> Option<Attempt> {
    let status = attempts.iter().find_map(|attempt| attempt.status);
    match <[Attempt; 1]>::try_from(attempts) {
        Ok([only]) if !only.has_load => Some(only),
        Ok([only]) => several(vec![only], planned, status),
        Err(attempts) => several(attempts, planned, status),
    }
}

fn several(attempts: Vec<Attempt>, planned: usize, status: Option<ExitStatus>) -> Option<Attempt> {
    let documents = attempts.into_iter().map(|attempt| attempt.document).collect();
    Some(Attempt { document: compare::enter_runs(documents, planned)?, status, has_load: true })
}
