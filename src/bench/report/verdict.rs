//! The verdict: what a result means, in a few sentences.
//!
//! A function of the document alone, so that a terminal, Markdown, HTML and `mqbench report` say the same. A result that
//! is not what was requested begins with what is still valid and what is not. A time in a closed loop is never called a
//! latency, and a percentile is named only where the document has it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::delivery::DeliveryAccount;
use super::document::{ResultDocument, Status, Warning};
use super::latency::LoopKind;
use super::limit::limit;
use super::load::{Load, Trust, connects_per_s, is_overloaded};
use super::stage::Stage;
use crate::bench::measure::{Silence, Verdict as Health};
use crate::terminal::number::{about, counted, duration, grouped, percent, rate};

/// Share of the planned rate that must have been reached for the plan to be the limit.
const REACHED: f64 = 0.99;
/// The same for connecting, whose end is when the last client was connected.
const CONNECTS_REACHED: f64 = 0.9;

/// Of a silence, the part that a message must have waited for it to be one of the path.
const WAITED: f64 = 0.8;

/// How good a result is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// As it should be.
    #[default]
    Ok,
    /// To be looked at.
    Attention,
    /// Not as it should be.
    Bad,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// How good what it states is.
    pub level: Level,
    /// What it begins with, as `INVALID` or `Next`: it then stands on its own line, `Next: …`. Empty for the sentences
    /// that form the paragraph.
    pub label: &'static str,
    /// The sentence. It may hold text from the network: escape it.
    pub text: String,
}

/// What a result means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The worst level of the sentences.
    pub level: Level,
    /// In the order in which they are read.
    pub sentences: Vec<Sentence>,
}

impl Verdict {
    /// The sentences with a label, which stand on a line each.
    pub(crate) fn labelled(&self) -> impl Iterator<Item = &Sentence> {
        self.sentences.iter().filter(|sentence| !sentence.label.is_empty())
    }

    /// The sentences without one, which form the paragraph.
    pub(crate) fn plain(&self) -> impl Iterator<Item = &Sentence> {
        self.sentences.iter().filter(|sentence| sentence.label.is_empty())
    }
}

/// The verdict on a result.
pub(crate) fn verdict(document: &ResultDocument) -> Verdict {
    let mut page = Sentences::default();
    page.state_validity(document);
    let stages: Vec<&Stage> = document.stages.iter().filter(|stage| stage.is_result()).collect();
    match stages.last().map(|last| Load::of(document, last)) {
        None => {}
        Some(Load::Connect) => stages.iter().for_each(|stage| page.state_connections(document, stage)),
        Some(Load::Receive) => stages.iter().for_each(|stage| page.state_reception(document, stage)),
        Some(load) => page.state_messages(document, load, &stages),
    }
    let failed = document.gates.iter().filter(|gate| !gate.pass).count();
    if failed > 0 {
        page.add(Level::Bad, format!("{failed} of {} failed.", counted(document.gates.len() as u64, "gate", "gates")));
    }
    let level = page.0.iter().map(|sentence| sentence.level).max().unwrap_or_default();
    Verdict { level, sentences: page.0 }
}

/// The warnings that say more than the verdict does.
pub(crate) fn further_warnings(document: &ResultDocument) -> impl Iterator<Item = &Warning> {
    /// What the sentences state, or what stands beside the broker's address.
    const STATED: &[&str] =
        &["same-host", "unacked", "qos2-duplicates", "corrupt", "rejected", "skipped", "not-sent", "connect-failed"];
    document.warnings.iter().filter(|warning| {
        // A loss is stated; its likely cause is not.
        let is_bare_loss = warning.code == "loss" && warning.text.ends_with("were lost");
        !STATED.contains(&warning.code.as_str()) && !is_bare_loss
    })
}

/// The command of a run, as a shell takes it.
pub(crate) fn command_line(document: &ResultDocument) -> String {
    let words = document.run.command.iter().map(|word| shlex::try_quote(word).unwrap_or(Cow::Borrowed(word)));
    words.collect::<Vec<_>>().join(" ")
}

/// Warnings that say why a merged result is partial.
const SHARDS: [&str; 2] = ["shards-missing", "shards-not-whole"];

#[derive(Default)]
struct Sentences(Vec<Sentence>);

impl Sentences {
    fn add(&mut self, level: Level, text: impl Into<String>) {
        self.labelled(level, "", text);
    }

