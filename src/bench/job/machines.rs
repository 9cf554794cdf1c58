//! How many machines a load needs: arithmetic with what one machine allows and has measured. What is not known is not
//! guessed: it is named, and the answer is then "at least".

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use serde::Serialize;
use serde_json::Value;

use super::super::calibrate::{self, Ceilings};
use super::super::doctor::{self, NEAR_PCT, Need};
use super::super::interruption::Interruption;
use super::super::measure::CEILING_NEAR_PCT;
use super::super::output::{outputs, write_json};
use super::super::plan::{BenchPlan, Target, bench_plan};
use super::super::report::{self, ResultDocument};
use super::super::system::{EnvironmentFacts, Limits, raise_open_files};
use crate::exit_status::ExitStatus;
use crate::options::{BENCH, BenchOptions, Environment, LoadTarget, Shape, UsageError, Verb};
use crate::terminal::number::{bytes, counted, duration, grouped, rate};
use crate::terminal::{Align, Cell, Colors, Paint, Table, escape, print, quoted};

/// Name and version of the format.
const SCHEMA: &str = "mqbench-machines/1";

/// The largest saved document that is read.
const LARGEST: u64 = 256 << 20;

/// What one machine is known to carry.
#[derive(Debug, Default)]
struct Figures {
    limits: Option<Limits>,
    env: Option<EnvironmentFacts>,
    /// From `mqbench self`, and where they come from.
    ceilings: Ceilings,
    ceilings_of: &'static str,
    /// The result of a run of the plan on one machine.
    sample: Option<ResultDocument>,
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    /// What limits.
    limit: String,
    /// How much of the load one machine carries, with its unit; null where that is not known.
    per_machine: Option<f64>,
    /// What that is made of.
    basis: String,
    /// How many machines this limit alone asks for; null where it is not known.
    machines: Option<u64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Answer {
    schema: String,
    clients: u64,
    rate_per_s: Option<f64>,
    rows: Vec<Row>,
    /// The most that a row asks for; null where no limit is known.
    machines: Option<u64>,
    /// Whether something that counts is not known.
    at_least: bool,
    notes: Vec<String>,
}

/// Runs `mqbench plan --target`.
///
/// # Errors
/// A saved document that cannot be read, what is measured now, stdout.
pub(super) fn run(options: &BenchOptions, environment: &Environment, target: LoadTarget) -> Result<ExitStatus> {
    let prepared = scaled(options, target).and_then(|options| {
        let plan = bench_plan(&options, environment, &Target::AsTyped)?;
        let files = outputs(&options, None)?;
        files.check_json("plan")?;
        Ok((plan, files))
    });
    let (plan, files) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Ok(error.report()),
    };
    let mut figures = Figures::default();
    for file in options.load.figures() {
        figures.read(file)?;
    }
    let sends = target.rate.is_some() && plan.publishers > 0;
    if figures.ceilings.is_empty() && figures.sample.is_none() && sends {
        figures.ceilings = Ceilings::load(environment);
        figures.ceilings_of = "of the last mqbench self";
    }
    if figures.ceilings.is_empty() && figures.sample.is_none() && sends {
        let size = plan.payload.bytes(0, "", "").len();
        let measure = async { calibrate::measure_now(plan.qos, size, Interruption::listen(true, false)).await };
        figures.ceilings = crate::client::run(measure).map_err(anyhow::Error::from).flatten()?;
        figures.ceilings_of = "measured now";
    }
    if figures.limits.is_none() {
        raise_open_files();
        (figures.limits, figures.env) = (Some(Limits::read()), Some(EnvironmentFacts::read()));
    }
    let answer = figures.answer(&plan, target);
    if !options.result.json {
        print(answer.text(Colors::for_stdout()).as_bytes())?;
    }
    let mut text = serde_json::to_vec_pretty(&answer).context("the answer cannot be written as JSON")?;
    text.push(b'\n');
    write_json(&text, options.result.json, &files)?;
    Ok(ExitStatus::Done)
}

