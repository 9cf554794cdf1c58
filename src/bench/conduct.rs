//! mqbench from its options to its exit status: plan, engine, document, what is printed and written.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use chrono::Utc;
use tokio::sync::watch;

use super::calibrate::Ceilings;
use super::engine::{self, Progress as Step, RunError, RunOutcome};
use super::plan::{BenchPlan, Target, bench_plan, is_this_machine};
use super::report::document::{BrokerName, RunContext};
use super::report::{Gate, ResultDocument, StageMeasurement, Status, Warning, summary};
use super::{calibrate, doctor, identify, outcome};
use crate::client::{ClientError, Interrupts};
use crate::exit_status::ExitStatus;
use crate::mqtt::ReasonCode;
use crate::options::{BENCH, BenchOptions, Environment, ResultOptions, Shape, UsageError, Verb};
use crate::terminal::{ColourChoice, Colours, Progress, number, print, width};
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

/// Runs mqbench. Errors go to stderr, the result to stdout and to the files that were asked for.
pub fn conduct(options: &BenchOptions, environment: &Environment, own: Option<OwnBroker>) -> ExitStatus {
    if options.load.verb == Some(Verb::Self_) {
        return measure_self(options, environment);
    }
    let target = own.as_ref().map_or(Target::AsTyped, |own| Target::Embedded(own.address));
    let prepared = bench_plan(options, environment, &target)
        .and_then(|plan| Ok((plan, gates(&options.result)?, outputs(&options.result)?)));
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
    let conduct = Conduct {
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
    crate::client::run(conduct.measure(name)).map_err(Into::into).flatten().unwrap_or_else(failed)
}

/// `mqbench self`.
fn measure_self(options: &BenchOptions, environment: &Environment) -> ExitStatus {
    let files = match outputs(&options.result) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("{error}");
            return error.exit_status();
        }
    };
    let measure = async {
        let interrupted = listen_for_interrupts(options.general.quiet);
        let write = |text: &[u8], json| write_result(text, json, &files);
        calibrate::conduct(options, environment, interrupted, write).await
    };
    crate::client::run(measure).map_err(Into::into).flatten().unwrap_or_else(failed)
}

/// `mqbench doctor`.
async fn examine(plan: &BenchPlan, embedded: bool, json: bool, files: &[PathBuf]) -> Result<ExitStatus> {
    let findings = doctor::Findings::of(plan, embedded, outcome::url(plan)).await;
    if !json {
        print(findings.text(Colours::for_stdout(ColourChoice::Auto)).as_bytes())?;
    }
    let text = findings.to_json().context("the findings cannot be written as JSON")?;
    write_result(&text, json, files)?;
    Ok(findings.exit_status())
}

fn failed(error: anyhow::Error) -> ExitStatus {
    eprintln!("Error: {error:#}");
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

/// The files of `--out`, which must be writable before the load begins. A file that is not there yet appears only with
/// the result.
fn outputs(result: &ResultOptions) -> Result<Vec<PathBuf>, UsageError> {
    let mut faults = Vec::new();
    for path in &result.out {
        // Pipes and devices are not to be opened before there is something for them; a link is left alone.
        let found = std::fs::symlink_metadata(path);
        if found.as_ref().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            continue;
        }
        let is_new = found.is_err();
        match OpenOptions::new().append(true).create(true).open(path) {
            Err(error) => faults.push(format!("--out {}: {error}", path.display())),
            Ok(_) if is_new => drop(std::fs::remove_file(path)),
            Ok(_) => {}
        }
    }
    UsageError::check(BENCH.name, faults)?;
    Ok(result.out.clone())
}

struct Conduct {
    verb: Option<Verb>,
    plan: BenchPlan,
    gates: Vec<Gate>,
    files: Vec<PathBuf>,
    json: bool,
    quiet: bool,
    ceilings: Ceilings,
}

