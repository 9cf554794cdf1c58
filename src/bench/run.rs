//! mqbench from its options to its exit status: plan, engine, result document, output.

mod failure;
mod live_view;
mod progress_view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::Utc;

use self::failure::{
    all_refused, check_carried, check_connections, check_pings, check_qos, check_sent, check_shared_subscriptions,
    print_connect_error,
};
use self::progress_view::ProgressView;
use super::attempt::Attempt;
use super::calibrate::Ceilings;
use super::compare::{CompareDocument, Group, Turn, comparison_text};
use super::engine::{self, RunError, RunOutcome};
use super::interruption::Interruption;
use super::measure::LiveFigures;
use super::output::{Outputs, outputs, write_comparison, write_json, write_results};
use super::plan::{BenchPlan, RunTag, Target, bench_plan, is_this_machine};
use super::prometheus::MetricsServer;
use super::report::{
    self, BrokerLimits, BrokerName, Gate, ResultDocument, Status, TlsFacts, gates_text, read_result, summary,
};
use super::sys_sampler::{SysRecord, SysSampler};
use super::system::raise_open_files;
use super::{calibrate, compare, doctor, find, identify, job, saved};
use crate::client::ClientError;
use crate::exit_status::ExitStatus;
use crate::mqtt::ReasonCode;
use crate::options::{BENCH, BenchOptions, ClientName, Environment, MetricsAddress, UsageError, Verb};
use crate::terminal::{Colors, SUMMARY_WIDTH, print, say, width};
use crate::transport::{TlsClient, check_local_address, io_text};

/// Between two runs, where nothing else is asked for.
const COOL_DOWN: Duration = Duration::from_secs(1);
/// How long `mqbench find` measures a rate.
const PROBE: Duration = Duration::from_secs(10);
/// When it stops.
const FIND_LIMIT: Duration = Duration::from_secs(15 * 60);

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
            find_settings(options, &plan)?;
        }
        let (gates, baseline, files) = (gates(options)?, baseline(options)?, outputs(options)?);
        if options.repeat.ab {
            files.check_comparison()?;
        }
        Ok((plan, gates, baseline, files))
    });
    let (plan, gates, baseline, files) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("{error}");
            return error.exit_status();
        }
    };
    if options.load.verb == Some(Verb::Doctor) {
        if let Err(error) = files.check_json("doctor") {
            return error.report();
        }
        let examine = examine(&plan, own.is_some(), options.result.json, &files);
        return crate::client::run(examine).map_err(Into::into).flatten().unwrap_or_else(failed);
    }
    let run = BenchRun {
        options,
        environment,
        verb: options.load.verb,
        plan,
        gates,
        baseline,
        files,
        json: options.result.json,
        details: options.result.details,
        quiet: options.general.quiet,
        prometheus: options.result.prometheus.clone(),
        live: options.result.prometheus.is_some().then(Arc::<LiveFigures>::default),
        ceilings: Ceilings::load(environment),
        name: options.result.name.clone(),
        labels: options.result.label.iter().cloned().collect(),
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
    let files = outputs(options).and_then(|files| files.check_json("self").map(|()| files));
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

fn gates(options: &BenchOptions) -> Result<Vec<Gate>, UsageError> {
    let mut faults = Vec::new();
    let has_baseline = options.repeat.baseline.is_some() || options.repeat.ab;
    let mut parse = |text: &String| match Gate::parse(text) {
        Ok(gate) if gate.needs_baseline() && !has_baseline => {
            faults.push(format!("--gate '{text}': vs() is the change against a saved result: add --baseline FILE"));
            None
        }
        Ok(gate) => Some(gate),
        Err(error) => {
            faults.push(format!("--{error}"));
            None
        }
    };
    let gates = options.result.gate.iter().filter_map(&mut parse).collect();
    UsageError::check(BENCH.name, faults)?;
    Ok(gates)
}

/// The result of `--baseline`, read before anything connects.
fn baseline(options: &BenchOptions) -> Result<Option<ResultDocument>, UsageError> {
    let read = options.repeat.baseline.as_deref().map(read_result).transpose();
    read.map_err(|error| UsageError::new(BENCH.name, vec![format!("--baseline {error}")]))
}

/// Enters what the broker reported about itself.
fn note_sys(context: &mut ResultDocument, record: &SysRecord, ran: &RunOutcome) {
    let SysRecord { samples, fault } = record;
    if let Some(text) = samples.left_out() {
        context.warn("sys-coarse", text);
    }
    let nothing = "nothing arrived on $SYS/#: this broker publishes no figures there, or this client may not read them";
    if samples.is_empty() {
        let cause = fault.as_ref().map(|fault| format!("the broker's own figures could not be read: {fault}"));
        context.warn("no-sys", cause.unwrap_or_else(|| nothing.to_owned()));
        return;
    }
    if let Some(fault) = fault {
        context.warn("sys-gap", format!("the broker's own figures were not read all the time: {fault}"));
    }
    context.broker.sys = ran.t0.map(|t0| samples.series(t0));
    context.broker.sys_figures = Some(samples.figures());
}

struct BenchRun<'a> {
    options: &'a BenchOptions,
    environment: &'a Environment,
    verb: Option<Verb>,
    plan: BenchPlan,
    gates: Vec<Gate>,
    baseline: Option<ResultDocument>,
    files: Outputs,
    json: bool,
    details: bool,
    quiet: bool,
    prometheus: Option<MetricsAddress>,
    /// What `--prometheus` serves.
    live: Option<Arc<LiveFigures>>,
    ceilings: Ceilings,
    name: Option<String>,
    labels: BTreeMap<String, String>,
    own: Option<BrokerName>,
}

