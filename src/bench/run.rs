//! mqbench from its options to its exit status: plan, engine, document, what is printed and written.

mod failure;
mod output;
mod progress_view;

use anyhow::{Context as _, Result};
use chrono::Utc;

use self::failure::{downgrade, failure, idleness, refusal, say_why, silence, silent_groups, unanswered_pings};
use self::output::{Outputs, outputs, write_result};
use self::progress_view::ProgressView;
use super::calibrate::Ceilings;
use super::engine::{self, RunError, RunOutcome};
use super::interruption::Interruption;
use super::plan::{BenchPlan, Target, bench_plan, is_this_machine};
use super::report::{self, BrokerName, Gate, ResultDocument, Status, TlsFacts, summary};
use super::system::raise_open_files;
use super::{calibrate, doctor, identify};
use crate::client::ClientError;
use crate::exit_status::ExitStatus;
use crate::options::{BENCH, BenchOptions, Environment, ResultOptions, UsageError, Verb};
use crate::terminal::{ColourChoice, Colours, print, say, width};
use crate::transport::{TlsClient, check_local_address};

/// Columns of a summary that goes to no terminal, and the most that one uses.
const WIDTH: usize = 100;

/// A broker that the binary has started for this run.
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

/// Runs mqbench. Errors go to stderr, the result to stdout and to the files that were asked for.
pub fn run(options: &BenchOptions, environment: &Environment, own: Option<OwnBroker>) -> ExitStatus {
    if options.load.verb == Some(Verb::Self_) {
        return measure_self(options, environment);
    }
    let target = own.as_ref().map_or(Target::AsTyped, |own| Target::Embedded(own.address));
    let prepared = bench_plan(options, environment, &target)
        .and_then(|plan| Ok((plan, gates(&options.result)?, outputs(options)?)));
    let (plan, gates, files) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("{error}");
            return error.exit_status();
        }
    };
    if options.load.verb == Some(Verb::Doctor) {
        let examine = examine(&plan, own.is_some(), options.result.json, &files);
        return crate::client::run(examine).map_err(Into::into).flatten().unwrap_or_else(failed);
    }
    let run = BenchRun {
        verb: options.load.verb,
        plan,
        gates,
        files,
        json: options.result.json,
        quiet: options.general.quiet,
        ceilings: Ceilings::load(environment),
    };
    let name = own.map(|own| BrokerName {
        name: Some(own.name.to_owned()),
        version: Some(own.version.to_owned()),
        source: Some("embedded".to_owned()),
    });
    crate::client::run(run.measure(name)).map_err(Into::into).flatten().unwrap_or_else(failed)
}

/// `mqbench self`.
fn measure_self(options: &BenchOptions, environment: &Environment) -> ExitStatus {
    let files = match outputs(options) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("{error}");
            return error.exit_status();
        }
    };
    let measure = async {
        let writes_document = options.result.json || !files.is_empty();
        let interruption = Interruption::listen(options.general.quiet, writes_document);
        let write = |text: &[u8], json| write_result(text, json, &files);
        calibrate::run(options, environment, interruption, write).await
    };
    crate::client::run(measure).map_err(Into::into).flatten().unwrap_or_else(failed)
}

/// `mqbench doctor`.
async fn examine(plan: &BenchPlan, embedded: bool, json: bool, files: &Outputs) -> Result<ExitStatus> {
    let findings = doctor::Findings::of(plan, embedded, report::url(plan)).await;
    if !json {
        print(findings.text(Colours::for_stdout(ColourChoice::Auto)).as_bytes())?;
    }
    let text = findings.to_json().context("the findings cannot be written as JSON")?;
    write_result(&text, json, files)?;
    Ok(findings.exit_status())
}

fn failed(error: anyhow::Error) -> ExitStatus {
    say(format_args!("Error: {error:#}"));
    ExitStatus::Failed
}