impl Conduct {
    async fn measure(self, own: Option<BrokerName>) -> Result<ExitStatus> {
        if let Some(obstacles) = doctor::obstacles(&self.plan, own.is_some(), Colours::for_stderr(ColourChoice::Auto)) {
            let error = "this machine cannot carry out the plan; no connection was made";
            eprintln!("Error: {error}");
            eprint!("{obstacles}");
            let verb = self.verb.map_or_else(String::new, |verb| format!(" {}", verb.name()));
            eprintln!("  'mqbench doctor{verb}' with the same options tells the rest.");
            self.write_failure(outcome::context(&self.plan, command(), own, Utc::now()), error.to_owned())?;
            return Ok(ExitStatus::Failed);
        }
        engine::process::raise_open_files();
        for local in self.plan.targets.sources() {
            if let Err(fault) = check_local_address(*local) {
                let hint = fault.hint.map_or_else(String::new, |hint| format!("\n  {hint}"));
                eprintln!("Error: -A: {}{hint}", fault.cause);
                let context = outcome::context(&self.plan, command(), own, Utc::now());
                self.write_failure(context, format!("-A: {}", fault.cause))?;
                return Ok(ExitStatus::Failed);
            }
        }
        let interrupted = heard(listen_for_interrupts(self.quiet));
        let tls = match self.plan.transport.tls.as_ref().map(TlsClient::new).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                let error = ClientError::Tls(error);
                let status = self.failed_to_begin(&error, None);
                let context = outcome::context(&self.plan, command(), own, Utc::now());
                self.write_failure(context, error.to_string())?;
                return Ok(status);
            }
        };
        if self.plan.transport.tls.as_ref().is_some_and(|tls| tls.insecure) && !self.quiet {
            eprintln!("Warning: --insecure: neither the broker's certificate nor its name is verified");
        }
        if !self.quiet && !self.plan.targets.addresses().all(is_this_machine) {
            // Load on another machine is somebody else's business too, and whoever mistakes a host sees it in time.
            eprint!("{}", outcome::announcement(&self.plan));
        }
        let started_at = Utc::now();
        let mut context = outcome::context(&self.plan, command(), own, started_at);
        let mut show = Show::new(self.quiet);
        let ran = engine::run(self.plan.clone(), tls.clone(), interrupted, |step| show.step(step)).await;
        show.end();
        match ran {
            Ok(ran) => {
                let is_there = ran.stages.iter().any(|stage| stage.connected > 0) && !ran.collapsed;
                if context.target.broker.is_none() && is_there && !ran.interrupted {
                    context.target.broker = identify::broker_name(&self.plan, tls.as_ref()).await;
                }
                self.conclude(context, &ran)
            }
            Err(RunError::Client { client, clients, error }) => {
                let status = self.failed_to_begin(&error, Some((client, clients)));
                self.write_failure(context, error.to_string())?;
                Ok(status)
            }
            Err(RunError::Interrupted) => {
                eprintln!("Interrupted before the load began: nothing was measured.");
                context.run.error = Some("interrupted before the load began".to_owned());
                let mut document = ResultDocument::assemble(context, &[]);
                (document.status, document.run.status) = (Status::Partial, Status::Partial);
                self.write(&document)?;
                Ok(ExitStatus::Interrupted)
            }
            Err(error @ RunError::Thread(_)) => Err(error.into()),
        }
    }

    /// Says why there is no load.
    fn failed_to_begin(&self, error: &ClientError, client: Option<(usize, usize)>) -> ExitStatus {
        let place = client.map(|(client, clients)| format!("at client {} of {clients}; no load was made", client + 1));
        say_why(error, place);
        error.exit_status()
    }

    /// Scripts get a document also when nothing could be measured.
    fn write_failure(&self, mut context: RunContext, error: String) -> Result<()> {
        context.run.error = Some(error);
        let mut document = ResultDocument::assemble(context, &[]);
        document.apply_gates(&self.gates);
        self.write(&document)
    }

    fn conclude(&self, mut context: RunContext, run: &RunOutcome) -> Result<ExitStatus> {
        let refusal = refusal(run);
        if let Some((client, error)) = &run.first_failure {
            say_why(error, Some(format!("client {} of {} was the first", client + 1, self.plan.clients())));
        }
        // What was measured holds; without --reconnect a load whose clients are lost is another one than was asked for.
        let connected = run.stages.iter().any(|stage| stage.connected > 0);
        let stalled = run.stalled.is_some() && run.lost.is_empty();
        context.partial = connected && (self.plan.idlers > 0 || self.plan.reconnect.is_some() || stalled);
        context.run.error = failure(&self.plan, run)
            .or_else(|| refusal.map(|reason| format!("the broker refused every message: {reason}")))
            .or_else(|| silent_groups(&self.plan, run));
        if self.plan.idlers == 0
            && run.stages.len() < self.plan.stages.len()
            && !run.interrupted
            && !run.collapsed
            && run.stalled.is_none()
        {
            let text = "the flood carried nothing, so there is no rate to pace at: latency was not measured";
            context.warnings.push(Warning::new("no-paced-stage", text));
        }
        let ceiling = self.ceilings.of_plan(&self.plan);
        let measurements: Vec<StageMeasurement> = run
            .stages
            .iter()
            .enumerate()
            .map(|(index, stage)| outcome::measurement(&self.plan, run, stage, ceiling, index == 0))
            .collect();
        let mut document = ResultDocument::assemble(context, &measurements);
        document.apply_gates(&self.gates);
        if !self.json {
            let width = width().unwrap_or(WIDTH).clamp(40, WIDTH);
            print(summary(&document, width, Colours::for_stdout(ColourChoice::Auto)).as_bytes())?;
        }
        if let Some(error) = &document.run.error {
            eprintln!("Error: {error}");
        }
        self.write(&document)?;
        Ok(match refusal {
            Some(reason) if run.lost.is_empty() => ExitStatus::Refused(reason),
            _ => document.exit_status(),
        })
    }

    fn write(&self, document: &ResultDocument) -> Result<()> {
        let mut text = Vec::new();
        document.write_json(&mut text).context("the result cannot be written as JSON")?;
        write_result(&text, self.json, &self.files)
    }
}

