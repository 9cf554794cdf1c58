//! A run while it goes on, as lines for a terminal of a given size: a function of what was observed so far.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::bench::engine::{RunProgress, WatchedSecond};
use crate::bench::plan::{BenchPlan, Stage, StageName};
use crate::mqtt::QoS;
use crate::terminal::number::{UNKNOWN, duration, grouped, percent, rate};
use crate::terminal::{Colors, Paint, Size};

/// By then every second that is shown is one of the hold.
const SETTLED: Duration = Duration::from_secs(2);
/// Seconds that a sparkline shows at most.
const HISTORY: usize = 60;
/// A thread busier than this is near its limit, percent.
const THREAD_NEAR_PCT: f64 = 90.0;
/// Columns of the names before the figures.
const NAMES: usize = 12;

/// What is happening.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Starting,
    Connecting(u64),
    /// For the other shards.
    Waiting,
    WarmUp,
    Measuring(Duration),
    Holding(Duration),
    Draining(u64),
}

/// What was observed of a run so far.
#[derive(Debug)]
pub(super) struct LiveView {
    /// What is planned.
    stages: Vec<Stage>,
    clients: u64,
    threads: usize,
    /// Which sides there are: what is sent, acknowledged, delivered.
    sides: [bool; 3],
    time_name: &'static str,
    hold: Option<Duration>,
    phase: Phase,
    /// The present stage by its place in the plan.
    stage: usize,
    /// Its rate, where it has a schedule.
    rate: Option<f64>,
    second: Option<Arc<WatchedSecond>>,
    /// The seconds of the stage: sent, acknowledged, delivered.
    history: VecDeque<[u64; 3]>,
}

impl LiveView {
    pub(super) fn new(plan: &BenchPlan) -> Self {
        let sends = plan.publishers > 0 && plan.idlers == 0;
        let receives = plan.subscribers > 0 && plan.idlers == 0;
        Self {
            stages: plan.stages.clone(),
            clients: plan.own_clients() as u64,
            threads: plan.threads,
            sides: [sends, sends && plan.qos != QoS::AtMostOnce, receives],
            time_name: match (plan.idlers > 0, plan.responders > 0, sends && receives) {
                (true, ..) => "ping",
                (_, true, _) => "round trip",
                (.., true) if !plan.is_apart() => "e2e",
                _ => "ack",
            },
            hold: (plan.idlers > 0).then_some(plan.hold),
            phase: Phase::Starting,
            stage: 0,
            rate: None,
            second: None,
            history: VecDeque::new(),
        }
    }

    /// Takes in how far the run has come.
    pub(super) fn observe(&mut self, progress: RunProgress) {
        match progress {
            RunProgress::Connecting { connected, .. } => self.phase = Phase::Connecting(connected as u64),
            RunProgress::Waiting => self.phase = Phase::Waiting,
            RunProgress::Holding { elapsed, second, .. } => {
                self.phase = Phase::Holding(elapsed);
                self.note(second);
            }
            RunProgress::WarmUp(name) => self.begin(name, Phase::WarmUp),
            RunProgress::Measuring { stage, elapsed, rate, second, .. } => {
                // Without a warm-up, that the time begins anew is how a stage begins.
                let begins =
                    !matches!(self.phase, Phase::Measuring(before) if before <= elapsed) && self.phase != Phase::WarmUp;
                if begins {
                    self.begin(stage, Phase::WarmUp);
                }
                (self.phase, self.rate) = (Phase::Measuring(elapsed), rate);
                self.note(second);
            }
            RunProgress::Draining { outstanding, .. } => self.phase = Phase::Draining(outstanding),
        }
    }

    /// A name for what is happening, which changes when something else begins.
    pub(super) fn phase(&self) -> (usize, &'static str) {
        let name = match self.phase {
            Phase::Starting | Phase::Connecting(_) => "connect",
            Phase::Waiting => "wait",
            Phase::WarmUp => "warm-up",
            Phase::Measuring(_) => "measure",
            Phase::Holding(_) => "hold",
            Phase::Draining(_) => "drain",
        };
        (self.stage, name)
    }

