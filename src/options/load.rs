//! The groups of mqbench: the load, its stages in time, and what is done with the result.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum, ValueHint};

use super::arrival::{Arrival, Behind, arrival, seed};
use super::shape::{PayloadName, Shape};
use super::values::{
    SizeRange, clients, duration, positive_count, positive_duration, qos, rate, size_range, whole_number,
};
use crate::mqtt::QoS;

/// Who sends what to whom, and how fast.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadOptions {
    /// What to do [default: flood, then measure latency].
    // Tool::command shows the verbs in front of all options.
    #[arg(value_name = "VERB", value_enum, hide_short_help = true)]
    pub verb: Option<Verb>,

    /// With doctor: the verb whose plan is looked at [default: the plan without a verb].
    #[arg(value_name = "PLAN", value_parser = examined())]
    pub examined: Option<Verb>,

    /// Who gets what: p2p, fan-in, fan-out or shared:GROUPS [default: p2p].
    ///
    /// p2p pairs each publisher with a subscriber. fan-in has many publishers and one subscriber, fan-out one publisher
    /// and many subscribers; in both every subscriber gets every message. shared:G deals the subscribers out to G groups
    /// ($share), and every message goes to one member of each group. --pubs and --subs change the numbers.
    #[arg(long, value_name = "SHAPE", value_parser = Shape::parse, value_hint = ValueHint::Other)]
    pub shape: Option<Shape>,

    /// Publishers and subscribers, so many of each [default: 10].
    ///
    /// In fan-in only of publishers, in fan-out only of subscribers: the other side is one.
    #[arg(long, value_name = "COUNT", value_parser = clients)]
    pub clients: Option<u32>,

    /// Publishers [default: as --clients]; 0 only receives.
    #[arg(long, value_name = "COUNT", value_parser = clients)]
    pub pubs: Option<u32>,

    /// Subscribers [default: as --clients]; 0 only sends.
    #[arg(long, value_name = "COUNT", value_parser = clients)]
    pub subs: Option<u32>,

    /// Send as fast as the window allows (closed loop), and nothing else.
    #[arg(long)]
    pub flood: bool,

    /// Send so many messages a second in total (open loop), and nothing else.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate: Option<f64>,

    /// Send so many messages a second from each publisher (open loop), and nothing else.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate_per_client: Option<f64>,

    /// When messages of an open loop are due: fixed, poisson or burst:N [default: fixed].
    ///
    /// fixed spreads them evenly; with poisson the gaps of each publisher are independent and exponential, and so are those
    /// of all together; burst:N makes N messages due at once. The whole schedule follows from the rate and --seed before
    /// the run begins.
    #[arg(long, value_name = "KIND", value_parser = arrival)]
    pub arrival: Option<Arrival>,

    /// What becomes of messages of an open loop that could not be sent in time [default: queue].
    ///
    /// queue sends them late and times them from when they were due; skip gives up a message when the next one of its
    /// publisher is due already (and the window was closed to it, or it is more than 1 ms late), and counts it. With skip, -C counts skipped messages too.
    #[arg(long, value_name = "HOW", value_enum)]
    pub behind: Option<Behind>,

    /// Seed of everything random, to repeat a run; the result names it [default: random].
    #[arg(long, value_name = "NUMBER", value_parser = seed)]
    pub seed: Option<u64>,

    /// Topic template; may be repeated [default: one of its own for each run and publisher].
    ///
    /// With %i each publisher has a topic of its own; a text without it is one topic for all, and every subscriber gets
    /// everything. %i is the client's number (%05i with zeros in front), %c its client identifier, %u its user name, %% a
    /// percent sign; they work in -i, -u, -P and -m too. Of several topics each publisher takes one in turn. With --pubs 0
    /// every subscriber asks for all of them, and they may hold wildcards and $share/GROUP/.
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub topic: Vec<String>,

    /// QoS of publishers and subscribers.
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = qos)]
    pub qos: QoS,

    /// Publish with the retain flag; the retained messages are removed at the end.
    #[arg(short, long)]
    pub retain: bool,

    /// Payload size in bytes, or A..B for a size drawn anew for each message [default: 64].
    ///
    /// k and M are 1000, Ki and Mi 1024. From 16 bytes on the payload begins with a stamp of 16 bytes; shorter ones have
    /// no room for it, and messages are matched by their order.
    #[arg(long, value_name = "BYTES", value_parser = size_range, value_hint = ValueHint::Other)]
    pub size: Option<SizeRange>,

    /// What fills the payload: zero, random, text, or template:FILE [default: zero].
    ///
    /// random does not compress and is another one in each message; text reads like JSON; both come from --seed. A
    /// template is a file with the places of -t, and %s (number of the message at its publisher) and %t (Unix time in
    /// milliseconds); it has no room for the stamp, so messages are matched by their order.
    #[arg(long, value_name = "WHAT", value_parser = PayloadName::parse, value_hint = ValueHint::Other)]
    pub payload: Option<PayloadName>,

    /// Send this text; places like %i and %s in it are filled in as in --payload template.
    ///
    /// It is sent as it is, without room for the time stamp, so messages are matched by their order.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub message: Option<String>,

    /// Send this file as it is; for one with places to fill in see --payload template.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,

    /// What frees a place in the window (-M).
    ///
    /// With subscribers in the process a place is free when the message was delivered, and at QoS 1 and 2 acknowledged;
    /// ack asks for the acknowledgement only; none sends on without a window.
    #[arg(long, value_name = "WHEN", value_enum, default_value = "delivery")]
    pub window: WindowName,

    /// New connections a second [default: as many as the broker takes].
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub connect_rate: Option<f64>,

    /// Threads [default: one a processor, half of them when the broker is on this machine].
    #[arg(long, value_name = "COUNT", value_parser = threads)]
    pub threads: Option<u16>,

    /// Do not sleep before a message is due: exact to microseconds, for a whole processor a thread.
    ///
    /// Latency then holds no time in which this machine woke up. Worth it only where every thread has a processor that
    /// nobody else needs, the broker included.
    #[arg(long)]
    pub busy_poll: bool,

    /// Run against a broker of its own inside this process.
    #[arg(long)]
    pub embedded: bool,
}