/// A document on stdout, where it is wanted, and in the files of `--out`.
fn write_result(text: &[u8], json: bool, files: &[PathBuf]) -> Result<()> {
    if json {
        print(text)?;
    }
    let mut failed = None;
    for path in files {
        if let Err(error) = write_file(path, text) {
            failed = Some(anyhow::Error::new(error).context(format!("--out {}", path.display())));
        }
    }
    match failed {
        None => Ok(()),
        Some(error) => {
            // The figures took time to measure; they are not lost with a full disk.
            if !json {
                print(text)?;
            }
            Err(error)
        }
    }
}

fn write_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(text)?;
    file.into_inner()?.sync_all().or_else(|error| {
        // Pipes and devices cannot be synchronised.
        if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) }
    })
}

/// The reason why the broker refused all messages that it answered, where it did.
fn refusal(run: &RunOutcome) -> Option<ReasonCode> {
    let counters = || run.stages.iter().map(|stage| &stage.recorder.counters);
    if counters().any(|counters| counters.acked > 0) {
        return None;
    }
    counters().flat_map(|counters| counters.rejected.keys()).next().map(|reason| ReasonCode(*reason))
}

/// A broker that does not know shared subscriptions takes `$share/…` for a topic like any other, and nothing comes.
fn silent_groups(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let Shape::Shared { .. } = plan.routes.shape() else { return None };
    let deliveries = || run.stages.iter().filter_map(|stage| stage.delivery);
    let expected: u64 = deliveries().map(|delivery| delivery.expected).sum();
    let nothing_came = deliveries().all(|delivery| delivery.delivered_once == 0);
    (expected > 0 && nothing_came && !run.interrupted).then(|| {
        let hint = if plan.session.version.is_v5() { "" } else { "; with -V 5 a broker says whether it does" };
        format!(
            "none of {expected} messages came through the shared subscriptions: the broker does not seem to know \
             $share{hint}"
        )
    })
}