fn gates(result: &ResultOptions) -> Result<Vec<Gate>, UsageError> {
    let mut faults = Vec::new();
    let mut parse = |text: &String| match Gate::parse(text) {
        Ok(gate) => Some(gate),
        Err(error) => {
            faults.push(format!("--{error}"));
            None
        }
    };
    let gates = result.gate.iter().filter_map(&mut parse).collect();
    UsageError::check(BENCH.name, faults)?;
    Ok(gates)
}

struct BenchRun {
    verb: Option<Verb>,
    plan: BenchPlan,
    gates: Vec<Gate>,
    files: Outputs,
    json: bool,
    quiet: bool,
    ceilings: Ceilings,
}

impl BenchRun {
    async fn measure(self, own: Option<BrokerName>) -> Result<ExitStatus> {
        if let Some(obstacles) = doctor::obstacles(&self.plan, own.is_some(), Colours::for_stderr(ColourChoice::Auto)) {
            let error = "this machine cannot carry out the plan; no connection was made";
            eprintln!("Error: {error}");
            eprint!("{obstacles}");
            let verb = self.verb.map_or_else(String::new, |verb| format!(" {}", verb.name()));
            eprintln!("  'mqbench doctor{verb}' with the same options tells the rest.");
            self.write_failure(report::context(&self.plan, command(), own, Utc::now()), error.to_owned())?;
            return Ok(ExitStatus::Failed);
        }
        raise_open_files();
        for local in self.plan.targets.sources() {
            if let Err(fault) = check_local_address(*local) {
                let hint = fault.hint.map_or_else(String::new, |hint| format!("\n  {hint}"));
                say(format_args!("Error: -A: {}{hint}", fault.cause));
                let context = report::context(&self.plan, command(), own, Utc::now());
                self.write_failure(context, format!("-A: {}", fault.cause))?;
                return Ok(ExitStatus::Failed);
            }
        }
        let interruption = Interruption::listen(self.quiet, self.json || !self.files.is_empty());
        let tls = match self.plan.transport.tls.as_ref().map(TlsClient::new).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                let error = ClientError::Tls(error);
                let status = self.failed_to_begin(&error, None);
                let context = report::context(&self.plan, command(), own, Utc::now());
                self.write_failure(context, error.to_string())?;
                return Ok(status);
            }
        };
        if self.plan.transport.tls.as_ref().is_some_and(|tls| tls.insecure) && !self.quiet {
            eprintln!("Warning: --insecure: neither the broker's certificate nor its name is verified");
        }
        if !self.quiet {
            self.plan.warnings.iter().for_each(|warning| say(format_args!("Warning: {warning}")));
        }
        if !self.quiet && !self.plan.targets.addresses().all(is_this_machine) {
            // Load on another machine is somebody else's business too, and whoever mistakes a host sees it in time.
            eprint!("{}", report::announcement(&self.plan));
        }
        let started_at = Utc::now();
        let mut context = report::context(&self.plan, command(), own, started_at);
        let mut view = ProgressView::new(self.quiet);
        let run = engine::run(self.plan.clone(), tls.clone(), interruption.clone().first(), |step| view.show(step));
        let ran = tokio::select! {
            biased;
            () = interruption.clone().second() => Err(RunError::Interrupted),
            ran = run => ran,
        };
        view.clear();
        if let Ok(ran) = &ran {
            let is_there = ran.stages.iter().any(|stage| stage.connected > 0) && !ran.collapsed;
            if self.plan.asks_sys && context.target.broker.is_none() && is_there {
                context.target.broker = tokio::select! {
                    biased;
                    () = interruption.clone().first() => None,
                    name = identify::broker_name(&self.plan, tls.as_ref()) => name,
                };
            }
        }
        interruption.write_begins();
        let status = self.conclude_or_fail(context, ran, interruption.is_urgent())?;
        Ok(interruption.end(status))
    }

    fn conclude_or_fail(
        &self,
        context: ResultDocument,
        ran: Result<RunOutcome, RunError>,
        urgent: bool,
    ) -> Result<ExitStatus> {
        match ran {
            Ok(ran) => self.conclude(context, &ran),
            Err(RunError::Client { client, clients, error }) => {
                let status = self.failed_to_begin(&error, Some((client, clients)));
                self.write_failure(context, error.to_string())?;
                Ok(status)
            }
            Err(RunError::Interrupted) => {
                let cause = match urgent {
                    true => "interrupted twice: what was measured until then is not known",
                    false => "interrupted before the load began: nothing was measured",
                };
                say(format_args!("Error: {cause}"));
                let document = report::nothing_measured(context, Status::Partial, cause.to_owned());
                self.write(&document)?;
                Ok(document.exit_status())
            }
            Err(error @ RunError::Thread(_)) => Err(error.into()),
        }
    }

    /// Says why there is no load.
    fn failed_to_begin(&self, error: &ClientError, client: Option<(usize, usize)>) -> ExitStatus {
        let place = client.map(|(client, clients)| format!("at client {} of {clients}; no load was made", client + 1));
        say_why(error, place, &self.plan);
        error.exit_status()
    }

    /// Scripts get a document also when nothing could be measured.
    fn write_failure(&self, context: ResultDocument, error: String) -> Result<()> {
        let mut document = report::nothing_measured(context, Status::Failed, error);
        Gate::apply(&self.gates, &mut document);
        self.write(&document)
    }

    fn conclude(&self, mut context: ResultDocument, run: &RunOutcome) -> Result<ExitStatus> {
        let refusal = refusal(run);
        if let Some((client, error)) = &run.first_failure {
            say_why(error, Some(format!("client {} of {} was the first", client + 1, self.plan.clients())), &self.plan);
        }
        // What was measured holds; without --reconnect a load whose clients are lost is another one than was asked for.
        let connected = run.stages.iter().any(|stage| stage.connected > 0);
        let stalled = run.stalled.is_some() && run.lost.is_empty();
        let goes_on = self.plan.idlers > 0 || self.plan.reconnect.is_some() || stalled;
        // What was measured without these faults is no part of what was asked for.
        let nothing = silence(&self.plan, run)
            .or_else(|| idleness(&self.plan, run))
            .or_else(|| unanswered_pings(&self.plan, run));
        let downgrade = downgrade(run);
        let is_partial = nothing.is_none() && downgrade.is_none() && connected && goes_on;
        context.run.error = failure(&self.plan, run)
            .or_else(|| refusal.map(|reason| format!("the broker refused every message: {reason}")))
            .or_else(|| silent_groups(&self.plan, run))
            .or(nothing)
            .or(downgrade.clone());
        if self.plan.idlers == 0
            && run.stages.len() < self.plan.stages.len()
            && !run.interrupted
            && !run.collapsed
            && run.stalled.is_none()
        {
            let text = "the flood carried nothing, so there is no rate to pace at: latency was not measured";
            context.warn("no-paced-stage", text);
        }
        context.target.tls = run
            .tls
            .as_ref()
            .map(|tls| TlsFacts { version: Some(tls.version.to_owned()), cipher: Some(tls.cipher.to_owned()) });
        let ceiling = self.ceilings.of_plan(&self.plan);
        let mut document = report::assemble(context, &self.plan, run, ceiling, is_partial);
        Gate::apply(&self.gates, &mut document);
        if !self.json {
            let width = width().unwrap_or(WIDTH).clamp(40, WIDTH);
            print(summary(&document, width, Colours::for_stdout(ColourChoice::Auto)).as_bytes())?;
        }
        if let Some(error) = &document.run.error {
            say(format_args!("Error: {error}"));
        }
        self.write(&document)?;
        Ok(match refusal {
            Some(reason) if run.lost.is_empty() => ExitStatus::Refused(reason),
            _ if downgrade.is_some() && run.lost.is_empty() => ExitStatus::Downgraded,
            _ => document.exit_status(),
        })
    }

    fn write(&self, document: &ResultDocument) -> Result<()> {
        let mut text = Vec::new();
        document.write_json(&mut text).context("the result cannot be written as JSON")?;
        write_result(&text, self.json, &self.files)
    }
}