/// What mqbench is to do, where it is not its main job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verb {
    /// Publish only; measures acknowledgements.
    Pub,
    /// Subscribe only; counts what others publish for --duration.
    Sub,
    /// Connect clients and hold them; measures connecting and pings.
    Conn,
    /// Send messages through a responder and back; measures round trips.
    Echo,
    /// Measure mqbench itself on this machine, and keep its ceiling for later results.
    #[value(name = "self")]
    Self_,
    /// Tell whether this machine can carry out what the options ask for; nothing connects.
    Doctor,
}

impl Verb {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pub => "pub",
            Self::Sub => "sub",
            Self::Conn => "conn",
            Self::Echo => "echo",
            Self::Self_ => "self",
            Self::Doctor => "doctor",
        }
    }
}

/// What frees a place in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WindowName {
    /// Delivered to the subscribers of this process, and acknowledged where the QoS asks for it.
    #[default]
    Delivery,
    /// Acknowledged.
    Ack,
    /// Nothing: there is no window.
    None,
}

/// How long.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Time")]
pub struct StageOptions {
    /// Measured time of all stages together [default: 10s; with -C until the messages are through].
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub duration: Option<Duration>,

    /// Load before each stage that is not measured [default: 1s; none with -C].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub warmup: Option<Duration>,

    /// Wait at most so long for messages on their way after each stage.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub drain: Duration,

    /// Measure so many messages in total; with --duration whatever comes first.
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

    /// Write the result to FILE as JSON; may be repeated.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Vec<PathBuf>,

    /// Exit with 3 unless this holds, as in 'e2e.p99 <= 20ms && lost == 0'; may be repeated.
    ///
    /// METRIC OP VALUE, joined by &&. Metrics are e2e.p99, ack.p99.9, e2e.max, sent_per_s, delivered_per_s, lost, not_sent,
    /// duplicates and so on. A latency needs a unit. What was not measured fails, and so does an invalid run.
    #[arg(long, value_name = "EXPR", value_hint = ValueHint::Other)]
    pub gate: Vec<String>,