impl BenchRun<'_> {
    async fn run(self) -> Result<ExitStatus> {
        let context = || self.context(&self.plan);
        if let Some(error) = self.find_obstacle(self.own.is_some()) {
            self.write_failure(context(), error)?;
            return Ok(ExitStatus::Failed);
        }
        let interruption = Interruption::listen(self.quiet, self.json || !self.files.is_empty());
        let tls = match self.plan.transport.tls.as_ref().map(TlsClient::new).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                let error = ClientError::Tls(error);
                print_connect_error(&error, None, &self.plan);
                self.write_failure(context(), error.to_string())?;
                return Ok(error.exit_status());
            }
        };
        // It serves until the end of the run.
        let _server = match self.serve_figures(self.live.as_ref()) {
            Ok(server) => server,
            Err(error) => {
                self.write_failure(context(), error)?;
                return Ok(ExitStatus::Failed);
            }
        };
        if !self.quiet {
            self.print_preface();
        }
        let tls = tls.as_ref();
        let status = match (self.verb, self.options.repeat.count(), self.options.repeat.ab) {
            (Some(Verb::Find), ..) => self.find(tls, &interruption).await?,
            (_, 1, false) => {
                let attempt = self.measure(&self.plan, tls, &interruption).await?;
                interruption.write_begins();
                self.conclude(attempt)?
            }
            (_, runs, false) => self.repeat(runs as usize, tls, &interruption).await?,
            (_, runs, true) => self.alternate(runs as usize, tls, &interruption).await?,
        };
        Ok(interruption.end(status))
    }

    /// What is known of a run before it begins.
    fn context(&self, plan: &BenchPlan) -> ResultDocument {
        let mut context = report::context(plan, command(), self.own.clone(), Utc::now());
        (context.run.name, context.run.labels) = (self.name.clone(), self.labels.clone());
        context
    }

    /// Runs a plan once.
    async fn measure(&self, plan: &BenchPlan, tls: Option<&TlsClient>, interruption: &Interruption) -> Result<Attempt> {
        let mut context = self.context(plan);
        let mut view = ProgressView::new(plan, self.quiet);
        let show = |progress| view.show(progress);
        let sampler = plan.samples_sys.then(|| SysSampler::start(plan, tls));
        let live = self.live.clone();
        let run = engine::run(plan.clone(), tls.cloned(), interruption.clone().first(), show, live);
        let ran = tokio::select! {
            biased;
            () = interruption.clone().second() => Err(RunError::Interrupted),
            ran = run => ran,
        };
        view.clear();
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
        self.attempt(plan, context, ran, interruption.is_urgent())
    }

    /// The plan for one more run: a tag of its own, against one broker where two take turns.
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
            if !self.quiet {
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
            Some(attempt) => self.conclude(attempt),
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
        let (base, new) = match sides.map(|attempts| one_result(attempts, runs)) {
            [Some(base), Some(new)] if base.has_load && new.has_load => (base, new),
            // Without figures of both there is nothing to compare: the one that failed says why.
            [one, other] => {
                let mut found: Vec<Attempt> = one.into_iter().chain(other).collect();
                found.sort_by_key(|attempt| attempt.has_load);
                return found.into_iter().next().map_or(Ok(ExitStatus::Failed), |attempt| self.conclude(attempt));
            }
        };
        let (cause, [base, mut new]) = (base.status.or(new.status), [base.document, new.document]);
        let [base_name, new_name] = names;
        let comparison = compare::compare(
            &Group { name: base_name, documents: vec![&base] },
            &Group { name: new_name, documents: vec![&new] },
            self.options.repeat.tolerance_pct(),
            false,
        );
        Gate::apply(&self.gates, &mut new, Some(&base));
        let worst = [base.status, new.status].into_iter().max_by_key(|status| status.severity()).unwrap_or_default();
        let mut document = CompareDocument::new(vec![comparison], worst);
        document.gates.clone_from(&new.gates);
        if !self.json {
            let (width, colors) = (summary_width(), Colors::for_stdout());
            let mut text = String::new();
            document.comparisons.iter().for_each(|it| text.push_str(&comparison_text(it, width, colors)));
            text.push_str(&gates_text(&document.gates, width, colors));
            print(text.as_bytes())?;
        }
        for error in [&base, &new].into_iter().filter_map(|side| side.run.error.as_ref()) {
            say(format_args!("Error: {error}"));
        }
        write_comparison(&document, std::slice::from_ref(&new), Some(&base), self.json, &self.files)?;
        Ok(cause.unwrap_or_else(|| document.exit_status()))
    }

    /// `mqbench find`.
    async fn find(&self, tls: Option<&TlsClient>, interruption: &Interruption) -> Result<ExitStatus> {
        let settings = match find_settings(self.options, &self.plan) {
            Ok(settings) => settings,
            Err(error) => return Ok(error.report()),
        };
        let measure = async |plan: BenchPlan| {
            let plan = plan.again(RunTag(self.environment.random() as u16));
            self.measure(&plan, tls, interruption).await
        };
        let say = |line: &str| {
            if !self.quiet {
                say(format_args!("{line}"));
            }
        };
        let attempt = find::find(&self.plan, &settings, measure, say).await?;
        interruption.write_begins();
        self.conclude(attempt)
    }

    /// Starts the server of `--prometheus`, and prints its address.
    fn serve_figures(&self, figures: Option<&Arc<LiveFigures>>) -> Result<Option<MetricsServer>, String> {
        let (Some(MetricsAddress { host, port }), Some(figures)) = (&self.prometheus, figures) else { return Ok(None) };
        let server = MetricsServer::start((host, *port), &self.plan.run.to_string(), figures.clone());
        match server {
            Ok(server) => {
                if !self.quiet || *port == 0 {
                    eprintln!("Metrics: http://{}/metrics", server.address());
                }
                Ok(Some(server))
            }
            Err(error) => {
                let error = format!("--prometheus {host}:{port}: {}", io_text(&error));
                say(format_args!("Error: {error}\nHint: port 0 takes a free port; no connection was made"));
                Err(error)
            }
        }
    }

    /// Prints why this machine cannot run the plan, if so, and returns the error for the document.
    fn find_obstacle(&self, embedded: bool) -> Option<String> {
        if let Some(obstacles) = doctor::obstacles(&self.plan, embedded, Colors::for_stderr()) {
            let error = "this machine cannot run the plan; no connection was made";
            eprintln!("Error: {error}");
            eprint!("{obstacles}");
            let verb = self.verb.map_or_else(String::new, |verb| format!(" {}", verb.name()));
            eprintln!("  For all checks, run 'mqbench doctor{verb}' with the same options.");
            return Some(error.to_owned());
        }
        raise_open_files();
        let fault = self.plan.targets.sources().iter().find_map(|local| check_local_address(*local).err())?;
        let hint = fault.hint.map_or_else(String::new, |hint| format!("\n  {hint}"));
        say(format_args!("Error: -A: {}{hint}", fault.cause));
        Some(format!("-A: {}", fault.cause))
    }

    /// Prints the warnings of the plan, and which load is about to start where it goes to another machine: a wrong host
    /// is noticed in time.
    fn print_preface(&self) {
        if self.plan.transport.tls.as_ref().is_some_and(|tls| tls.insecure) {
            eprintln!("Warning: --insecure: neither the broker's certificate nor its name is verified");
        }
        self.plan.warnings.iter().for_each(|warning| say(format_args!("Warning: {warning}")));
        if !self.plan.targets.addresses().all(is_this_machine) {
            eprint!("{}", report::announcement(&self.plan));
        }
    }

    /// What a run came to. Why it failed is printed here, where its cause is known.
    fn attempt(
        &self,
        plan: &BenchPlan,
        context: ResultDocument,
        ran: Result<RunOutcome, RunError>,
        urgent: bool,
    ) -> Result<Attempt> {
        match ran {
            Ok(ran) => Ok(self.assess(plan, context, &ran)),
            Err(RunError::Client { client, clients, error }) => {
                let place = format!("at client {} of {clients}; no load was generated", client + 1);
                print_connect_error(&error, Some(place), plan);
                let document = report::nothing_measured(context, Status::Failed, error.to_string());
                Ok(Attempt { document, status: Some(error.exit_status()), has_load: false })
            }
            Err(RunError::Interrupted) => {
                let cause = match urgent {
                    true => "interrupted twice: the results so far are lost",
                    false => "interrupted before the load began: nothing was measured",
                };
                say(format_args!("Error: {cause}"));
                let document = report::nothing_measured(context, Status::Partial, cause.to_owned());
                Ok(Attempt { document, status: None, has_load: false })
            }
            Err(error @ RunError::Thread(_)) => Err(error.into()),
        }
    }

    /// Writes a document for a run that measured nothing.
    fn write_failure(&self, context: ResultDocument, error: String) -> Result<()> {
        let mut document = report::nothing_measured(context, Status::Failed, error);
        Gate::apply(&self.gates, &mut document, self.baseline.as_ref());
        self.write(&document)
    }

    /// The document of a run that had a load.
    fn assess(&self, plan: &BenchPlan, mut context: ResultDocument, run: &RunOutcome) -> Attempt {
        if let Some((client, error)) = &run.first_failure {
            let place = format!("client {} of {} was the first", client + 1, plan.clients());
            print_connect_error(error, Some(place), plan);
        }
        let refusal = all_refused(run);
        let downgrade = check_qos(run);
        let is_partial = judge(plan, &mut context, run, refusal, downgrade.as_deref());
        if plan.idlers == 0
            && run.stages.len() < plan.stages.len()
            && !run.interrupted
            && !run.collapsed
            && run.stalled.is_none()
        {
            let text = "the flood delivered nothing, so there is no rate for the paced stage: latency was not measured";
            context.warn("no-paced-stage", text);
        }
        if let Some(pid) = self.plan.broker_pid.filter(|_| run.broker_ended) {
            let text = format!(
                "the broker's process {pid} ended during the run: its CPU time and memory are null from then on"
            );
            context.warn("broker-ended", text);
        }
        context.target.tls = run
            .tls
            .as_ref()
            .map(|tls| TlsFacts { version: Some(tls.version.to_owned()), cipher: Some(tls.cipher.to_owned()) });
        context.broker.limits = run.limits.filter(|_| plan.session.version.is_v5()).map(|limits| BrokerLimits {
            receive_maximum: Some(limits.receive_maximum.into()),
            maximum_qos: Some(limits.maximum_qos.number()),
            maximum_packet_bytes: Some(limits.maximum_packet_size as u64),
            topic_alias_maximum: Some(limits.topic_alias_maximum.into()),
            retain_available: Some(limits.retain_available),
            shared_subscriptions: Some(limits.shared_subscription_available),
            wildcard_subscriptions: Some(limits.wildcard_subscription_available),
        });
        // It is the ceiling of mqbench's own engine.
        let ceiling = self.ceilings.of_plan(plan).filter(|_| plan.client == ClientName::Mqbench);
        let document = report::assemble(context, plan, run, ceiling, is_partial);
        let status = match refusal {
            Some(reason) if run.lost.is_empty() => Some(ExitStatus::Refused(reason)),
            _ if downgrade.is_some() && run.lost.is_empty() => Some(ExitStatus::Downgraded),
            _ => None,
        };
        Attempt { document, status, has_load: true }
    }

    /// Holds a result against the gates and the baseline, prints it and writes it.
    fn conclude(&self, attempt: Attempt) -> Result<ExitStatus> {
        let Attempt { mut document, status, has_load } = attempt;
        let of_find = std::mem::take(&mut document.gates);
        Gate::apply(&self.gates, &mut document, self.baseline.as_ref());
        document.gates.splice(0..0, of_find);
        if let Some(baseline) = self.baseline.as_ref().filter(|_| has_load) {
            self.compare_with(baseline, &mut document);
        }
        if !self.json && has_load {
            let (width, colors) = (summary_width(), Colors::for_stdout());
            let mut text = summary(&document, width, colors, self.details);
            for part in [
                compare::medians_text(&document, width, colors),
                document.curve.as_ref().map_or_else(String::new, |curve| find::curve_text(curve, width, colors)),
                document.compare.as_ref().map_or_else(String::new, |it| comparison_text(it, width, colors)),
            ] {
                if !part.is_empty() {
                    text.push('\n');
                    text.push_str(&part);
                }
            }
            print(text.as_bytes())?;
        }
        if let Some(error) = document.run.error.as_ref().filter(|_| has_load) {
            say(format_args!("Error: {error}"));
        }
        self.write(&document)?;
        Ok(status.unwrap_or_else(|| document.exit_status()))
    }

    /// Enters how a result differs from the baseline.
    fn compare_with(&self, baseline: &ResultDocument, document: &mut ResultDocument) {
        let repeat = &self.options.repeat;
        let name = repeat.baseline.as_ref().map_or_else(String::new, |file| file.display().to_string());
        let comparison = compare::compare(
            &Group { name, documents: vec![baseline] },
            &Group { name: "this result".to_owned(), documents: vec![document] },
            repeat.tolerance_pct(),
            repeat.any_plan,
        );
        if !comparison.plan_differences.is_empty() {
            let named: Vec<String> = comparison.plan_differences.iter().map(|it| it.text()).collect();
            document.warn("baseline-of-another-plan", format!("the baseline is of another plan: {}", named.join(", ")));
        }
        document.compare = Some(comparison);
    }

    fn write(&self, document: &ResultDocument) -> Result<()> {
        write_results(std::slice::from_ref(document), self.baseline.as_ref(), self.json, &self.files)
    }
}

