//! The result of `mqbench self`: the document `mqbench-self/1` and its table.

use serde::{Deserialize, Serialize};

use super::case::{Case, MANY};
use super::measured::Measured;
use crate::bench::report::{Status, ToolFacts};
use crate::bench::system::EnvironmentFacts;
use crate::terminal::number::{UNKNOWN, about, counted, duration, percent, rate};
use crate::terminal::{Align, Cell, Colors, Paint, Table, wrapped};

/// Name and version of the format.
pub(super) const SCHEMA: &str = "mqbench-self/1";

/// The whole result. What was not measured is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SelfDocument {
    pub(super) schema: String,
    /// `ok`, or `partial` when interrupted.
    pub(super) status: Status,
    pub(super) tool: ToolFacts,
    pub(super) env: EnvironmentFacts,
    /// RFC 3339 in UTC.
    pub(super) started_at: String,
    /// How often each case was measured; every figure is the median.
    pub(super) rounds: u64,
    pub(super) cases: Vec<CaseFigures>,
    /// What stamp, ledger and histogram cost.
    pub(super) recording_ns_per_message: Option<f64>,
    pub(super) threads: Vec<ThreadFigures>,
    pub(super) sched_lag: Option<LagFigures>,
    /// Where the ceiling was saved.
    pub(super) saved_to: Option<String>,
}

/// One case: the figures of plain sockets and of the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CaseFigures {
    pub(super) qos: u8,
    pub(super) size_bytes: u64,
    pub(super) connections: u64,
    pub(super) threads: u64,
    /// Plain sockets, always on one thread.
    pub(super) limit: Option<Rate>,
    pub(super) engine: Option<Rate>,
    /// CPU time per message of plain sockets in percent of that of the engine.
    pub(super) share_pct: Option<f64>,
    /// Messages per second with all threads busy.
    pub(super) ceiling_per_s: Option<f64>,
}

/// Medians over the rounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rate {
    pub(super) per_s: f64,
    /// CPU time of the sending threads, without the sink. Null where the system does not distinguish threads.
    pub(super) cpu_ns_per_message: Option<f64>,
}

/// All threads against one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ThreadFigures {
    pub(super) qos: u8,
    pub(super) connections: u64,
    pub(super) size_bytes: u64,
    pub(super) threads: u64,
    /// CPU time per message with all threads over that with one.
    pub(super) cpu_ratio: f64,
}

/// How late paced messages are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LagFigures {
    pub(super) rate_per_s: u64,
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
}

/// The median; of an even number of values the lower of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

impl Rate {
    pub(super) fn of(rounds: &[Measured]) -> Option<Self> {
        let per_s = median(rounds.iter().map(Measured::per_s).collect())?;
        // Known in all rounds that carried messages, or in none.
        let carried = rounds.iter().filter(|round| round.messages > 0);
        let cpu: Option<Vec<f64>> = carried.map(Measured::cpu_ns_per_message).collect();
        Some(Self { per_s, cpu_ns_per_message: cpu.and_then(median) })
    }
}

impl CaseFigures {
    /// The figures of a case from its rounds, each with plain sockets and engine.
    pub(super) fn of(case: &Case, limit: &[Measured], engine: &[Measured]) -> Self {
        let shares: Option<Vec<f64>> = limit
            .iter()
            .zip(engine)
            // A round that carried nothing on a busy machine does not show what a message costs.
            .filter(|(limit, engine)| limit.messages > 0 && engine.messages > 0)
            .map(|(limit, engine)| Some(100.0 * limit.cpu_ns_per_message()? / engine.cpu_ns_per_message()?))
            .collect();
        let engine = Rate::of(engine);
        let ceiling = engine.as_ref().map(|engine| match engine.cpu_ns_per_message {
            Some(cpu) if cpu > 0.0 => case.threads as f64 * 1e9 / cpu,
            // The rate that was reached is the best known.
            _ => engine.per_s,
        });
        Self {
            qos: case.qos.number(),
            size_bytes: case.size as u64,
            connections: case.connections as u64,
            threads: case.threads as u64,
            limit: Rate::of(limit),
            engine,
            share_pct: shares.and_then(median),
            ceiling_per_s: ceiling,
        }
    }