/// Why a client could not connect, at which place, and what to do.
fn say_why(error: &ClientError, place: Option<String>) {
    eprintln!("Error: {error}");
    if let Some(words) = error.reason_string() {
        eprintln!("  the broker says: {}", crate::terminal::escape(words));
    }
    for line in place.into_iter().chain(error.hint()) {
        eprintln!("  {line}");
    }
}

/// Why a run that began counts as failed: connections that were not made, or were lost for good.
fn failure(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let clients = plan.clients();
    let mut causes = Vec::new();
    let mut refused = BTreeMap::new();
    if plan.idlers > 0 {
        for (cause, count) in run.stages.iter().flat_map(|stage| &stage.recorder.counters.connect_failures) {
            *refused.entry(cause.to_string()).or_default() += count;
        }
    }
    let failed: u64 = refused.values().sum();
    if failed > 0 {
        causes.push(format!("{failed} of {clients} connects failed: {}", list(&refused)));
    }
    let lost: u64 = run.lost.values().sum();
    let end = if run.collapsed && plan.idlers == 0 { "; the load ended there" } else { "" };
    if plan.reconnect.is_some() && run.away > 0 {
        let away = run.away;
        causes.push(format!("{away} of {clients} clients had no connection at the end: {}{end}", list(&run.lost)));
    } else if plan.reconnect.is_none() && lost > 0 {
        causes.push(format!("{lost} of {clients} connections were lost: {}{end}", list(&run.lost)));
    }
    if let Some(stalled) = run.stalled {
        let sent: u64 = run.stages.last().map_or(0, |stage| stage.recorder.counters.sent);
        let stalled = stalled.as_secs();
        causes.push(format!(
            "nothing was sent, acknowledged or delivered for {stalled} s: given up after {sent} messages"
        ));
    }
    (!causes.is_empty()).then(|| causes.join("; "))
}

/// Causes with their counts, which one alone does not need.
fn list(causes: &BTreeMap<String, u64>) -> String {
    let all = causes.iter().map(|(cause, count)| {
        let cause = crate::terminal::escape(cause);
        if causes.len() == 1 { cause.into_owned() } else { format!("{cause} ({count})") }
    });
    all.collect::<Vec<_>>().join("; ")
}

/// The command line as it was typed, passwords masked.
fn command() -> Vec<String> {
    mask(std::env::args_os())
}

/// Options whose values are passwords, or URLs and headers that may hold one.
const SECRETS: [&str; 5] = ["--pw", "--url", "--proxy", "--ws-header", "--ws-path"];

fn mask(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let mut masked = Vec::new();
    let mut secret_follows = false;
    let mut property = PropertyWords::default();
    for argument in arguments {
        let text = argument.to_string_lossy().into_owned();
        if property.is_secret(&text) {
            masked.push("***".to_owned());
            continue;
        }
        let is_secret = std::mem::replace(&mut secret_follows, SECRETS.contains(&text.as_str()));
        masked.push(if is_secret {
            "***".to_owned()
        } else if let Some(end) = secret_in_cluster(&text) {
            secret_follows = end == text.len();
            format!("{}{}", &text[..end], if secret_follows { "" } else { "***" })
        } else if let Some((option, _)) = text.split_once('=').filter(|(option, _)| SECRETS.contains(option)) {
            format!("{option}=***")
        } else {
            text
        });
    }
    masked
}

/// The words of a `-D connect NAME VALUE`, whose values may be tokens.
#[derive(Default)]
enum PropertyWords {
    #[default]
    Elsewhere,
    Command,
    Name,
    Values(usize),
}

impl PropertyWords {
    /// Takes the next word; says whether it is a value that nobody is to see.
    fn is_secret(&mut self, word: &str) -> bool {
        let (next, is_secret) = match self {
            Self::Command if word == "connect" => (Self::Name, false),
            Self::Name => (Self::Values(if word == "user-property" { 2 } else { 1 }), false),
            Self::Values(left) if *left > 0 => (Self::Values(*left - 1), true),
            _ if matches!(word, "-D" | "--property") => (Self::Command, false),
            _ => (Self::Elsewhere, false),
        };
        *self = next;
        is_secret
    }
}