    fn begin(&mut self, name: StageName, phase: Phase) {
        if self.phase != phase {
            (self.second, self.rate) = (None, None);
            self.history.clear();
        }
        self.phase = phase;
        self.stage = self.stages.iter().position(|stage| stage.name == name).unwrap_or(self.stage);
    }

    fn note(&mut self, second: Option<Arc<WatchedSecond>>) {
        let Some(second) = second.filter(|new| self.second.as_ref().is_none_or(|old| old.number != new.number)) else {
            return;
        };
        self.history.push_back([second.sent, second.acked, second.delivered]);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        self.second = Some(second);
    }

    /// The lines for a terminal: all of them where there is room, the first ones where there is not.
    pub(super) fn lines(&self, size: Size, colors: Colors) -> Vec<String> {
        // The last column stays free: some terminals wrap when it is written.
        let width = size.columns.saturating_sub(1).max(20);
        let mut lines = vec![self.head(width, colors)];
        if matches!(self.phase, Phase::Measuring(_) | Phase::Holding(_) | Phase::Draining(_)) {
            lines.extend(self.rates(width, colors));
            lines.extend(self.times(width));
            lines.extend(self.state(width));
        }
        let warnings = self.warnings();
        let paint = |text: &String| colors.paint(Paint::Warning, &cut(&format!("  Warning: {text}"), width));
        // What is shown must fit with the line on which the cursor stands; warnings come before figures.
        let room = size.lines.saturating_sub(2).max(1);
        lines.truncate(room.saturating_sub(warnings.len()).max(1));
        lines.extend(warnings.iter().map(paint));
        lines.truncate(room);
        lines
    }

    /// One line, for a log.
    pub(super) fn plain_line(&self) -> String {
        let mut facts = vec![self.title()];
        facts.extend(self.left().map(|left| format!("{} left", whole_seconds(left))));
        if let Some(second) = &self.second {
            let sums = [("sent", second.sent), ("acked", second.acked), ("delivered", second.delivered)];
            let shown = sums.into_iter().zip(self.sides).filter(|(_, is_there)| *is_there);
            facts.extend(shown.map(|((name, sum), _)| format!("{name} {}/s", grouped(sum))));
            for (name, time) in ["p50", "p99"].iter().zip(second.time_so_far) {
                facts.extend(time.map(|time| format!("{} {name} {}", self.time_name, duration(time))));
            }
            facts.push(format!("{} connections", grouped(second.connections)));
        }
        facts.extend(self.warnings().into_iter().map(|warning| format!("warning: {warning}")));
        facts.join(", ")
    }

    fn title(&self) -> String {
        let stage = self.stages.get(self.stage).map_or("", |stage| stage.name.text());
        match self.phase {
            Phase::Starting => "connecting".to_owned(),
            Phase::Connecting(connected) => format!("connected {} of {}", grouped(connected), grouped(self.clients)),
            Phase::Waiting => "waiting for the other shards".to_owned(),
            Phase::WarmUp => format!("{stage}: warming up"),
            Phase::Measuring(_) => stage.to_owned(),
            Phase::Holding(_) => "holding".to_owned(),
            Phase::Draining(count) => format!("{stage}: waiting for {} in flight", grouped(count)),
        }
    }

