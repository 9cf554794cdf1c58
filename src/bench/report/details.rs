//! Every figure of a result for a person: what `--details` adds to the summary.
//!
//! Every figure names what it is based on; what was not measured is a dash.

use super::delivery::DeliveryAccount;
use super::document::ResultDocument;
use super::latency::{LatencySummary, LoopKind};
use super::load::connects_per_s;
use super::stage::{Stage, Target};
use super::traffic::Traffic;
use crate::bench::measure::{Generator, SysFigures, Verdict};
use crate::terminal::number::{UNKNOWN, byte_rate, bytes, counted, duration, grouped, percent, rate};
use crate::terminal::{Align, Cell, Colors, Paint, Table, escape, wrapped};

/// Latencies that are shown, with their names for people.
const SHOWN: &[(&str, &str)] = &[
    ("e2e", "e2e"),
    ("e2e_service", "e2e service"),
    ("ack", "ack"),
    ("ack_service", "ack service"),
    ("pubrec", "PUBREC"),
    ("pubcomp", "PUBCOMP"),
    ("rtt", "round trip"),
    ("rtt_service", "round trip (service)"),
    ("sched_lag", "sched lag"),
    ("ping", "ping"),
    ("dns", "DNS"),
    ("connect_tcp", "TCP connect"),
    ("connect_proxy", "proxy"),
    ("connect_tls", "TLS handshake"),
    ("connect_ws", "WS handshake"),
    ("connack", "CONNACK"),
    ("connect", "connect"),
    ("suback", "SUBACK"),
];

/// Streams with faults that are listed one by one.
const WORST_STREAMS: usize = 3;