    fn labelled(&mut self, level: Level, label: &'static str, text: impl Into<String>) {
        self.0.push(Sentence { level, label, text: text.into() });
    }

    /// Of a run that is not what was requested: why, what of it is valid all the same, and what to do.
    fn state_validity(&mut self, document: &ResultDocument) {
        let (stages, error) = (&document.stages, document.run.error.as_deref());
        match document.status {
            Status::Failed => self.labelled(Level::Bad, "FAILED", error.unwrap_or("the run did not finish")),
            Status::Partial => {
                let measured: u64 = stages.iter().map(|stage| stage.duration_ns).sum();
                let interrupted = || format!("interrupted after {} of measured time", duration(measured));
                let shards = document.warnings.iter().find(|warning| SHARDS.contains(&warning.code.as_str()));
                let cause = error.map(str::to_owned).or_else(|| shards.map(|warning| warning.text.clone()));
                self.labelled(Level::Attention, "PARTIAL", cause.unwrap_or_else(interrupted));
            }
            Status::Ok | Status::Invalid => {}
        }
        // What was measured before a failure may be invalid as well.
        document.invalid.iter().for_each(|fault| self.labelled(Level::Bad, "INVALID", &fault.text));
        if document.status != Status::Ok {
            let (valid, void) = validity(document);
            let list = |parts: Vec<String>| if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") };
            self.labelled(Level::Attention, "Still valid", list(valid));
            if !void.is_empty() {
                self.labelled(Level::Bad, "Not valid", list(void));
            }
        }
        let mut steps: Vec<&str> = document.invalid.iter().map(|fault| fault.next_step.as_str()).collect();
        steps.extend(next_step(document));
        steps.dedup();
        steps.into_iter().for_each(|step| self.labelled(Level::Ok, "Next", step));
    }

    /// A run with publishers.
    fn state_messages(&mut self, document: &ResultDocument, load: Load, stages: &[&Stage]) {
        let closed = stages.iter().find(|stage| stage.model == LoopKind::Closed);
        let open = stages.iter().rfind(|stage| stage.model == LoopKind::Open);
        match (closed, open) {
            (Some(flood), _) => self.state_flood(document, load, flood),
            (None, Some(paced)) => self.state_planned_rate(document, load, paced),
            (None, None) => {}
        }
        match (closed, open) {
            (flood, Some(paced)) => self.state_time(document, load, paced, flood.is_some()),
            (Some(flood), None) => self.state_time_in_flood(document, load, flood),
            (None, None) => {}
        }
        self.state_silences(load, stages);
        if stages.iter().all(|stage| Trust::of(document, stage).counts) {
            let qos = stages.iter().map(|stage| stage.qos).max().unwrap_or_default();
            self.state_delivery(&document.delivery, load, qos);
        }
    }

    /// How much the path carries, and what the limit was.
    fn state_flood(&mut self, document: &ResultDocument, load: Load, flood: &Stage) {
        if !Trust::of(document, flood).rates {
            return;
        }
        let Some(carried) = load.carried_per_s(flood).filter(|carried| *carried > 0.0) else {
            return self.add(Level::Bad, format!("Carried no message at QoS {}.", flood.qos));
        };
        let is_our_limit = flood.generator.verdict == Some(Health::Bottleneck);
        let level = if is_our_limit { Level::Attention } else { Level::Ok };
        let least = if is_our_limit { "at least " } else { "" };
        let what = amount(document, load, flood, carried);
        self.add(level, format!("{} {least}{what} ({}).", verb(load), limit(document, flood)));
        self.state_silence_of_qos_0(load, flood);
    }

    /// Whether a rate that the plan set was carried.
    fn state_planned_rate(&mut self, document: &ResultDocument, load: Load, paced: &Stage) {
        if !Trust::of(document, paced).rates {
            return;
        }
        let carried = load.carried_per_s(paced).unwrap_or_default();
        let (offered, sent) = (paced.traffic.offered_per_s.unwrap_or_default(), paced.traffic.sent_per_s);
        let reached = sent.is_none_or(|sent| sent >= REACHED * offered) && !is_overloaded(document, paced);
        let qos = paced.qos;
        if carried <= 0.0 {
            self.add(Level::Bad, format!("Carried none of the {} messages/s of the plan at QoS {qos}.", rate(offered)));
        } else if reached {
            let what = amount(document, load, paced, carried);
            self.add(Level::Ok, format!("{} {what} (limit: the plan's rate).", verb(load)));
        } else if sent.is_some_and(|sent| sent >= REACHED * offered) {
            let (what, limit) = (amount(document, load, paced, carried), limit(document, paced));
            self.add(Level::Attention, format!("{} {what}, but messages wait for it ({limit}).", verb(load)));
        } else {
            let planned = rate(offered);
            let (what, limit) = (amount(document, load, paced, carried), limit(document, paced));
            let text = format!("Does not keep up with the {planned} messages/s of the plan: carries {what} ({limit}).");
            self.add(Level::Attention, text);
        }
        self.state_silence_of_qos_0(load, paced);
    }