    /// Record no latency; costs less processor time a message.
    #[arg(long)]
    pub no_latency: bool,
}

/// Publishers, and subscribers: enough to keep a broker busy over the round trips, few enough for any broker.
const DEFAULT_CLIENTS: u32 = 10;

/// Verbs whose plans `mqbench doctor` can look at.
fn examined() -> impl TypedValueParser<Value = Verb> {
    let verbs = [Verb::Pub, Verb::Sub, Verb::Conn, Verb::Echo];
    PossibleValuesParser::new(verbs.map(|verb| PossibleValue::new(verb.name())))
        .try_map(|name| Verb::from_str(&name, false))
}

fn threads(text: &str) -> Result<u16, String> {
    whole_number(text).filter(|count| (1..=1024).contains(count)).ok_or_else(|| "it is a number from 1 to 1024".into())
}

impl LoadOptions {
    /// The verb whose plan this is: with doctor the one that it looks at.
    pub fn plan_verb(&self) -> Option<Verb> {
        if self.verb == Some(Verb::Doctor) { self.examined } else { self.verb }
    }

    /// Number of publishers.
    pub fn publishers(&self) -> u32 {
        match self.plan_verb() {
            Some(Verb::Sub | Verb::Conn) => 0,
            Some(Verb::Echo) => self.clients.unwrap_or(1),
            Some(Verb::Pub | Verb::Self_ | Verb::Doctor) | None => self.pubs.unwrap_or_else(|| match self.shape() {
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
            Some(Verb::Sub | Verb::Self_ | Verb::Doctor) | None => self.subs.unwrap_or_else(|| match self.shape() {
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

    /// Who gets what.
    pub fn shape(&self) -> Shape {
        self.shape.unwrap_or_default()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut one_of = |given: &[(bool, &'static str)]| {
            let given: Vec<&str> = given.iter().filter(|(given, _)| *given).map(|(_, name)| *name).collect();
            if given.len() > 1 {
                faults.push(format!("{} contradict each other: leave all but one out", given.join(" and ")));
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
                faults.push(format!("{name} is about the schedule of an open loop, and --flood has none"));
            }
        }
        let plan_verb = self.plan_verb();
        let verb = plan_verb.map_or("", Verb::name);
        if let (Some(examined), true) = (self.examined, self.verb != Some(Verb::Doctor)) {
            let (verb, examined) = (self.verb.map_or("", Verb::name), examined.name());
            faults.push(format!("mqbench {verb} {examined}: only doctor takes a second word; leave one of them out"));
        }
        for (given, option, other) in [
            (plan_verb == Some(Verb::Pub) && self.subs.is_some(), "--subs", "subscribers"),
            (plan_verb == Some(Verb::Sub) && self.pubs.is_some(), "--pubs", "publishers"),
            (plan_verb == Some(Verb::Conn) && self.pubs.is_some(), "--pubs", "publishers"),
            (plan_verb == Some(Verb::Conn) && self.subs.is_some(), "--subs", "subscribers"),
        ] {
            if given {
                faults.push(format!("mqbench {verb} has no {other}: leave {option} out"));
            }
        }
        if plan_verb == Some(Verb::Echo) && (self.pubs.is_some() || self.subs.is_some()) {
            faults.push("mqbench echo has as many requesters as responders: --clients says how many".into());
        }
        let (publishers, subscribers) = (self.publishers(), self.subscribers());
        if publishers == 0 && subscribers == 0 && self.idlers() > 0 {
            // Connections are what there is.
        } else if publishers == 0 && subscribers == 0 {
            faults.push("there is nothing to do with neither publishers nor subscribers".into());
        } else if let Some(shape) = self.shape.filter(|_| publishers == 0 || subscribers == 0) {
            let missing = if publishers == 0 { "publishers" } else { "subscribers" };
            faults.push(format!("--shape {shape} needs both sides, and there are no {missing}: leave --shape out"));
        } else if let Shape::Shared { groups } = self.shape()
            && groups > subscribers as usize
        {
            faults.push(format!(
                "--shape shared:{groups}: {subscribers} subscribers cannot fill {groups} groups: raise --subs"
            ));
        }
        faults
    }
}