    /// The stage, a bar, the time left.
    fn head(&self, width: usize, colors: Colors) -> String {
        let count = self.stages.get(self.stage).and_then(|stage| stage.count);
        let share = match (self.phase, self.length(), count) {
            (Phase::Connecting(connected), ..) => Some(connected as f64 / self.clients.max(1) as f64),
            (Phase::Measuring(elapsed) | Phase::Holding(elapsed), Some(length), _) => {
                Some(elapsed.as_secs_f64() / length.as_secs_f64().max(0.001))
            }
            (Phase::Measuring(_), None, Some(count)) => {
                Some(self.second.as_ref().map_or(0, |second| second.sent_so_far) as f64 / count as f64)
            }
            _ => None,
        };
        let mut right = Vec::new();
        if self.stages.len() > 1 && !matches!(self.phase, Phase::Starting | Phase::Connecting(_) | Phase::Waiting) {
            right.push(format!("stage {} of {}", self.stage + 1, self.stages.len()));
        }
        if let (Phase::Measuring(_), Some(count)) = (self.phase, count) {
            let sent = self.second.as_ref().map_or(0, |second| second.sent_so_far);
            right.push(format!("{} of {} sent", grouped(sent), grouped(count)));
        }
        right.extend(self.left().map(|left| format!("{} left", whole_seconds(left))));
        let right = right.join(", ");
        let title = self.title();
        let taken = title.chars().count() + right.chars().count() + 4;
        let bar = share.map(|share| bar(share, width.saturating_sub(taken).min(30))).unwrap_or_default();
        let plain = format!("{title}  {bar}  {right}");
        if plain.chars().count() > width || bar.is_empty() {
            return cut(format!("{title}  {right}").trim_end(), width);
        }
        format!("{}  {bar}  {right}", colors.paint(Paint::Heading, &title))
    }

    /// How long the present part takes, where that is known.
    fn length(&self) -> Option<Duration> {
        match self.phase {
            Phase::Holding(_) => self.hold,
            _ => self.stages.get(self.stage)?.duration,
        }
    }

    /// The time until the load ends, all stages together; none where a count ends it.
    fn left(&self) -> Option<Duration> {
        let of_stage = |stage: &Stage| stage.duration.map(|duration| duration + stage.warmup);
        let later = self.stages.iter().skip(self.stage + 1).map(of_stage).sum::<Option<Duration>>();
        let left = match self.phase {
            Phase::Measuring(elapsed) | Phase::Holding(elapsed) => self.length()?.saturating_sub(elapsed),
            Phase::WarmUp => self.stages.get(self.stage).and_then(of_stage)?,
            Phase::Draining(_) | Phase::Starting | Phase::Connecting(_) | Phase::Waiting => return None,
        };
        Some(left + if self.hold.is_some() { Duration::ZERO } else { later? })
    }

