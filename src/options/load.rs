//! The groups of mqbench: the load, its stages in time, and what is done with the result.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::arrival::{Arrival, Behind, arrival, seed};
use super::shape::{PayloadName, Shape};
use super::values::{
    SizeRange, clients, duration, positive_count, positive_duration, qos, rate, size_range, whole_number,
};
use crate::mqtt::QoS;
use crate::terminal::quoted;

/// Clients, topics and rates.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadOptions {
    /// What to do [default: flood, then measure latency].
    // Tool::command shows the verbs in front of all options.
    #[arg(index = 1, value_name = "VERB", value_enum, hide_short_help = true)]
    pub verb: Option<Verb>,

    /// With report, merge and compare: saved results (- is stdin). With doctor and plan: the verb to check or plan.
    // Both positions in one, for what the second word is depends on the first.
    #[arg(index = 2, value_name = "FILE|PLAN", value_hint = ValueHint::FilePath)]
    pub operands: Vec<PathBuf>,

    /// Who receives what: p2p, fan-in, fan-out or shared:GROUPS [default: p2p].
    ///
    /// p2p pairs each publisher with a subscriber. fan-in has many publishers and one subscriber, fan-out one publisher
    /// and many subscribers; in both, each subscriber receives every message. shared:G divides the subscribers into G
    /// groups ($share), and one member of each group receives each message. --pubs and --subs change the numbers.
    #[arg(long, value_name = "SHAPE", value_parser = Shape::parse, value_hint = ValueHint::Other)]
    pub shape: Option<Shape>,

    /// Number of publishers and of subscribers [default: 10].
    ///
    /// With fan-in it is the number of publishers, with fan-out of subscribers; there is one client on the other side.
    #[arg(long, value_name = "COUNT", value_parser = clients)]
    pub clients: Option<u32>,

    /// Number of publishers [default: --clients]; 0 only receives.
    #[arg(long, value_name = "COUNT", value_parser = clients)]
    pub pubs: Option<u32>,

    /// Number of subscribers [default: --clients]; 0 only sends.
    #[arg(long, value_name = "COUNT", value_parser = clients)]
    pub subs: Option<u32>,

    /// Only flood: send as fast as the window allows (closed loop).
    #[arg(long)]
    pub flood: bool,

    /// Only send RATE messages per second in total (open loop).
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate: Option<f64>,

    /// Only send RATE messages per second from each publisher (open loop).
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate_per_client: Option<f64>,

    /// Schedule of an open loop: fixed, poisson or burst:N [default: fixed].
    ///
    /// fixed spaces messages evenly. With poisson the gaps are random, independent and exponential, for each publisher
    /// and in total. burst:N makes N messages due at once. The schedule depends only on the rate and --seed.
    #[arg(long, value_name = "KIND", value_parser = arrival)]
    pub arrival: Option<Arrival>,

    /// What to do with messages of an open loop that are late [default: queue].
    ///
    /// skip does so only if the window was full or the message is more than 1 ms late; skipped messages count for -C.
    #[arg(long, value_name = "HOW", value_enum)]
    pub behind: Option<Behind>,

    /// Seed of all random choices, to repeat a run; the result reports it [default: random].
    #[arg(long, value_name = "NUMBER", value_parser = seed)]
    pub seed: Option<u64>,

    /// Topic template; may be repeated [default: a unique topic per run and publisher].
    ///
    /// With %i each publisher has its own topic; a template without it is one topic for all, and each subscriber
    /// receives every message. %i is the client number (%05i pads it with zeros), %c the client identifier, %u the user
    /// name, %% a percent sign; they work in -i, -u, -P and -m too. Several templates are assigned to the publishers in
    /// rotation. With --pubs 0 each subscriber subscribes to all of them, and they may contain wildcards and
    /// $share/GROUP/.
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub topic: Vec<String>,

    /// QoS of publishers and subscribers.
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = qos)]
    pub qos: QoS,

    /// Publish with the retain flag; the retained messages are removed at the end.
    #[arg(short, long)]
    pub retain: bool,

    /// Payload size in bytes, or A..B for a random size per message [default: 64].
    ///
    /// k and M are powers of 1000, Ki and Mi powers of 1024. A payload of 16 bytes or more begins with a stamp of 16
    /// bytes; shorter ones have no room for it, and messages are matched by order.
    #[arg(long, value_name = "BYTES", value_parser = size_range, value_hint = ValueHint::Other)]
    pub size: Option<SizeRange>,

    /// Payload contents: zero, random, text or template:FILE [default: zero].
    ///
    /// random does not compress and differs in each message; text resembles JSON; both depend on --seed. A template is
    /// a file with the placeholders of -t, and %s (number of the message at its publisher) and %t (Unix time in
    /// milliseconds). It has no room for the stamp, so messages are matched by order.
    #[arg(long, value_name = "WHAT", value_parser = PayloadName::parse, value_hint = ValueHint::Other)]
    pub payload: Option<PayloadName>,

    /// Send TEXT; fills in placeholders such as %i and %s, as in --payload template.
    ///
    /// TEXT is sent without the stamp, so messages are matched by order.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub message: Option<String>,

    /// Fill in %{csv:COLUMN} from the rows of FILE, in -m, --payload template, -t, -i, -u and -P.
    ///
    /// The first line holds the column names. Each client has the row of its number; in payloads each message has the
    /// next row. After the last row comes the first one again.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub csv: Option<PathBuf>,

    /// Send the contents of FILE unchanged; use --payload template to fill in placeholders.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,

    /// What frees a slot in the window (-M).
    #[arg(long, value_name = "WHEN", value_enum, default_value = "delivery")]
    pub window: WindowName,

    /// New connections per second [default: as many as the broker accepts].
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub connect_rate: Option<f64>,

    /// Number of threads [default: one per core, half as many if the broker is on this machine].
    #[arg(long, value_name = "COUNT", value_parser = threads)]
    pub threads: Option<u16>,

    /// Spin instead of sleeping until a message is due: precise to microseconds, a full core per thread.
    ///
    /// Latency then excludes wake-up delay. Use it only if each thread has a core that nothing else needs, the broker
    /// included.
    #[arg(long)]
    pub busy_poll: bool,

    /// Run against a broker inside this process.
    #[arg(long)]
    pub embedded: bool,
}