    /// Nobody confirms what is only sent.
    fn state_silence_of_qos_0(&mut self, load: Load, stage: &Stage) {
        if load == Load::Publish && stage.qos == 0 {
            self.add(Level::Ok, "At QoS 0 nothing confirms that they arrived.");
        }
    }

    /// How long it takes at a rate.
    fn state_time(&mut self, document: &ResultDocument, load: Load, paced: &Stage, follows_flood: bool) {
        let Some(time) = load.time(paced).filter(|_| Trust::of(document, paced).times) else { return };
        let offered = paced.traffic.offered_per_s.unwrap_or_default();
        let offered = if follows_flood { about(offered) } else { rate(offered) };
        if is_overloaded(document, paced) {
            let text = format!(
                "At {offered}/s messages queue up and take longer the longer the test runs, up to {} here: there is no \
                 typical time.",
                duration(time.of.max)
            );
            self.add(Level::Attention, text);
        } else {
            let withheld = paced.highest_percentile.is_some();
            let level = if withheld || time.of.p.p50.is_none() { Level::Attention } else { Level::Ok };
            self.add(level, format!("At {offered}/s {}.", time.in_words()));
        }
    }

    /// When a broker or the path stood still. A load with gaps of its own has silences too, but in those nothing waits.
    fn state_silences(&mut self, load: Load, stages: &[&Stage]) {
        let what = if load == Load::Publish { "was acknowledged" } else { "arrived" };
        for stage in stages.iter().filter(|stage| stage.delivery.outage_max_ns.is_none()) {
            let longest_wait = load.time(stage).map_or(0, |time| time.of.max);
            let waited = |silence: &&Silence| longest_wait as f64 >= WAITED * silence.dur_ns as f64;
            let all: Vec<&Silence> = stage.silences.iter().flatten().filter(waited).collect();
            let Some(longest) = all.iter().max_by_key(|silence| silence.dur_ns) else { continue };
            let place = if stages.len() > 1 { format!("the {} stage", stage.name) } else { "the load".to_owned() };
            let (long, at) = (duration(longest.dur_ns), duration(longest.start_ns));
            let text = match all.len() {
                1 => format!("Nothing {what} for {long}, from {at} into {place} on."),
                count => {
                    let sum = duration(all.iter().map(|silence| silence.dur_ns).sum());
                    format!(
                        "{count} times nothing {what}, for {sum} in all; the longest was {long}, {at} into {place}."
                    )
                }
            };
            self.add(Level::Attention, text);
        }
    }

    /// How long it takes while the window is full: mostly waiting for the messages before.
    fn state_time_in_flood(&mut self, document: &ResultDocument, load: Load, flood: &Stage) {
        let Some(time) = load.time(flood).filter(|_| Trust::of(document, flood).times) else { return };
        let window = document.plan["window"].as_u64().zip(document.plan["publishers"].as_u64());
        let in_flight = window.map(|(window, publishers)| window * publishers);
        let when = match in_flight {
            Some(1) => "With one message in flight".to_owned(),
            Some(count) => format!("With up to {} messages in flight", grouped(count)),
            None => "Without a limit of messages in flight".to_owned(),
        };
        let why =
            if in_flight == Some(1) { "" } else { ", mostly waiting for those before; --rate measures without that" };
        self.add(Level::Ok, format!("{when} {}{why}.", time.in_words()));
    }

