//! mqbench from its options to its exit status: plan, engine, result document, output.

mod failure;
mod live_view;
mod progress_view;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use chrono::Utc;

use self::failure::{
    all_refused, check_carried, check_connections, check_pings, check_qos, check_sent, check_shared_subscriptions,
    print_connect_error,
};
use self::progress_view::ProgressView;
use super::calibrate::Ceilings;
use super::engine::{self, RunError, RunOutcome};
use super::interruption::Interruption;
use super::measure::LiveFigures;
use super::output::{Outputs, outputs, write_json, write_results};
use super::plan::{BenchPlan, Target, bench_plan, is_this_machine};
use super::prometheus::MetricsServer;
use super::report::{self, BrokerLimits, BrokerName, Gate, ResultDocument, Status, TlsFacts, summary};
use super::sys_sampler::{SysRecord, SysSampler};
use super::system::raise_open_files;
use super::{calibrate, doctor, identify, saved};
use crate::client::ClientError;
use crate::exit_status::ExitStatus;
use crate::mqtt::ReasonCode;
use crate::options::{BENCH, BenchOptions, ClientName, Environment, MetricsAddress, ResultOptions, UsageError, Verb};
use crate::terminal::{Colors, print, say, width};
use crate::transport::{TlsClient, check_local_address, io_text};

/// Columns of a summary that does not go to a terminal, and the most that it uses.
const WIDTH: usize = 100;

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
        Some(Verb::Report) => {
            return match gates(&options.result) {
                Ok(gates) => saved::report(options, &gates).unwrap_or_else(failed),
                Err(error) => error.report(),
            };
        }
        Some(verb @ (Verb::Merge | Verb::Compare | Verb::Find)) => {
            let fault = format!("mqbench {}: not built yet", verb.name());
            return UsageError::new(BENCH.name, vec![fault]).report();
        }
        _ => {}
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
        if let Err(error) = files.check_json("doctor") {
            return error.report();
        }
        let examine = examine(&plan, own.is_some(), options.result.json, &files);
        return crate::client::run(examine).map_err(Into::into).flatten().unwrap_or_else(failed);
    }
    let run = BenchRun {
        verb: options.load.verb,
        plan,
        gates,
        files,
        json: options.result.json,
        details: options.result.details,
        quiet: options.general.quiet,
        prometheus: options.result.prometheus.clone(),
        ceilings: Ceilings::load(environment),
        name: options.result.name.clone(),
        labels: options.result.label.iter().cloned().collect(),
    };
    let name = own.map(|own| BrokerName {
        name: Some(own.name.to_owned()),
        version: Some(own.version.to_owned()),
        source: Some("embedded".to_owned()),
    });
    crate::client::run(run.run(name)).map_err(Into::into).flatten().unwrap_or_else(failed)
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

struct BenchRun {
    verb: Option<Verb>,
    plan: BenchPlan,
    gates: Vec<Gate>,
    files: Outputs,
    json: bool,
    details: bool,
    quiet: bool,
    prometheus: Option<MetricsAddress>,
    ceilings: Ceilings,
    name: Option<String>,
    labels: BTreeMap<String, String>,
}