/// The stages in full.
pub(super) fn details(document: &ResultDocument, width: usize, colors: Colors) -> String {
    let one_to_one = document.plan["shape"] == "p2p" && document.plan["copies_per_message"] == 1;
    let copies = document.plan["copies_per_message"].as_u64().filter(|copies| *copies > 1);
    let ways = !one_to_one && document.plan["shape"].is_string();
    let below = match document.target.transport.as_deref().map(|transport| transport.split('+').next()) {
        Some(Some("tls")) => ", without what TLS adds",
        Some(Some("ws")) => ", without what WebSocket adds",
        Some(Some("wss")) => ", without what TLS and WebSocket add",
        _ => "",
    };
    let page = Page { width, colors, several: document.stages.len() > 1, below, ways, copies };
    let mut parts: Vec<String> = document.stages.iter().map(|stage| page.stage(stage)).collect();
    parts.extend(document.broker.sys_figures.as_ref().and_then(|figures| page.sys(figures)));
    parts.push(page.hint(document));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// How to write.
struct Page {
    width: usize,
    colors: Colors,
    /// Whether there are several stages.
    several: bool,
    /// What is not in the bytes of packets.
    below: &'static str,
    /// Whether what goes into the broker and what comes out of it differ.
    ways: bool,
    /// How often every message comes out of it, if more than once.
    copies: Option<u64>,
}

impl Page {
    fn stage(&self, stage: &Stage) -> String {
        let mut text = self.stage_title(stage);
        if let Some(fault) = &stage.given_up {
            text.push_str(&wrapped("  given up   ", &escape(fault), self.width));
            return text;
        }
        text.push_str(&self.traffic(stage));
        text.push_str(&self.targets(stage));
        text.push_str(&self.latencies(stage));
        text.push_str(&self.facts(stage));
        text
    }

    fn stage_title(&self, stage: &Stage) -> String {
        let load = match stage.model {
            _ if stage.is_conn() => {
                let planned = known(stage.clients.planned, |count| counted(count, "client", "clients"));
                let name = self.colors.paint(Paint::Heading, &escape(&stage.name));
                let text = format!("{planned}, {} measured", duration(stage.duration_ns));
                return wrapped(&format!("{name}  "), &text, self.width);
            }
            // Others send.
            _ if stage.traffic.sent.is_none() => "publishes nothing: counts what other clients publish".to_owned(),
            LoopKind::Closed => "closed loop: as fast as the window allows".to_owned(),
            LoopKind::Open => {
                let offered = stage.traffic.offered_per_s.map(|offered| format!(": {}/s offered", rate(offered)));
                format!("open loop{}", offered.unwrap_or_default())
            }
        };
        let name = self.colors.paint(Paint::Heading, &escape(&stage.name));
        wrapped(&format!("{name}  "), &format!("{load}, {} measured", duration(stage.duration_ns)), self.width)
    }

    fn traffic(&self, stage: &Stage) -> String {
        if stage.is_conn() {
            return self.connections(stage);
        }
        let traffic = &stage.traffic;
        let mut table = Table::new([Align::Left, Align::Right, Align::Right, Align::Right, Align::Right]);
        table.row(["", "messages/s", "messages", "payload/s", "payload"].map(|head| self.faint(head)));
        let rows = [
            ("sent", traffic.sent_per_s, traffic.sent, traffic.payload_out_per_s, traffic.payload_bytes_out),
            // An acknowledgement carries no payload.
            ("acked", traffic.acked_per_s, traffic.acked, None, None),
            (
                "delivered",
                traffic.delivered_per_s,
                traffic.delivered,
                traffic.goodput_bytes_per_s,
                traffic.payload_bytes_in,
            ),
        ];
        for (name, per_second, count, payload_rate, payload) in rows {
            if count.is_some() {
                table.row([
                    Cell::from(name),
                    Cell::painted(Paint::Strong, known(per_second, rate)),
                    known(count, grouped).into(),
                    payload_rate.map(byte_rate).unwrap_or_default().into(),
                    payload.map(|sum| bytes(sum as f64)).unwrap_or_default().into(),
                ]);
            }
        }
        if let Some(not_sent) = stage.delivery.not_sent.filter(|not_sent| *not_sent > 0) {
            let per_second = not_sent as f64 * 1e9 / stage.duration_ns as f64;
            table.row([
                Cell::from("not sent"),
                Cell::painted(Paint::Bad, known(Some(per_second).filter(|rate| rate.is_finite()), rate)),
                grouped(not_sent).into(),
                Cell::default(),
                Cell::default(),
            ]);
        }
        table.fit(self.width, &[4, 3]).render(self.colors)
    }

    /// What became of the clients of `mqbench conn`.
    fn connections(&self, stage: &Stage) -> String {
        let clients = &stage.clients;
        let per_second = connects_per_s(stage);
        let mut facts = vec![format!("{} connected", known(clients.connected, grouped))];
        facts.extend(per_second.map(|per_second| format!("{}/s", rate(per_second))));
        facts.push(format!("most open {}", known(clients.max_open, grouped)));
        let mut text = wrapped("  clients    ", &facts.join(", "), self.width);
        for (name, count, causes) in
            [("failed", clients.failed, &clients.errors), ("lost", clients.lost, &clients.losses)]
        {
            let paint = if count.unwrap_or_default() == 0 { Paint::Good } else { Paint::Bad };
            let causes: Vec<String> = causes
                .iter()
                .flatten()
                .map(|(cause, count)| format!("{} {}", escape(cause), grouped(*count)))
                .collect();
            let causes = if causes.is_empty() { String::new() } else { format!(": {}", causes.join(", ")) };
            let line = wrapped(&format!("  {name:<11}"), &format!("{}{causes}", known(count, grouped)), self.width);
            text.push_str(&self.in_color(paint, &line));
        }
        text
    }

    /// A row for each broker, where there are several.
    fn targets(&self, stage: &Stage) -> String {
        let Some(targets) = &stage.targets else { return String::new() };
        let mut alignments = vec![Align::Right; 9];
        alignments[0] = Align::Left;
        let mut table = Table::new(alignments);
        let latency_of = |target: &Target| {
            let latency = &target.latency;
            let shown = [&latency.e2e, &latency.rtt, &latency.ack, &latency.connect];
            shown
                .into_iter()
                .zip(["e2e", "round trip", "ack", "connect"])
                .find_map(|(of, name)| Some((of.as_ref()?.p, name)))
        };
        let name = targets.iter().find_map(latency_of).map_or("e2e", |(_, name)| name);
        let heads = ["broker", "clients", "gone", "sent", "acked", "delivered", "lost"].map(str::to_owned);
        let heads = heads.into_iter().chain([format!("{name} p50"), "p99".to_owned()]);
        table.row(heads.map(|head| self.faint(&head)));
        for target in targets {
            let p = latency_of(target).map(|(p, _)| p);
            let lost = target.delivery.counts.lost;
            let paint = if lost.unwrap_or_default() == 0 { Paint::Good } else { Paint::Bad };
            table.row([
                escape(&target.url).into_owned().into(),
                known(target.clients.connected, grouped).into(),
                known(target.clients.lost, grouped).into(),
                known(target.traffic.sent, grouped).into(),
                known(target.traffic.acked, grouped).into(),
                known(target.traffic.delivered, grouped).into(),
                Cell::painted(paint, known(lost, grouped)),
                known(p.and_then(|p| p.p50), duration).into(),
                known(p.and_then(|p| p.p99), duration).into(),
            ]);
        }
        format!("\n{}", table.fit(self.width, &[2, 4, 3, 1, 5]).render(self.colors))
    }

    /// The table of latencies. Beside a paced stage, those of a flood show only queueing; alone they are shown with
    /// their basis.
    fn latencies(&self, stage: &Stage) -> String {
        if self.several && stage.model == LoopKind::Closed {
            return String::new();
        }
        // Latency as a user of the schedule sees it, beside the time that the path took; in a closed loop they are the
        // same.
        let is_shown = |name: &str| stage.model == LoopKind::Open || !name.ends_with("_service");
        let shown: Vec<(&str, &LatencySummary)> = SHOWN
            .iter()
            .filter(|(name, _)| is_shown(name))
            .filter_map(|&(name, title)| Some((title, stage.latency.get(name)?)))
            .collect();
        if shown.is_empty() {
            return String::new();
        }
        let mut table = self.latency_table(&shown, true);
        let fits = table.width() <= self.width;
        if !fits {
            table = self.latency_table(&shown, false).fit(self.width, &[6, 2, 4]);
        }
        let mut text = format!("\n{}", table.render(self.colors));
        if !fits {
            let basis: Vec<String> =
                shown.iter().map(|(title, latency)| format!("{title} {}", latency.basis)).collect();
            text.push_str(&wrapped("  ", &basis.join("; "), self.width));
        }
        text
    }

    fn latency_table(&self, shown: &[(&str, &LatencySummary)], with_basis: bool) -> Table {
        let mut alignments = vec![Align::Right; 8];
        (alignments[0], alignments[7]) = (Align::Left, Align::Left);
        let mut table = Table::new(alignments);
        table.row(["", "p50", "p90", "p99", "p99.9", "max", "n"].map(|head| self.faint(head)));
        for (title, latency) in shown {
            let p = &latency.p;
            table.row([
                Cell::from(*title),
                Cell::painted(Paint::Strong, known(p.p50, duration)),
                known(p.p90, duration).into(),
                Cell::painted(Paint::Strong, known(p.p99, duration)),
                known(p.p99_9, duration).into(),
                duration(latency.max).into(),
                grouped(latency.count).into(),
                if with_basis { self.faint(&escape(&latency.basis)) } else { Cell::default() },
            ]);
        }
        table
    }

    /// Wire, delivery and generator, one line each.
    fn facts(&self, stage: &Stage) -> String {
        let mut text = String::from("\n");
        if let Some(broker) = self.broker(&stage.traffic).filter(|_| self.ways) {
            text.push_str(&wrapped("  broker     ", &broker, self.width));
        }
        let wire: Vec<String> = [(stage.traffic.bytes_out_per_s, "out"), (stage.traffic.bytes_in_per_s, "in")]
            .into_iter()
            .filter_map(|(bytes, way)| Some(format!("{} {way}", byte_rate(bytes?))))
            .collect();
        if !wire.is_empty() {
            text.push_str(&wrapped(
                "  wire       ",
                &format!("{}, all packets with their headers{}", wire.join(", "), self.below),
                self.width,
            ));
        }
        if let Some(delivery) = self.delivery(&stage.delivery) {
            text.push_str(&wrapped("  delivery   ", &delivery, self.width));
        }
        text.push_str(&self.worst_streams(&stage.delivery));
        if let Some(outages) = outages(stage) {
            text.push_str(&wrapped("  outages    ", &outages, self.width));
        }
        if let Some(process) = &stage.broker {
            let mut facts = vec![format!("{}: CPU {}", escape(&process.name), duration(process.cpu_ns))];
            facts.extend(process.cpu_pct.map(|share| format!("{} of a core", percent(share))));
            facts.extend(process.rss_bytes.map(|memory| format!("{} resident", bytes(memory as f64))));
            text.push_str(&wrapped("  broker     ", &facts.join(", "), self.width));
        }
        text.push_str(&wrapped("  generator  ", &self.generator(&stage.generator), self.width));
        text
    }

    /// What the broker reported about itself.
    fn sys(&self, figures: &SysFigures) -> Option<String> {
        let facts: Vec<String> = [
            figures.received_per_s.map(|count| format!("received {}/s", rate(count))),
            figures.sent_per_s.map(|count| format!("sent {}/s", rate(count))),
            figures.dropped.map(|count| format!("dropped {}", grouped(count as u64))),
            figures.clients.map(|count| counted(count as u64, "client", "clients")),
            figures.heap_bytes.map(|memory| format!("heap {}", bytes(memory))),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!facts.is_empty()).then(|| wrapped("$SYS  ", &facts.join(", "), self.width))
    }

    /// What the broker took and gave: published figures are one of these or their sum, often unlabeled.
    fn broker(&self, traffic: &Traffic) -> Option<String> {
        let (sent, delivered) = (traffic.sent_per_s?, traffic.delivered_per_s?);
        let copies = self.copies.map(|copies| format!(" ({copies} copies of each message)")).unwrap_or_default();
        let (into, out, both) = (rate(sent), rate(delivered), rate(sent + delivered));
        Some(format!("{into} messages/s in, {out}/s out{copies}, {both}/s in and out together"))
    }

    fn delivery(&self, delivery: &DeliveryAccount) -> Option<String> {
        if let Some(retained) = delivery.retained {
            return (retained > 0).then(|| {
                format!(
                    "{} on subscribing, not counted as delivered",
                    counted(retained, "retained message", "retained messages")
                )
            });
        }
        let counts = &delivery.counts;
        let (expected, once, lost) = (counts.expected?, counts.delivered_once?, counts.lost?);
        let mut loss = format!("lost {}", grouped(lost));
        if lost > 0 && expected > 0 {
            loss.push_str(&format!(" ({})", percent(100.0 * lost as f64 / expected as f64)));
        }
        let paint = if lost == 0 { Paint::Good } else { Paint::Bad };
        let mut facts = vec![format!("{} of {}", grouped(once), grouped(expected)), self.colors.paint(paint, &loss)];
        for (name, count) in [("duplicates", counts.duplicates), ("reordered", counts.reordered)] {
            facts.push(format!("{name} {}", known(count, grouped)));
        }
        // Printed only if there are any.
        for (name, count) in [
            ("unacked", delivery.unacked),
            ("late", counts.late),
            ("corrupt", counts.corrupt),
            ("foreign", delivery.foreign),
            ("longest gap", counts.max_gap),
            ("freed by silence", delivery.freed_by_silence),
        ] {
            if let Some(count) = count.filter(|&count| count > 0) {
                facts.push(format!("{name} {}", grouped(count)));
            }
        }
        Some(facts.join(", "))
    }

    /// Where something is wrong: which streams it hit most.
    fn worst_streams(&self, delivery: &DeliveryAccount) -> String {
        let streams = delivery.streams.as_deref().unwrap_or_default();
        let faulty: Vec<_> = streams.iter().filter(|stream| stream.faults() != [0; 7]).collect();
        let mut text = String::new();
        // A single stream is in the line above.
        if streams.len() < 2 {
            return text;
        }
        for stream in faulty.iter().take(WORST_STREAMS) {
            let counts = &stream.counts;
            let facts: Vec<String> = [
                ("lost", counts.lost),
                ("longest gap", counts.max_gap),
                ("duplicates", counts.duplicates),
                ("reordered", counts.reordered),
                ("late", counts.late),
                ("corrupt", counts.corrupt),
                ("refused", stream.rejected),
                ("unacked", stream.unacked),
            ]
            .into_iter()
            .filter_map(|(name, count)| Some(format!("{name} {}", grouped(count.filter(|&count| count > 0)?))))
            .collect();
            let expected = counts.expected.map(|expected| format!(" of {}", grouped(expected))).unwrap_or_default();
            text.push_str(&wrapped(
                "  stream     ",
                &format!("{}{expected}: {}", stream.stream, facts.join(", ")),
                self.width,
            ));
        }
        let more = faulty.len().saturating_sub(WORST_STREAMS);
        if more > 0 {
            text.push_str(&wrapped(
                "  stream     ",
                &format!("and {more} more, listed in the results of --json and --out"),
                self.width,
            ));
        }
        text
    }

    fn generator(&self, generator: &Generator) -> String {
        let (paint, verdict) = match generator.verdict {
            Some(Verdict::Ok) => (Paint::Good, "ok"),
            Some(Verdict::Suspect) => (Paint::Warning, "suspect"),
            Some(Verdict::Bottleneck) => (Paint::Bad, "bottleneck"),
            None => (Paint::Warning, UNKNOWN),
        };
        let mut facts = vec![self.colors.paint(paint, verdict)];
        let cpu_pct = generator.cpu_user_pct.zip(generator.cpu_sys_pct).map(|(user, system)| user + system);
        if let Some((time, share)) = generator.cpu_ns.zip(cpu_pct) {
            facts.push(format!("own CPU {} ({} of a core)", duration(time), percent(share)));
        }
        if let Some(time) = generator.cpu_ns_per_message {
            facts.push(format!("{} per message in or out", duration(time)));
        }
        if let Some(memory) = generator.bytes_per_client {
            facts.push(format!("{} per client", bytes(memory as f64)));
        }
        if let Some(busy) = generator.max_thread_pct {
            facts.push(format!("busiest thread {}", percent(busy)));
        }
        if let Some(headroom) = generator.headroom_pct {
            facts.push(format!("headroom {}", percent(headroom)));
        }
        facts.join(", ")
    }

    /// What would help: only where the generator is in doubt and has never been measured, and for loads that only
    /// publish, which `mqbench self` measures.
    fn hint(&self, document: &ResultDocument) -> String {
        if document.generator.verdict == Some(Verdict::Ok)
            || document.generator.ceiling_per_s.is_some()
            || document.stages.is_empty()
            || document.plan["publishers"] == 0
            || document.plan["subscribers"] != 0
        {
            return String::new();
        }
        let text = "run `mqbench self` once; later results then report the generator's headroom";
        self.in_color(Paint::Faint, &wrapped("Hint: ", text, self.width))
    }

    fn faint(&self, text: &str) -> Cell {
        Cell::painted(Paint::Faint, text)
    }

    /// Colors every line of a wrapped text.
    fn in_color(&self, paint: Paint, lines: &str) -> String {
        lines.lines().map(|line| format!("{}\n", self.colors.paint(paint, line))).collect()
    }
}

/// Times without delivery in one line.
fn outages(stage: &Stage) -> Option<String> {
    let count = stage.delivery.outage_count?;
    if count == 0 {
        return Some("none".to_owned());
    }
    let longest = known(stage.delivery.outage_max_ns, duration);
    let open = stage.delivery.outages.iter().flatten().filter(|outage| !outage.ended).count();
    let open = if open > 0 { format!(", {open} still open at the end") } else { String::new() };
    let reconnects = known(stage.clients.reconnects, |count| counted(count, "reconnect", "reconnects"));
    Some(format!("{}{open}, longest {longest}; {reconnects}", counted(count, "outage", "outages")))
}

/// A figure in its form, or a dash where it was not measured or has too few samples.
fn known<T>(value: Option<T>, form: fn(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), form)
}