/// The verbs of mqbench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verb {
    /// Publish only; measures acknowledgements.
    Pub,
    /// Subscribe only; counts what other clients publish for --duration.
    Sub,
    /// Open connections and hold them; measures connecting and pings.
    Conn,
    /// Send messages through a responder and back; measures round trips.
    Echo,
    /// Measure the ceiling of mqbench on this machine, and save it for later results.
    #[value(name = "self")]
    Self_,
    /// Check whether this machine can run the plan, and how to fix it; makes no connections.
    Doctor,
    /// Print saved results, or convert them with --out: report FILE...
    Report,
    /// Add the results of one plan that ran in several parts: merge FILE... --out FILE.
    Merge,
    /// Compare results: compare FILE FILE...
    Compare,
    /// Find the highest rate that meets --slo.
    Find,
    /// Print the job file of a run on several machines (--engine), or how many machines a load needs (--target).
    Plan,
}

impl Verb {
    /// Whether the words behind it may be files.
    pub fn reads_files(self) -> bool {
        matches!(self, Self::Report | Self::Merge | Self::Compare | Self::Plan)
    }

    /// The verbs that may stand behind it, whose plans it looks at.
    pub fn examines(self) -> &'static [Self] {
        if matches!(self, Self::Doctor | Self::Plan) { &EXAMINED } else { &[] }
    }

    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pub => "pub",
            Self::Sub => "sub",
            Self::Conn => "conn",
            Self::Echo => "echo",
            Self::Self_ => "self",
            Self::Doctor => "doctor",
            Self::Report => "report",
            Self::Merge => "merge",
            Self::Compare => "compare",
            Self::Find => "find",
            Self::Plan => "plan",
        }
    }
}

/// What frees a slot in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WindowName {
    /// The message was delivered to the subscribers of this run and, at QoS 1 and 2, acknowledged.
    #[default]
    Delivery,
    /// The message was acknowledged.
    Ack,
    /// Nothing: there is no window.
    None,
}

/// How long.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Time")]
pub struct StageOptions {
    /// Measured time of all stages together [default: 10s; with -C, until all messages are done].
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub duration: Option<Duration>,

    /// Unmeasured load before each stage [default: 1s; none with -C].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub warmup: Option<Duration>,

    /// Wait at most TIME for outstanding messages after each stage.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub drain: Duration,

    /// Measure COUNT messages in total; with --duration, whichever ends first.
    #[arg(short = 'C', value_name = "COUNT", value_parser = positive_count)]
    pub count: Option<u64>,
}

/// What is done with the result.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Result")]
pub struct ResultOptions {
    /// Print the result as one JSON document (mqbench-result/1).
    #[arg(long)]
    pub json: bool,

    /// Print every figure of every stage, not only the verdict and the key figures.
    #[arg(long)]
    pub details: bool,

    /// Write the result to FILE in the format of its suffix; may be repeated.
    ///
    /// .json is the result document (mqbench-result/1), .csv a row per figure, .hlog an HdrHistogram interval log, .html a
    /// report in one file, .md a summary in Markdown, .xml the gates as JUnit test cases.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Vec<PathBuf>,

    /// Name of the run, for the result.
    #[arg(long, value_name = "TEXT", value_hint = ValueHint::Other)]
    pub name: Option<String>,