    /// What became of the messages.
    fn state_delivery(&mut self, delivery: &DeliveryAccount, load: Load, qos: u8) {
        let some = |count: Option<u64>| count.filter(|count| *count > 0);
        let messages = |count: u64| counted(count, "message", "messages");
        if let Some((lost, expected)) = delivery.counts.lost.zip(some(delivery.counts.expected)) {
            if lost == 0 {
                self.add(Level::Ok, "Nothing lost.");
            } else {
                let level = if qos == 0 { Level::Attention } else { Level::Bad };
                let share = percent(100.0 * lost as f64 / expected as f64);
                self.add(level, format!("Lost {} of {} ({share}).", grouped(lost), messages(expected)));
            }
        } else if load == Load::Publish && delivery.unacked == Some(0) && rejected(delivery) == 0 {
            self.add(Level::Ok, "All acknowledged.");
        }
        if let Some(count) = some(delivery.not_sent) {
            self.add(Level::Attention, format!("{} of the plan not sent.", messages(count)));
        }
        if let Some(count) = some(delivery.counts.duplicates) {
            let (level, law) = match qos {
                1 => (Level::Ok, "allows"),
                0 => (Level::Attention, "does not expect"),
                _ => (Level::Bad, "forbids"),
            };
            let count = counted(count, "duplicate", "duplicates");
            self.add(level, format!("{count}, which QoS {qos} {law}."));
        }
        if let Some(count) = some(delivery.unacked) {
            self.add(Level::Attention, format!("{} not acknowledged.", messages(count)));
        }
        if rejected(delivery) > 0 {
            let reasons = causes(delivery.rejected.as_ref());
            self.add(Level::Bad, format!("{} refused by the broker: {reasons}.", messages(rejected(delivery))));
        }
        if let Some(count) = some(delivery.counts.reordered) {
            self.add(Level::Attention, format!("{} out of order.", messages(count)));
        }
        if let Some(longest) = some(delivery.outage_max_ns) {
            self.add(Level::Attention, format!("Up to {} without delivery.", duration(longest)));
        }
        if let Some(count) = some(delivery.counts.corrupt) {
            self.add(Level::Bad, format!("{} arrived with different contents.", messages(count)));
        }
    }

    /// A run that only connects.
    fn state_connections(&mut self, document: &ResultDocument, stage: &Stage) {
        let (clients, trust) = (&stage.clients, Trust::of(document, stage));
        let count = |count: Option<u64>| count.filter(|count| *count > 0);
        let (connected, planned) = (clients.connected.unwrap_or_default(), clients.planned.unwrap_or_default());
        let who = match connected == planned {
            true => counted(planned, "client", "clients"),
            false => format!("{} of {}", grouped(connected), counted(planned, "client", "clients")),
        };
        let planned_rate = document.plan["connect_per_s"].as_f64();
        let limit = match (planned_rate, connects_per_s(stage)) {
            (Some(planned), Some(made)) if made >= CONNECTS_REACHED * planned => "limit: the plan's rate".to_owned(),
            _ => limit(document, stage),
        };
        let pace = connects_per_s(stage).filter(|_| trust.rates);
        let pace = pace.map(|made| format!(" at {}/s ({limit})", about(made))).unwrap_or_default();
        let held = stage.phases.iter().find(|phase| phase.name == "hold").map(|phase| phase.duration_ns);
        let held = held.map(|time| format!(", and holds them for {}", duration(time))).unwrap_or_default();
        let is_complete = connected == planned;
        let level = if is_complete { Level::Ok } else { Level::Bad };
        self.add(level, format!("Connects {who}{pace}{held}."));
        if let Some(failed) = count(clients.failed) {
            let failed = counted(failed, "connect", "connects");
            self.add(Level::Bad, format!("{failed} failed: {}.", causes(clients.errors.as_ref())));
        }
        let times = [Load::Connect.time(stage), Load::ping(stage)];
        for time in times.into_iter().flatten().filter(|_| trust.times) {
            self.add(Level::Ok, format!("{}.", capitalized(&time.in_words())));
        }
        match count(clients.lost) {
            Some(lost) => {
                let lost = counted(lost, "connection", "connections");
                self.add(Level::Bad, format!("{lost} lost: {}.", causes(clients.losses.as_ref())));
            }
            None if connected > 0 => self.add(Level::Ok, "No connection lost."),
            None => {}
        }
    }

    /// A run that only subscribes.
    fn state_reception(&mut self, document: &ResultDocument, stage: &Stage) {
        let count = stage.traffic.delivered.unwrap_or_default();
        let time = duration(stage.duration_ns);
        if count == 0 {
            let text = format!("Nothing arrived in {time}: no other client published on these topics.");
            return self.add(Level::Attention, text);
        }
        let pace = stage.traffic.delivered_per_s.filter(|_| Trust::of(document, stage).rates);
        let pace = pace.map(|per_s| format!("{} messages/s at QoS {}, ", about(per_s), stage.qos)).unwrap_or_default();
        let count = counted(count, "message", "messages");
        self.add(Level::Ok, format!("Receives {pace}{count} in {time}, from other clients."));
        self.add(Level::Ok, "How many they sent, and so what was lost, is unknown.");
    }
}