/// The options with the clients and the rate of the target.
fn scaled(options: &BenchOptions, target: LoadTarget) -> Result<BenchOptions, UsageError> {
    let mut faults = Vec::new();
    let mut options = options.clone();
    let load = &mut options.load;
    let verb = load.plan_verb();
    if let Some(clients) = target.clients {
        if load.clients.is_some() || load.pubs.is_some() || load.subs.is_some() {
            faults.push("--target sets the number of clients: remove --clients, --pubs and --subs".to_owned());
        }
        let (pubs, subs) = match (verb, load.shape()) {
            (Some(Verb::Pub | Verb::Sub | Verb::Conn), _) => (clients, 0),
            (Some(Verb::Echo), _) => (clients / 3, 0),
            (_, Shape::FanIn) => (clients - 1, 1),
            (_, Shape::FanOut) => (1, clients - 1),
            (_, Shape::P2p | Shape::Shared { .. }) => (clients / 2, clients - clients / 2),
        };
        match [pubs, subs].map(u32::try_from) {
            [Ok(pubs), Ok(_)] if verb.is_some() => load.clients = Some(pubs),
            [Ok(pubs), Ok(subs)] => (load.pubs, load.subs) = (Some(pubs), Some(subs)),
            _ => faults.push("--target: more clients than a plan can have".to_owned()),
        }
    }
    if target.rate.is_some() {
        if load.rate.is_some() || load.rate_per_client.is_some() || load.flood {
            faults.push("--target sets the rate: remove --rate, --rate-per-client and --flood".to_owned());
        }
        if load.publishers() == 0 {
            faults.push("--target: without publishers there is no rate".to_owned());
        }
        load.rate = target.rate;
    }
    UsageError::check(BENCH.name, faults)?;
    Ok(options)
}

impl Figures {
    /// Takes the figures of a saved document.
    fn read(&mut self, file: &Path) -> Result<()> {
        let shown = quoted(&file.to_string_lossy());
        if std::fs::metadata(file).with_context(|| shown.clone())?.len() > LARGEST {
            return Err(anyhow!("{shown}: too large for a saved document"));
        }
        let text = std::fs::read(file).with_context(|| shown.clone())?;
        let head: Value = serde_json::from_slice(&text).with_context(|| shown.clone())?;
        match head.get("schema").and_then(Value::as_str) {
            Some(calibrate::SELF_SCHEMA) => {
                let (ceilings, env) = calibrate::read_saved(&text).with_context(|| shown.clone())?;
                (self.ceilings, self.ceilings_of) = (ceilings, "of mqbench self");
                self.env.get_or_insert(env);
            }
            Some(doctor::SCHEMA) => {
                let (limits, env) = doctor::read_saved(&text).with_context(|| shown.clone())?;
                (self.limits, self.env) = (Some(limits), Some(env));
            }
            _ => self.sample = Some(report::read_result(file)?),
        }
        Ok(())
    }

    fn answer(&self, plan: &BenchPlan, target: LoadTarget) -> Answer {
        let need = Need::of(plan, false);
        let limits = self.limits.clone().unwrap_or_default();
        let mut rows = Vec::new();
        if target.clients.is_some() {
            rows.extend(ports(&need, &limits));
            rows.push(files(&need, &limits));
            rows.push(self.memory(&need, &limits));
        }
        let mut notes = Vec::new();
        if let Some(per_s) = target.rate {
            rows.push(self.processors(plan, per_s, &mut notes));
        }
        let machines = rows.iter().filter_map(|row| row.machines).max();
        let at_least = !notes.is_empty() || rows.iter().any(|row| row.machines.is_none());
        Answer {
            schema: SCHEMA.to_owned(),
            clients: need.clients,
            rate_per_s: target.rate,
            rows,
            machines,
            at_least,
            notes,
        }
    }

    fn memory(&self, need: &Need, limits: &Limits) -> Row {
        let measured = self.sample.as_ref().and_then(|sample| sample.generator.bytes_per_client);
        let estimated = need.memory / need.clients.max(1);
        let each = measured.map_or(estimated, |measured| measured.max(estimated));
        let whose = if measured.is_some_and(|measured| measured > estimated) {
            "as in the saved result"
        } else {
            "mqbench doctor's estimate"
        };
        let there = limits.memory;
        let per_machine = there.map(|there| there * NEAR_PCT / 100 / each.max(1));
        let shown = there.map_or_else(|| "not known".to_owned(), |there| bytes(there as f64));
        let basis = format!("{NEAR_PCT} % of {shown} available, {} per client ({whose})", bytes(each as f64));
        Row::of_clients("memory", per_machine, basis, need)
    }

    fn processors(&self, plan: &BenchPlan, per_s: f64, notes: &mut Vec<String>) -> Row {
        let share = CEILING_NEAR_PCT;
        let row = |limit: &str, per_machine: Option<f64>, basis: String| Row {
            limit: limit.to_owned(),
            per_machine,
            basis,
            machines: per_machine.map(|each| (per_s / each).ceil().max(1.0) as u64),
        };
        let measured = self.sample.as_ref().and_then(|sample| {
            let cpu = sample.generator.cpu_ns_per_message.filter(|cpu| *cpu > 0)?;
            Some((cpu, sample.env.cores?))
        });
        // Sent once, received by each; a round trip is sent and received twice.
        let passes = if plan.responders > 0 { 4 } else { 1 + plan.routes.copies().1 as u64 };
        if let Some((cpu, cores)) = measured {
            let per_machine = cores as f64 * 1e9 * share / 100.0 / (cpu * passes) as f64;
            let basis = format!(
                "{share} % of {}; in the saved result {} of CPU time for each message sent and each received",
                counted(cores, "core", "cores"),
                duration(cpu)
            );
            return row("CPU", Some(per_machine), basis);
        }
        let cores = self.env.as_ref().and_then(|env| env.cores);
        let publishers = plan.publishers as u64;
        let ceiling = cores.and_then(|cores| self.ceilings.of_sending(plan, publishers, cores));
        if plan.subscribers > 0 {
            notes.push(
                "What receiving costs is not measured by mqbench self: run the plan small on one machine with --out \
                 one.json, and add one.json to this command"
                    .to_owned(),
            );
        }
        match ceiling {
            Some(ceiling) => {
                let whose = self.ceilings_of;
                let basis = format!("{share} % of the ceiling {whose}, {} messages/s", rate(ceiling));
                row("CPU for sending", Some(ceiling * share / 100.0), basis)
            }
            None => row("CPU for sending", None, "mqbench self does not measure this kind of message".to_owned()),
        }
    }
}