    /// Label of the run, for the result, as KEY=VALUE; may be repeated.
    #[arg(long, value_name = "LABEL", value_hint = ValueHint::Other, value_parser = label)]
    pub label: Vec<(String, String)>,

    /// Exit with status 3 unless EXPR holds, as in 'e2e.p99 <= 20ms && lost == 0'; may be repeated.
    ///
    /// EXPR is METRIC OP VALUE, several joined by &&. Metrics are e2e.p99, ack.p99.9, e2e.max, sent_per_s,
    /// delivered_per_s, lost, not_sent, duplicates and others. A latency needs a unit. A metric that was not measured
    /// fails, and so does an invalid run.
    #[arg(long, value_name = "EXPR", value_hint = ValueHint::Other)]
    pub gate: Vec<String>,

    /// Serve the running figures to Prometheus, at http://ADDR:PORT/metrics.
    ///
    /// The figures are those of the measured window, once per second, with the labels stage and number; the server ends
    /// with the run. Port 0 takes a free port, which is printed.
    #[arg(long, value_name = "ADDR:PORT", value_parser = MetricsAddress::parse, value_hint = ValueHint::Other)]
    pub prometheus: Option<MetricsAddress>,

    /// Do not record latency; takes less CPU time per message.
    #[arg(long)]
    pub no_latency: bool,
}

/// Where the running figures are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsAddress {
    /// Host, IPv6 without brackets.
    pub host: String,
    /// Port; 0 for a free one.
    pub port: u16,
}

impl MetricsAddress {
    fn parse(text: &str) -> Result<Self, String> {
        let fault = || "must be ADDR:PORT, as in 127.0.0.1:9100 or [::1]:0".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = whole_number(port).ok_or_else(fault)?;
        if host.is_empty() || text.starts_with(':') || (host.contains(':') && !text.starts_with('[')) {
            return Err(fault());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Publishers, and subscribers: enough to keep a broker busy over the round trips, few enough for any broker.
const DEFAULT_CLIENTS: u32 = 10;

/// Verbs whose plans `mqbench doctor` and `mqbench plan` can look at.
const EXAMINED: [Verb; 4] = [Verb::Pub, Verb::Sub, Verb::Conn, Verb::Echo];

/// `KEY=VALUE`.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("the form is KEY=VALUE".into()),
    }
}

fn threads(text: &str) -> Result<u16, String> {
    whole_number(text)
        .filter(|count| (1..=1024).contains(count))
        .ok_or_else(|| "must be a number from 1 to 1024".into())
}

impl LoadOptions {
    /// The verb whose plan this is: with doctor and plan the one behind it.
    pub fn plan_verb(&self) -> Option<Verb> {
        if self.verb.is_some_and(|verb| !verb.examines().is_empty()) { self.examined() } else { self.verb }
    }

    /// The saved figures behind `mqbench plan`, and behind the verb that it plans.
    pub fn figures(&self) -> &[PathBuf] {
        let verbs = usize::from(self.examined().is_some());
        if self.verb == Some(Verb::Plan) { self.operands.get(verbs..).unwrap_or_default() } else { &[] }
    }

    /// The verb that doctor looks at, or plan.
    fn examined(&self) -> Option<Verb> {
        let name = self.operands.first()?.to_str()?;
        EXAMINED.into_iter().find(|verb| verb.name() == name)
    }

    /// What is wrong with the words behind the verb.
    fn operand_faults(&self) -> Option<String> {
        let shown = |operand: &PathBuf| quoted(&operand.to_string_lossy());
        let verb = self.verb.map_or("", Verb::name);
        match (self.verb, &self.operands[..]) {
            (Some(Verb::Doctor), []) => None,
            (Some(Verb::Doctor), [plan]) if self.examined().is_none() => {
                let known = EXAMINED.map(Verb::name).join(", ");
                Some(format!("mqbench doctor {}: doctor checks {known}, or a run without a verb", shown(plan)))
            }
            (Some(Verb::Doctor), [_]) => None,
            (Some(Verb::Report | Verb::Merge), []) => {
                Some(format!("mqbench {verb} needs the file of a result, as --out result.json writes it"))
            }
            (Some(Verb::Compare), [] | [_]) => {
                Some("mqbench compare needs the files of two results, as --out result.json writes them".to_owned())
            }
            (Some(verb), _) if verb.reads_files() => None,
            (_, []) => None,
            (_, [operand, ..]) => Some(match operand.to_str().map(|name| Verb::from_str(name, false)) {
                Some(Ok(second)) => {
                    let second = second.name();
                    format!("mqbench {verb} {second}: only doctor takes a second verb: remove one of them")
                }
                _ => format!("unexpected argument {}: mqbench {verb} reads no files", shown(operand)),
            }),
        }
    }