/// Where in a word of bundled letters (`-rPsecret`) a password or a URL begins. Only letters without a value may stand
/// before it.
fn secret_in_cluster(text: &str) -> Option<usize> {
    let letters = text.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    let place = letters.find(|letter| !matches!(letter, 'c' | 'd' | 'r' | 'S'))?;
    letters[place..].starts_with(['P', 'L']).then_some(place + 2)
}

/// Listens from now on: the value becomes true at the first Ctrl-C or SIGTERM, and the second one ends the program at
/// once, wherever it is. Somebody is in a hurry.
fn listen_for_interrupts(quiet: bool) -> watch::Receiver<bool> {
    let (first, heard) = watch::channel(false);
    if let Ok(mut interrupts) = Interrupts::listen() {
        tokio::spawn(async move {
            interrupts.next().await;
            if !quiet {
                eprintln!("Interrupted: waiting for what is under way; again to end at once.");
            }
            let _ = first.send(true);
            interrupts.next().await;
            std::process::exit(i32::from(ExitStatus::Interrupted.code()));
        });
    }
    heard
}

/// Resolves at the first interrupt.
pub(super) async fn heard(mut interrupted: watch::Receiver<bool>) {
    if interrupted.wait_for(|heard| *heard).await.is_err() {
        // Nobody listens.
        std::future::pending::<()>().await;
    }
}

/// Progress on stderr.
struct Show {
    progress: Progress,
    phase: Option<String>,
}

impl Show {
    fn new(quiet: bool) -> Self {
        Self { progress: Progress::on_stderr(quiet), phase: None }
    }

    fn step(&mut self, step: Step) {
        if !self.progress.is_visible() {
            return;
        }
        let (phase, seconds, line) = match step {
            Step::Connecting { connected, clients } => ("connect".to_owned(), 0.0, format!("{connected} of {clients}")),
            Step::Holding { open, elapsed: _, duration } => {
                ("hold".to_owned(), duration.as_secs_f64(), format!("{} open", number::grouped(open)))
            }
            Step::WarmUp(stage) => (format!("{} ↑", stage.text()), 0.0, "warming up".to_owned()),
            Step::Measuring { stage, duration, row, elapsed: _ } => {
                let line = row.map_or_else(String::new, |row| {
                    let p99 = row.e2e_p99.map_or_else(String::new, |p99| format!("  p99 {}", number::duration(p99)));
                    format!("sent {}/s  delivered {}/s{p99}", number::grouped(row.sent), number::grouped(row.delivered))
                });
                (stage.text().to_owned(), duration.map_or(0.0, |duration| duration.as_secs_f64()), line)
            }
            Step::Draining { stage, outstanding } => {
                (format!("{} ↓", stage.text()), 0.0, format!("{} under way", number::grouped(outstanding)))
            }
        };
        if self.phase.as_ref() != Some(&phase) {
            self.progress.set_phase(&phase, seconds);
            self.phase = Some(phase);
        }
        self.progress.tick(&line);
    }

    fn end(&self) {
        self.progress.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_in_every_spelling() {
        let typed = [
            "mqbench",
            "-P",
            "s1",
            "-Ps2",
            "-dP",
            "s6",
            "-rPs7",
            "--pw=s3",
            "-L",
            "mqtt://u:s4@h",
            "--url=mqtt://u:s5@h",
            "-D",
            "connect",
            "authentication-data",
            "s8",
            "-D",
            "connect",
            "user-property",
            "s9",
            "s0",
            "-p",
            "1",
        ];
        let masked = mask(typed.map(OsString::from));
        assert!(!masked.iter().any(|word| word.contains('s') && word.contains(|c: char| c.is_ascii_digit())));
        assert_eq!(masked[masked.len() - 2..], ["-p", "1"]);
    }
}