fn ports(need: &Need, limits: &Limits) -> Option<Row> {
    let paths = need.paths?;
    let each = limits.ports.map(|(first, last)| (last + 1 - first).saturating_sub(limits.reserved_ports));
    let shown = each.map_or_else(|| "not known".to_owned(), grouped);
    let pairs = counted(paths, "pair of source address and target", "pairs of source address and target");
    let per_machine = each.map(|each| each * paths);
    Some(Row::of_clients("local ports", per_machine, format!("{shown} for {pairs}"), need))
}

fn files(need: &Need, limits: &Limits) -> Row {
    let others = need.files.saturating_sub(need.clients);
    let hard = limits.files.map(|(_, hard)| hard);
    let per_machine = hard.map(|hard| hard.saturating_sub(others));
    let shown = hard.map_or_else(|| "not known".to_owned(), grouped);
    Row::of_clients("open files", per_machine, format!("{shown} without {} of mqbench's own", grouped(others)), need)
}

impl Row {
    fn of_clients(limit: &str, per_machine: Option<u64>, basis: String, need: &Need) -> Self {
        let per_machine = per_machine.filter(|each| *each > 0);
        Self {
            limit: limit.to_owned(),
            per_machine: per_machine.map(|each| each as f64),
            basis,
            machines: per_machine.map(|each| need.clients.div_ceil(each)),
        }
    }
}

impl Answer {
    fn text(&self, colors: Colors) -> String {
        let mut text = counted(self.clients, "client", "clients");
        if let Some(per_s) = self.rate_per_s {
            text.push_str(&format!(", {} messages/s", rate(per_s)));
        }
        text = format!("{}\n\n", colors.paint(Paint::Strong, &text));
        let mut table = Table::new([Align::Left, Align::Right, Align::Right]);
        table.row(["limit", "per machine", "machines"].map(|text| Cell::painted(Paint::Faint, text)));
        let unknown = || "not known".to_owned();
        for row in &self.rows {
            let unit = if row.limit.starts_with("CPU") { "messages/s" } else { "clients" };
            let each = row.per_machine.map_or_else(unknown, |each| format!("{} {unit}", grouped(each as u64)));
            let machines = row.machines.map_or_else(unknown, grouped);
            table.row([row.limit.clone(), each, machines]);
        }
        let table = table.render(colors);
        let mut lines = table.lines();
        text.extend(lines.next().map(|heading| format!("{heading}\n")));
        // Each line, followed by what it is made of.
        for (line, row) in lines.zip(&self.rows) {
            text.push_str(&format!("{line}\n      {}\n", colors.paint(Paint::Faint, &escape(&row.basis))));
        }
        text.push('\n');
        let mut counts: Vec<&Row> = self.rows.iter().filter(|row| row.machines.is_some()).collect();
        counts.sort_by_key(|row| std::cmp::Reverse(row.machines));
        match (self.machines, counts.first()) {
            (Some(machines), Some(first)) => {
                let least = if self.at_least { "At least " } else { "" };
                let verdict =
                    format!("{least}{} like this one: the limit is {}.", machines_text(machines), first.limit);
                text.push_str(&colors.paint(Paint::Strong, &verdict));
                text.push('\n');
                if let Some(second) = counts.get(1).filter(|_| machines > 1) {
                    let count = second.machines.unwrap_or_default();
                    text.push_str(&format!(
                        "With that limit raised the next one is {}: {}. mqbench doctor prints the commands.\n",
                        second.limit,
                        machines_text(count)
                    ));
                }
                if machines > 1 {
                    text.push_str(&format!(
                        "Next: mqbench plan --engine ENGINE --shards {machines} and the run's options\n"
                    ));
                }
            }
            _ => text.push_str("How many machines that takes is not known.\n"),
        }
        for note in &self.notes {
            text.push_str(&format!("{note}.\n"));
        }
        text
    }
}

fn machines_text(count: u64) -> String {
    counted(count, "machine", "machines")
}