    /// Messages per second: planned, sent, acknowledged, delivered.
    fn rates(&self, width: usize, colors: Colors) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(planned) = self.rate {
            lines.push(cut(&format!("  {:<NAMES$}{:>10}/s", "planned", rate(planned)), width));
        }
        for (side, name) in ["sent", "acked", "delivered"].into_iter().enumerate().filter(|(side, _)| self.sides[*side])
        {
            let now = self.history.back().map_or_else(|| UNKNOWN.to_owned(), |second| grouped(second[side]));
            let figure = cut(&format!("  {name:<NAMES$}{now:>10}/s"), width);
            let room = width.saturating_sub(figure.chars().count() + 2);
            let line: Vec<u64> = self.history.iter().map(|second| second[side]).collect();
            let line = colors.paint(Paint::Faint, &sparkline(&line, room.min(HISTORY)));
            lines.push(format!("{figure}  {line}").trim_end().to_owned());
        }
        lines
    }

    /// p50 and p99 of the last second and so far; a narrow terminal has no room for both.
    fn times(&self, width: usize) -> Vec<String> {
        let Some(second) = self.second.as_ref().filter(|second| second.time_so_far[0].is_some()) else {
            return Vec::new();
        };
        let known = |time: Option<u64>| time.map_or_else(|| UNKNOWN.to_owned(), duration);
        let line = |name: &str, index: usize| {
            let (now, so_far) = (known(second.time[index]), known(second.time_so_far[index]));
            let name = format!("{} {name}", self.time_name);
            let whole = format!("  {name:<NAMES$}{now:>10} last second{so_far:>12} so far");
            let short = format!("  {name:<NAMES$}{so_far:>10}");
            if whole.chars().count() <= width { whole } else { cut(&short, width) }
        };
        vec![line("p50", 0), line("p99", 1)]
    }

    /// What became of messages, connections, own CPU.
    fn state(&self, width: usize) -> Vec<String> {
        let Some(second) = &self.second else { return Vec::new() };
        let mut facts = Vec::new();
        if self.sides[2] && self.sides[0] {
            facts.push(format!("lost {}", grouped(second.missing)));
            facts.push(format!("twice {}", grouped(second.repeated)));
        }
        facts.extend(self.behind().map(|behind| format!("not sent {}", grouped(behind))));
        if self.sides[0] {
            facts.push(format!("in flight {}", grouped(second.in_flight)));
        }
        let open = format!("connections {} of {}", grouped(second.connections), grouped(self.clients));
        let cpu = second.cpu_pct.map(|share| format!("own CPU {} of a core", percent(share)));
        let lines = [facts.join("   "), std::iter::once(open).chain(cpu).collect::<Vec<_>>().join("   ")];
        lines.iter().filter(|line| !line.is_empty()).map(|line| cut(&format!("  {line}"), width)).collect()
    }

    /// Messages that were due in the whole seconds and are not sent.
    fn behind(&self) -> Option<u64> {
        let (rate, second) = (self.rate?, self.second.as_ref()?);
        // A second that has just ended may lack its last messages.
        let due = rate * second.number as f64;
        let behind = due - second.sent_so_far as f64;
        Some(if behind > (due * 0.01).max(1.0) { behind as u64 } else { 0 })
    }

    /// What to look at, as it arises.
    fn warnings(&self) -> Vec<String> {
        let Some(second) = &self.second else { return Vec::new() };
        let mut warnings = Vec::new();
        let counted = |count: u64, what: &str| (count > 0).then(|| format!("{} {what}", grouped(count)));
        let gone = self.clients.saturating_sub(second.connections);
        let is_load = match self.phase {
            Phase::Connecting(_) => false,
            // The last second that is known may be one in which clients were still connecting.
            Phase::Holding(elapsed) => elapsed >= SETTLED,
            _ => true,
        };
        warnings.extend(counted(if is_load { gone } else { 0 }, "connections are gone"));
        warnings.extend(counted(second.refused, "messages were refused by the broker"));
        warnings.extend(counted(second.missing, "messages are missing"));
        if self.sides[0] && self.sides[2] && second.sent > 0 && second.delivered == 0 {
            warnings.push("nothing arrived in the last second".to_owned());
        }
        warnings.extend(counted(self.behind().unwrap_or_default(), "messages behind the schedule"));
        if second.cpu_pct.is_some_and(|share| share > THREAD_NEAR_PCT * self.threads as f64) {
            warnings.push("mqbench itself has no CPU time left".to_owned());
        }
        warnings
    }
}

fn whole_seconds(time: Duration) -> String {
    format!("{} s", grouped(time.as_secs_f64().ceil() as u64))
}

/// A line that is not wider than a terminal.
fn cut(line: &str, width: usize) -> String {
    line.chars().take(width).collect()
}

/// How far something is; nothing where there is no room for it.
fn bar(share: f64, width: usize) -> String {
    if width < 5 {
        return String::new();
    }
    let filled = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("{}{}", "━".repeat(filled), "─".repeat(width - filled))
}

/// The last figures as heights, against the largest of them.
fn sparkline(figures: &[u64], room: usize) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if room < 5 {
        return String::new();
    }
    let shown = &figures[figures.len().saturating_sub(room)..];
    let most = shown.iter().copied().max().unwrap_or_default().max(1);
    shown.iter().map(|figure| HEIGHTS[((figure * 7 + most / 2) / most) as usize]).collect()
}

#[cfg(test)]
mod tests;