/// What a broker does with the messages of a load.
fn verb(load: Load) -> &'static str {
    if load == Load::Publish { "Takes" } else { "Carries" }
}

/// Messages per second with their QoS; where each is delivered more than once, in and out.
fn amount(document: &ResultDocument, load: Load, stage: &Stage, carried: f64) -> String {
    let qos = stage.qos;
    let is_one_to_one = document.plan["copies_per_message"].as_u64().is_none_or(|copies| copies == 1);
    match (load, stage.traffic.sent_per_s) {
        (Load::Echo, _) => format!("{} round trips/s at QoS {qos}", about(carried)),
        (Load::Flow, Some(sent)) if !is_one_to_one => {
            format!("{} messages/s in and {}/s out at QoS {qos}", about(sent), about(carried))
        }
        _ => format!("{} messages/s at QoS {qos}", about(carried)),
    }
}

fn rejected(delivery: &DeliveryAccount) -> u64 {
    delivery.rejected.iter().flatten().map(|(_, count)| count).sum()
}

/// Causes, with their counts where there are several.
fn causes(causes: Option<&BTreeMap<String, u64>>) -> String {
    let all: Vec<(&String, &u64)> = causes.into_iter().flatten().collect();
    let one = |(cause, count): &(&String, &u64)| match all.len() {
        1 => (*cause).clone(),
        _ => format!("{cause} ({})", grouped(**count)),
    };
    if all.is_empty() { "unknown cause".to_owned() } else { all.iter().map(one).collect::<Vec<_>>().join(", ") }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What of a result is valid, and what is not.
fn validity(document: &ResultDocument) -> (Vec<String>, Vec<String>) {
    let stages: Vec<&Stage> = document.stages.iter().filter(|stage| stage.is_result()).collect();
    let Some(last) = stages.last() else { return (Vec::new(), Vec::new()) };
    let [rates, times, counts] = match Load::of(document, last) {
        Load::Connect => {
            ["connections per second", "connect and ping times", "how many connected, failed and were lost"]
        }
        Load::Receive => ["messages per second", "times", "how many messages arrived"],
        Load::Publish => ["messages per second", "acknowledgement times", "how many were sent and acknowledged"],
        Load::Flow => ["messages per second", "how long messages took", "how many were sent, delivered and lost"],
        Load::Echo => ["round trips per second", "how long round trips took", "how many were sent, answered and lost"],
    };
    let (mut valid, mut void) = (Vec::new(), Vec::new());
    type IsTrusted = fn(&Trust) -> bool;
    let aspects: [(&str, IsTrusted); 3] =
        [(rates, |trust| trust.rates), (times, |trust| trust.times), (counts, |trust| trust.counts)];
    for (what, is_trusted) in aspects {
        let (good, bad): (Vec<&Stage>, Vec<&Stage>) =
            stages.iter().partition(|stage| is_trusted(&Trust::of(document, stage)));
        for (list, part) in [(&mut valid, good), (&mut void, bad)] {
            let names: Vec<&str> = part.iter().map(|stage| stage.name.as_str()).collect();
            match names.len() {
                0 => {}
                count if count == stages.len() => list.push(what.to_owned()),
                _ => list.push(format!("{what} ({})", names.join(", "))),
            }
        }
    }
    if document.status == Status::Partial && void.is_empty() {
        return (vec!["all figures, for the time and the clients that there were".to_owned()], void);
    }
    (valid, void)
}

/// What to do about a run that failed or was cut short.
fn next_step(document: &ResultDocument) -> Option<&'static str> {
    if !matches!(document.status, Status::Failed | Status::Partial) {
        return None;
    }
    let is_lost = document.clients.lost.is_some_and(|lost| lost > 0);
    if rejected(&document.delivery) > 0 {
        Some("check what this user may publish; the broker's log names what it refused")
    } else if document.clients.failed.is_some_and(|failed| failed > 0) {
        Some("mqbench doctor checks this machine's limits; the broker's log and limits (max_connections) show its own")
    } else if is_lost && document.plan["reconnect_ns"].is_null() && document.plan["holding"] == 0 {
        Some("the broker's log names why connections ended; with --reconnect the load goes on after a loss")
    } else if is_lost {
        Some("the broker's log names why connections ended")
    } else {
        None
    }
}