    /// Number of publishers.
    pub fn publishers(&self) -> u32 {
        match self.plan_verb() {
            Some(Verb::Sub | Verb::Conn) => 0,
            Some(Verb::Echo) => self.clients.unwrap_or(1),
            Some(_) | None => self.pubs.unwrap_or_else(|| match self.shape() {
                Shape::FanOut => 1,
                Shape::P2p | Shape::FanIn | Shape::Shared { .. } => self.clients.unwrap_or(DEFAULT_CLIENTS),
            }),
        }
    }

    /// Number of subscribers.
    pub fn subscribers(&self) -> u32 {
        match self.plan_verb() {
            Some(Verb::Pub | Verb::Conn) => 0,
            Some(Verb::Echo) => self.clients.unwrap_or(1),
            Some(_) | None => self.subs.unwrap_or_else(|| match self.shape() {
                Shape::FanIn => 1,
                Shape::P2p | Shape::FanOut => self.clients.unwrap_or(DEFAULT_CLIENTS),
                // At least one in each group; there are at most a million groups.
                Shape::Shared { groups } => self.clients.unwrap_or_else(|| DEFAULT_CLIENTS.max(groups as u32)),
            }),
        }
    }

    /// Number of clients that only connect.
    pub fn idlers(&self) -> u32 {
        if self.plan_verb() == Some(Verb::Conn) { self.clients.unwrap_or(DEFAULT_CLIENTS) } else { 0 }
    }

    /// Number of clients that answer.
    pub fn responders(&self) -> u32 {
        if self.plan_verb() == Some(Verb::Echo) { self.publishers() } else { 0 }
    }

    /// Which messages each subscriber receives.
    pub fn shape(&self) -> Shape {
        self.shape.unwrap_or_default()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut one_of = |given: &[(bool, &'static str)]| {
            let given: Vec<&str> = given.iter().filter(|(given, _)| *given).map(|(_, name)| *name).collect();
            if given.len() > 1 {
                faults.push(format!("{} cannot be used together", given.join(" and ")));
            }
        };
        one_of(&[
            (self.flood, "--flood"),
            (self.rate.is_some(), "--rate"),
            (self.rate_per_client.is_some(), "--rate-per-client"),
        ]);
        let is_template = matches!(self.payload, Some(PayloadName::Template(_)));
        one_of(&[
            (self.size.is_some(), "--size"),
            (self.message.is_some(), "-m"),
            (self.file.is_some(), "-f"),
            (is_template, "--payload template"),
        ]);
        if !is_template {
            let payload = (self.payload.is_some(), "--payload");
            one_of(&[(self.message.is_some(), "-m"), payload]);
            one_of(&[(self.file.is_some(), "-f"), payload]);
        }
        for (given, name) in [(self.arrival.is_some(), "--arrival"), (self.behind.is_some(), "--behind")] {
            if given && self.flood {
                faults.push(format!("{name} sets the schedule of an open loop, which --flood does not have"));
            }
        }
        let plan_verb = self.plan_verb();
        let verb = plan_verb.map_or("", Verb::name);
        faults.extend(self.operand_faults());
        for (given, option, other) in [
            (plan_verb == Some(Verb::Pub) && self.subs.is_some(), "--subs", "subscribers"),
            (plan_verb == Some(Verb::Sub) && self.pubs.is_some(), "--pubs", "publishers"),
            (plan_verb == Some(Verb::Conn) && self.pubs.is_some(), "--pubs", "publishers"),
            (plan_verb == Some(Verb::Conn) && self.subs.is_some(), "--subs", "subscribers"),
        ] {
            if given {
                faults.push(format!("mqbench {verb} has no {other}: remove {option}"));
            }
        }
        if plan_verb == Some(Verb::Echo) && (self.pubs.is_some() || self.subs.is_some()) {
            faults.push("mqbench echo has a responder for each client: use --clients".into());
        }
        let (publishers, subscribers) = (self.publishers(), self.subscribers());
        if publishers == 0 && subscribers == 0 && self.idlers() > 0 {
            // Connections are what there is.
        } else if publishers == 0 && subscribers == 0 {
            faults.push("there are neither publishers nor subscribers".into());
        } else if let Some(shape) = self.shape.filter(|_| publishers == 0 || subscribers == 0) {
            let missing = if publishers == 0 { "publishers" } else { "subscribers" };
            faults.push(format!(
                "--shape {shape} needs publishers and subscribers, and there are no {missing}: remove --shape"
            ));
        } else if let Shape::Shared { groups } = self.shape()
            && groups > subscribers as usize
        {
            faults.push(format!(
                "--shape shared:{groups}: at least {groups} subscribers are needed, not {subscribers}: raise --subs"
            ));
        }
        faults
    }
}