impl BenchRun {
    async fn run(self, own: Option<BrokerName>) -> Result<ExitStatus> {
        let context = || {
            let mut context = report::context(&self.plan, command(), own.clone(), Utc::now());
            (context.run.name, context.run.labels) = (self.name.clone(), self.labels.clone());
            context
        };
        if let Some(error) = self.find_obstacle(own.is_some()) {
            self.write_failure(context(), error)?;
            return Ok(ExitStatus::Failed);
        }
        let interruption = Interruption::listen(self.quiet, self.json || !self.files.is_empty());
        let tls = match self.plan.transport.tls.as_ref().map(TlsClient::new).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                let error = ClientError::Tls(error);
                self.print_connect_error(&error, None);
                self.write_failure(context(), error.to_string())?;
                return Ok(error.exit_status());
            }
        };
        let figures = self.prometheus.is_some().then(Arc::<LiveFigures>::default);
        // It serves until the end of the run.
        let _server = match self.serve_figures(figures.as_ref()) {
            Ok(server) => server,
            Err(error) => {
                self.write_failure(context(), error)?;
                return Ok(ExitStatus::Failed);
            }
        };
        if !self.quiet {
            self.print_preface();
        }
        let mut context = context();
        let mut view = ProgressView::new(&self.plan, self.quiet);
        let show = |progress| view.show(progress);
        let sampler = self.plan.samples_sys.then(|| SysSampler::start(&self.plan, tls.as_ref()));
        let run = engine::run(self.plan.clone(), tls.clone(), interruption.clone().first(), show, figures);
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
            if self.plan.asks_sys && context.target.broker.is_none() && is_reachable {
                context.target.broker = tokio::select! {
                    biased;
                    () = interruption.clone().first() => None,
                    name = identify::broker_name(&self.plan, tls.as_ref()) => name,
                };
            }
        }
        interruption.write_begins();
        let status = self.report(context, ran, interruption.is_urgent())?;
        Ok(interruption.end(status))
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

    fn report(&self, context: ResultDocument, ran: Result<RunOutcome, RunError>, urgent: bool) -> Result<ExitStatus> {
        match ran {
            Ok(ran) => self.report_outcome(context, &ran),
            Err(RunError::Client { client, clients, error }) => {
                let place = format!("at client {} of {clients}; no load was generated", client + 1);
                self.print_connect_error(&error, Some(place));
                self.write_failure(context, error.to_string())?;
                Ok(error.exit_status())
            }
            Err(RunError::Interrupted) => {
                let cause = match urgent {
                    true => "interrupted twice: the results so far are lost",
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

    fn print_connect_error(&self, error: &ClientError, place: Option<String>) {
        print_connect_error(error, place, &self.plan);
    }

    /// Writes a document for a run that measured nothing.
    fn write_failure(&self, context: ResultDocument, error: String) -> Result<()> {
        let mut document = report::nothing_measured(context, Status::Failed, error);
        Gate::apply(&self.gates, &mut document);
        self.write(&document)
    }

    fn report_outcome(&self, mut context: ResultDocument, run: &RunOutcome) -> Result<ExitStatus> {
        if let Some((client, error)) = &run.first_failure {
            let place = format!("client {} of {} was the first", client + 1, self.plan.clients());
            self.print_connect_error(error, Some(place));
        }
        let refusal = all_refused(run);
        let downgrade = check_qos(run);
        let is_partial = self.judge(&mut context, run, refusal, downgrade.as_deref());
        if self.plan.idlers == 0
            && run.stages.len() < self.plan.stages.len()
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
        context.broker.limits = run.limits.filter(|_| self.plan.session.version.is_v5()).map(|limits| BrokerLimits {
            receive_maximum: Some(limits.receive_maximum.into()),
            maximum_qos: Some(limits.maximum_qos.number()),
            maximum_packet_bytes: Some(limits.maximum_packet_size as u64),
            topic_alias_maximum: Some(limits.topic_alias_maximum.into()),
            retain_available: Some(limits.retain_available),
            shared_subscriptions: Some(limits.shared_subscription_available),
            wildcard_subscriptions: Some(limits.wildcard_subscription_available),
        });
        // It is the ceiling of mqbench's own engine.
        let ceiling = self.ceilings.of_plan(&self.plan).filter(|_| self.plan.client == ClientName::Mqbench);
        let mut document = report::assemble(context, &self.plan, run, ceiling, is_partial);
        Gate::apply(&self.gates, &mut document);
        if !self.json {
            let width = width().unwrap_or(WIDTH).clamp(40, WIDTH);
            print(summary(&document, width, Colors::for_stdout(), self.details).as_bytes())?;
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

    /// Enters why the run failed, if it did. Returns whether its figures are still part of what was requested.
    fn judge(
        &self,
        context: &mut ResultDocument,
        run: &RunOutcome,
        refusal: Option<ReasonCode>,
        downgrade: Option<&str>,
    ) -> bool {
        let plan = &self.plan;
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

    fn write(&self, document: &ResultDocument) -> Result<()> {
        write_results(std::slice::from_ref(document), None, self.json, &self.files)
    }
}
