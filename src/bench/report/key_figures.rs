//! The one small table of a result: a row for each stage, and the figures that its verdict is about.

use super::document::ResultDocument;
use super::latency::{LatencySummary, LoopKind};
use super::load::{Load, Trust, connects_per_s, is_overloaded};
use super::stage::Stage;
use crate::terminal::number::{UNKNOWN, byte_rate, duration, grouped, rate};

/// The table: its first column names the stage, the others are figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyFigures {
    /// The columns.
    pub heads: Vec<&'static str>,
    /// A cell per column; a dash is what was not measured, or is not valid.
    pub rows: Vec<Vec<String>>,
    /// Columns in the order in which a narrow page leaves them out; the verdict states what is in them.
    pub expendable: Vec<usize>,
}

type Figure<'a> = Box<dyn Fn(&Stage) -> Option<String> + 'a>;

/// One column: its head, its figure of a stage, and whether a narrow page may leave it out.
struct Column<'a> {
    head: &'static str,
    figure: Figure<'a>,
    is_expendable: bool,
}

fn column<'a>(head: &'static str, figure: impl Fn(&Stage) -> Option<String> + 'a) -> Column<'a> {
    Column { head, figure: Box::new(figure), is_expendable: false }
}

impl Column<'_> {
    fn expendable(self) -> Self {
        Self { is_expendable: true, ..self }
    }
}

/// The key figures of a result; no rows where nothing was measured.
pub(crate) fn key_figures(document: &ResultDocument) -> KeyFigures {
    let stages: Vec<&Stage> = document.stages.iter().filter(|stage| stage.is_result()).collect();
    let Some(last) = stages.last() else { return KeyFigures::default() };
    let load = Load::of(document, last);
    if load == Load::Connect {
        return connections(document, last);
    }
    let mut columns = rates(document, load);
    columns.extend(times(document, load, &stages));
    columns.extend(counts(document));
    let row = |stage: &&Stage| {
        let figures = columns.iter().map(|column| (column.figure)(stage).unwrap_or_else(|| UNKNOWN.to_owned()));
        std::iter::once(stage.name.clone()).chain(figures).collect()
    };
    let mut expendable: Vec<usize> =
        (1..).zip(&columns).filter(|(_, column)| column.is_expendable).map(|(place, _)| place).collect();
    expendable.reverse();
    KeyFigures {
        heads: std::iter::once("").chain(columns.iter().map(|column| column.head)).collect(),
        rows: stages.iter().map(row).collect(),
        expendable,
    }
}

fn rates<'a>(document: &'a ResultDocument, load: Load) -> Vec<Column<'a>> {
    let valid =
        move |stage: &Stage, per_second: Option<f64>| per_second.filter(|_| Trust::of(document, stage).rates).map(rate);
    let is_one_to_one = document.plan["copies_per_message"].as_u64().is_none_or(|copies| copies == 1);
    let carried = move |stage: &Stage| valid(stage, load.carried_per_s(stage));
    let sent = move |stage: &Stage| valid(stage, stage.traffic.sent_per_s);
    match load {
        Load::Echo => vec![column("round trips/s", carried)],
        Load::Receive => vec![
            column("received/s", carried),
            column("messages", |stage| stage.traffic.delivered.map(grouped)),
            column("payload/s", |stage| stage.traffic.goodput_bytes_per_s.map(byte_rate)),
        ],
        Load::Publish if document.stages.iter().any(|stage| stage.traffic.acked_per_s.is_some()) => {
            vec![column("acked/s", carried)]
        }
        Load::Publish => vec![column("sent/s", sent)],
        Load::Flow if is_one_to_one => vec![column("messages/s", carried)],
        Load::Flow | Load::Connect => vec![column("sent/s", sent), column("delivered/s", carried)],
    }
}

/// Times of open loops alone: those of a flood are times of queueing, and would be compared with these.
fn times<'a>(document: &'a ResultDocument, load: Load, stages: &[&'a Stage]) -> Vec<Column<'a>> {
    let valid = move |stage: &Stage, read: fn(&LatencySummary) -> Option<u64>| {
        let is_shown =
            stage.model == LoopKind::Open && Trust::of(document, stage).times && !is_overloaded(document, stage);
        load.time(stage).filter(|_| is_shown).and_then(|time| read(time.of)).map(duration)
    };
    let name = stages.iter().rev().find_map(|stage| load.time(stage)).map(|time| time.name);
    let p50 = match name {
        Some("ack") => "ack p50",
        Some("round trip") => "p50",
        _ => "e2e p50",
    };
    // Where there is one, the percentiles that too few samples do not give are dashes.
    let is_known = |stage: &&Stage| valid(stage, |time| Some(time.max)).is_some();
    if !stages.iter().any(is_known) {
        return Vec::new();
    }
    vec![
        column(p50, move |stage| valid(stage, |time| time.p.p50)),
        column("p99", move |stage| valid(stage, |time| time.p.p99)),
        column("max", move |stage| valid(stage, |time| Some(time.max))).expendable(),
    ]
}

/// What went wrong with messages: losses always, everything else where there is any.
fn counts(document: &ResultDocument) -> Vec<Column<'_>> {
    let valid =
        move |stage: &Stage, count: Option<u64>| count.filter(|_| Trust::of(document, stage).counts).map(grouped);
    let any = |count: Option<u64>| count.is_some_and(|count| count > 0);
    let all = &document.delivery;
    let mut columns = Vec::new();
    if all.counts.lost.is_some() {
        columns.push(column("lost", move |stage| valid(stage, stage.delivery.counts.lost)));
    }
    if any(all.unacked) || (all.counts.lost.is_none() && all.unacked.is_some()) {
        columns.push(column("unacked", move |stage| valid(stage, stage.delivery.unacked)).expendable());
    }
    if any(all.not_sent) {
        columns.push(column("not sent", move |stage| valid(stage, stage.delivery.not_sent)).expendable());
    }
    if any(all.counts.duplicates) {
        columns.push(column("twice", move |stage| valid(stage, stage.delivery.counts.duplicates)).expendable());
    }
    columns
}

/// Of a run that only connects there is a row for each time.
fn connections(document: &ResultDocument, stage: &Stage) -> KeyFigures {
    let trust = Trust::of(document, stage);
    let (clients, latency) = (&stage.clients, &stage.latency);
    let known = |figure: Option<String>| figure.unwrap_or_else(|| UNKNOWN.to_owned());
    let per_s = connects_per_s(stage).filter(|_| trust.rates).map(rate);
    let row = |name: &str, of: &LatencySummary, per_s: Option<String>, lost: Option<u64>| {
        let time = |ns: Option<u64>| known(ns.filter(|_| trust.times).map(duration));
        vec![
            name.to_owned(),
            grouped(of.count),
            known(per_s),
            time(of.p.p50),
            time(of.p.p99),
            time(Some(of.max)),
            known(lost.map(grouped)),
        ]
    };
    let connect = latency.connect.as_ref().map(|of| row("connect", of, per_s, clients.failed));
    let ping = latency.ping.as_ref().map(|of| row("ping", of, None, clients.lost));
    KeyFigures {
        heads: vec!["", "n", "per second", "p50", "p99", "max", "failed"],
        rows: connect.into_iter().chain(ping).collect(),
        expendable: vec![5, 2],
    }
}