/// Enters why the run failed, if it did. Returns whether its figures are still part of what was requested.
fn judge(
    plan: &BenchPlan,
    context: &mut ResultDocument,
    run: &RunOutcome,
    refusal: Option<ReasonCode>,
    downgrade: Option<&str>,
) -> bool {
    // Figures without any message, or of another QoS, are no part of it. Nor are those of a load that lost clients
    // and does not reconnect them.
    let nothing = check_carried(plan, run).or_else(|| check_sent(plan, run)).or_else(|| check_pings(plan, run));
    let connected = run.stages.iter().any(|stage| stage.connected > 0);
    let stalled = run.stalled.is_some() && run.lost.is_empty();
    let tolerates_losses = plan.idlers > 0 || plan.reconnect.is_some() || stalled;
    let is_partial = nothing.is_none() && downgrade.is_none() && connected && tolerates_losses;
    context.run.error = check_connections(plan, run)
        .or_else(|| refusal.map(|reason| format!("the broker refused every message: {reason}")))
        .or_else(|| check_shared_subscriptions(plan, run))
        .or(nothing)
        .or_else(|| downgrade.map(str::to_owned));
    is_partial
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

/// What `mqbench find` looks for, checked before anything connects.
fn find_settings(options: &BenchOptions, plan: &BenchPlan) -> Result<find::Settings, UsageError> {
    let fault = |fault: String| UsageError::new(BENCH.name, vec![fault]);
    let default = if plan.subscribers > 0 { "e2e.p99 < 10ms && lost == 0" } else { "ack.p99 < 10ms" };
    let text = options.find.slo.as_deref().unwrap_or(default);
    let slo = Gate::parse(text).map_err(|error| fault(error.to_string().replacen("gate", "--slo", 1)))?;
    if slo.needs_baseline() {
        return Err(fault(
            "--slo: vs() compares with a saved result, which a search has none of: use a fixed limit".into(),
        ));
    }
    if slo.needs_latency() && !plan.latency {
        return Err(fault("--slo is about a latency, which --no-latency does not record: remove --no-latency".into()));
    }
    Ok(find::Settings {
        slo,
        probe: options.find.probe.unwrap_or(PROBE),
        settle: plan.stages.first().map_or(PROBE, |stage| stage.warmup),
        from: options.find.find_from,
        limit: options.find.find_limit.unwrap_or(FIND_LIMIT),
    })
}

/// Columns of a summary on this terminal.
fn summary_width() -> usize {
    width().unwrap_or(SUMMARY_WIDTH).clamp(40, SUMMARY_WIDTH)
}