    fn cpu(&self) -> Option<f64> {
        self.engine.as_ref()?.cpu_ns_per_message
    }
}

/// Compares cases that differ only in their threads.
pub(super) fn thread_figures(cases: &[CaseFigures]) -> Vec<ThreadFigures> {
    let many = cases.iter().filter(|case| case.threads > 1 && case.connections == MANY as u64);
    let figures = many.filter_map(|case| {
        let single = cases.iter().find(|single| {
            (single.qos, single.size_bytes, single.connections) == (case.qos, case.size_bytes, case.connections)
                && single.threads == 1
        })?;
        Some(ThreadFigures {
            qos: case.qos,
            connections: case.connections,
            size_bytes: case.size_bytes,
            threads: case.threads,
            cpu_ratio: case.cpu()? / single.cpu().filter(|cpu| *cpu > 0.0)?,
        })
    });
    figures.collect()
}

/// What the figures mean, in words: the ceilings of the cases with the most threads and small messages, and how precise
/// a schedule is.
fn verdict(document: &SelfDocument) -> Option<String> {
    let threads = document.cases.iter().map(|case| case.threads).max()?;
    let busiest = || document.cases.iter().filter(|case| case.threads == threads);
    let smallest = busiest().map(|case| case.size_bytes).min()?;
    let of_qos = |qos: u8| {
        let cases = busiest().filter(|case| case.qos == qos && case.size_bytes == smallest);
        let per_s = cases.filter_map(|case| case.ceiling_per_s).min_by(f64::total_cmp)?;
        Some(format!("{} messages/s at QoS {qos}", about(per_s)))
    };
    let ceilings: Vec<String> = (0..=2).filter_map(of_qos).collect();
    let ceilings = (!ceilings.is_empty()).then(|| {
        let threads = counted(threads, "thread", "threads");
        format!(
            "This machine publishes up to {} ({threads}, {smallest} B); a broker that carries more needs more of them.",
            ceilings.join(", ")
        )
    });
    let lag = document.sched_lag.as_ref().and_then(|lag| lag.p99_ns.map(|p99| (lag.rate_per_s, p99)));
    let lag = lag.map(|(rate_per_s, p99)| {
        let limit = "so shorter latencies are partly its own";
        format!(
            "At {}/s 99 of 100 messages leave within {} of their time, {limit}.",
            rate(rate_per_s as f64),
            duration(p99)
        )
    });
    let sentences: Vec<String> = ceilings.into_iter().chain(lag).collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// The document for people.
pub(super) fn table(document: &SelfDocument, width: usize, colors: Colors) -> String {
    let cpu = document.env.cpu_model.as_deref().unwrap_or("unknown processor");
    let title = colors.paint(Paint::Strong, &format!("mqbench {} self", document.tool.version));
    let mut text = String::new();
    if let Some(verdict) = verdict(document) {
        text = format!("{}\n", wrapped("", &verdict, width));
    }
    text.push_str(&format!("{title}  {} cores  {cpu}\n", document.env.cores.unwrap_or_default()));
    if document.status == Status::Partial {
        let line =
            format!("PARTIAL: interrupted after {}; nothing was saved", counted(document.rounds, "round", "rounds"));
        text.push_str(&format!("{}\n", colors.paint(Paint::Warning, &line)));
    }
    text.push('\n');
    text.push_str(&rows(document).render(colors));
    text.push('\n');
    let about = "CPU is the time of the sending threads per message, the median of the rounds. Limit is plain \
                 blocking sockets with the same packets; share is limit CPU / engine CPU. Ceiling is the rate with \
                 all threads busy.";
    text.push_str(&wrapped("  ", about, width));
    let mut facts = Table::new([Align::Left, Align::Left]);
    if let Some(ns) = document.recording_ns_per_message {
        facts.row(["recording".into(), format!("{ns:.1} ns per message: stamp, ledger, histogram")]);
    }
    for threads in &document.threads {
        let ThreadFigures { qos, connections, size_bytes, threads, cpu_ratio } = threads;
        let text = format!(
            "{threads} threads use {cpu_ratio:.2} × the CPU per message of one thread: QoS {qos}, {connections} \
             connections, {size_bytes} B"
        );
        facts.row(["threads".into(), text]);
    }
    if let Some(LagFigures { rate_per_s, p50_ns, p99_ns }) = &document.sched_lag {
        let [p50, p99] = [p50_ns, p99_ns].map(|ns| ns.map_or_else(|| UNKNOWN.to_owned(), duration));
        facts.row(["sched lag".into(), format!("p50 {p50}, p99 {p99} at {} messages/s", rate(*rate_per_s as f64))]);
    }
    if let Some(path) = &document.saved_to {
        facts.row(["saved".to_owned(), format!("{path}: later runs report their headroom below it")]);
    }
    text.push('\n');
    text.push_str(&facts.render(colors));
    text
}

fn rows(document: &SelfDocument) -> Table {
    let mut alignments = vec![Align::Right; 9];
    alignments[0] = Align::Left;
    let mut table = Table::new(alignments);
    let faint = |text: &str| Cell::painted(Paint::Faint, text);
    table.row(
        ["", "payload", "conns", "threads", "limit CPU", "engine CPU", "share", "engine/s", "ceiling/s"].map(faint),
    );
    let mut last = None;
    for case in &document.cases {
        let name = if last == Some(case.qos) { String::new() } else { format!("QoS {}", case.qos) };
        last = Some(case.qos);
        let cpu = |figures: &Option<Rate>| {
            let ns = figures.as_ref().and_then(|figures| figures.cpu_ns_per_message);
            ns.map_or_else(|| UNKNOWN.to_owned(), |ns| format!("{ns:.0} ns"))
        };
        let known = |value: Option<f64>| value.map_or_else(|| UNKNOWN.to_owned(), rate);
        table.row([
            name.into(),
            format!("{} B", case.size_bytes).into(),
            case.connections.to_string().into(),
            case.threads.to_string().into(),
            cpu(&case.limit).into(),
            cpu(&case.engine).into(),
            Cell::painted(Paint::Strong, case.share_pct.map_or_else(|| UNKNOWN.to_owned(), percent)),
            known(case.engine.as_ref().map(|engine| engine.per_s)).into(),
            known(case.ceiling_per_s).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::QoS;

    fn measured(messages: u64, cpu_ns: u64) -> Measured {
        Measured { messages, wall_ns: 1_000_000_000, cpu_ns: Some(cpu_ns) }
    }

    #[test]
    fn a_share_is_the_median_of_the_rounds() {
        let case = Case { qos: QoS::AtLeastOnce, size: 16, connections: 100, threads: 2 };
        let limit = [measured(100, 4_000), measured(100, 5_000), measured(100, 90_000)];
        let engine = [measured(100, 10_000), measured(100, 10_000), measured(50, 5_000)];
        let figures = CaseFigures::of(&case, &limit, &engine);
        assert_eq!(figures.share_pct, Some(50.0), "40, 50 and 900 %");
        assert_eq!(figures.engine, Some(Rate { per_s: 100.0, cpu_ns_per_message: Some(100.0) }));
        assert_eq!(figures.ceiling_per_s, Some(2e7), "two threads of 100 ns a message");
        let stood_still = [measured(0, 1_000), measured(100, 10_000), measured(100, 10_000)];
        assert_eq!(CaseFigures::of(&case, &limit, &stood_still).share_pct, Some(50.0), "50 and 900 %");
        let unknown = [Measured { cpu_ns: None, ..measured(7, 0) }];
        let figures = CaseFigures::of(&case, &unknown, &unknown);
        assert_eq!((figures.share_pct, figures.ceiling_per_s), (None, Some(7.0)));
        assert_eq!(CaseFigures::of(&case, &[], &[]).engine, None);
    }

    #[test]
    fn threads_are_compared_with_one() {
        let of = |threads, cpu| {
            let case = Case { qos: QoS::AtMostOnce, size: 16, connections: MANY, threads };
            CaseFigures::of(&case, &[], &[measured(10, cpu)])
        };
        let figures = thread_figures(&[of(1, 1_000), of(2, 1_100)]);
        assert_eq!(figures.len(), 1);
        assert!((figures[0].cpu_ratio - 1.1).abs() < 1e-9);
        assert_eq!(thread_figures(&[of(2, 1_100)]), []);
    }
}
