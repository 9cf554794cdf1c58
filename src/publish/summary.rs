//! `--summary`: the figures of a run, as one JSON object or as one line.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::schedule::LatenessFigures;
use crate::exit_status::ExitStatus;
use crate::mqtt::ReasonCode;
use crate::terminal::number::{self, grouped};

/// How the figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryFormat {
    /// One JSON object on one line.
    Json,
    /// One line for people.
    Text,
}

/// The figures of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Messages that were taken up: lines that were read, or repetitions that were asked for.
    pub(super) messages: u64,
    /// Of these, the ones that were sent, each counted once.
    pub(super) sent: u64,
    /// Those that the broker took: acknowledged, or sent at QoS 0.
    pub(super) taken: u64,
    /// Acknowledged ones; none where QoS 0 asks for no acknowledgement.
    pub(super) acknowledged: Option<u64>,
    /// Refused ones, by Reason Code.
    pub(super) refused: BTreeMap<u8, u64>,
    /// Those that are neither acknowledged (QoS 0: sent) nor refused.
    pub(super) unacknowledged: u64,
    /// Acknowledged ones of which the broker reported that no client is subscribed, where that matters.
    pub(super) without_subscriber: u64,
    /// QoS 2 messages that the broker took as QoS 1.
    pub(super) downgraded: u64,
    /// What was sent again after a reconnect.
    pub(super) retried: u64,
    /// Of these, QoS 2 messages that may have arrived twice.
    pub(super) uncertain: u64,
    /// Connections made after the first.
    pub(super) reconnects: u64,
    /// Whether the input was read to its end; none where there is no input.
    pub(super) input_read: Option<bool>,
    /// Lines that are not messages.
    pub(super) bad_lines: u64,
    /// How late messages were sent, where they have times.
    pub(super) lateness: Option<LatenessFigures>,
}

impl Totals {
    /// With a line end.
    pub(super) fn print(&self, format: SummaryFormat, took: Duration, status: ExitStatus) -> String {
        match format {
            SummaryFormat::Json => format!("{}\n", self.json(took, status)),
            SummaryFormat::Text => self.text(took),
        }
    }

    /// Refused ones, whatever the reason.
    pub(super) fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Messages per second that the broker took.
    fn rate(&self, took: Duration) -> f64 {
        if took.is_zero() { 0.0 } else { self.taken as f64 / took.as_secs_f64() }
    }

    fn json(&self, took: Duration, status: ExitStatus) -> Value {
        let reason = |(code, count): (&u8, &u64)| json!({"reason": code, "name": name(*code), "count": count});
        json!({
            "messages": self.messages,
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "refused": self.refusals(),
            "refused_by_reason": self.refused.iter().map(reason).collect::<Vec<_>>(),
            "unacknowledged": self.unacknowledged,
            "without_subscriber": self.without_subscriber,
            "downgraded": self.downgraded,
            "retried": self.retried,
            "maybe_duplicated": self.uncertain,
            "reconnects": self.reconnects,
            "input_read": self.input_read,
            "bad_lines": self.bad_lines,
            "lateness_ms": self.lateness.map(|late| json!({"p50": ms(late.p50), "p99": ms(late.p99), "max": ms(late.max)})),
            "seconds": (took.as_secs_f64() * 1e6).round() / 1e6,
            "rate": (self.rate(took) * 10.0).round() / 10.0,
            "exit_status": status.code(),
        })
    }

    fn text(&self, took: Duration) -> String {
        let mut parts = vec![format!("{} sent", grouped(self.sent))];
        parts.extend(self.acknowledged.map(|count| format!("{} acknowledged", grouped(count))));
        for (code, count) in &self.refused {
            parts.push(format!("{} refused ({})", grouped(*count), name(*code)));
        }
        let rest = [
            (self.unacknowledged, if self.acknowledged.is_some() { "not acknowledged" } else { "not sent" }),
            (self.without_subscriber, "without a subscriber"),
            (self.downgraded, "at QoS 1 only"),
            (self.retried, "sent again"),
            (self.uncertain, "perhaps twice"),
            (self.reconnects, if self.reconnects == 1 { "reconnect" } else { "reconnects" }),
            (self.bad_lines, if self.bad_lines == 1 { "bad line" } else { "bad lines" }),
        ];
        parts.extend(
            rest.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", grouped(*count))),
        );
        if let Some(late) = self.lateness {
            let [p99, most] = [late.p99, late.max].map(|time| number::duration(time.as_nanos() as u64));
            parts.push(format!("at most {most} late (p99 {p99})"));
        }
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let (took, rate) = (number::duration(took_ns), number::rate(self.rate(took)));
        let unread = if self.input_read == Some(false) { "; the input was not read to its end" } else { "" };
        format!("{} in {took}, {rate}/s{unread}\n", parts.join(", "))
    }
}

/// Milliseconds with three decimals.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// The name of a Reason Code without its number.
fn name(code: u8) -> String {
    let name = ReasonCode(code).to_string();
    name.split(" (0x").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> Totals {
        Totals {
            messages: 2000,
            sent: 1998,
            taken: 1995,
            acknowledged: Some(1995),
            refused: [(0x87, 2), (0x97, 1)].into(),
            unacknowledged: 2,
            retried: 20,
            uncertain: 3,
            reconnects: 1,
            downgraded: 0,
            without_subscriber: 0,
            input_read: Some(false),
            bad_lines: 1,
            lateness: None,
        }
    }

    #[test]
    fn json_is_one_object() {
        let text = totals().print(SummaryFormat::Json, Duration::from_millis(1500), ExitStatus::Failed);
        let expected = concat!(
            r#"{"messages":2000,"sent":1998,"acknowledged":1995,"refused":3,"refused_by_reason":["#,
            r#"{"reason":135,"name":"Not authorized","count":2},{"reason":151,"name":"Quota exceeded","count":1}],"#,
            r#""unacknowledged":2,"without_subscriber":0,"downgraded":0,"retried":20,"maybe_duplicated":3,"reconnects":1,"#,
            r#""input_read":false,"bad_lines":1,"lateness_ms":null,"seconds":1.5,"rate":1330.0,"exit_status":1}"#,
            "\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_is_acknowledged_at_qos_0() {
        let totals = Totals { messages: 5, sent: 5, taken: 5, ..Totals::default() };
        let text = totals.print(SummaryFormat::Json, Duration::ZERO, ExitStatus::Done);
        assert!(text.contains(r#""acknowledged":null"#) && text.contains(r#""rate":0.0"#), "{text}");
        assert!(text.contains(r#""input_read":null"#), "{text}");
        let totals = Totals { input_read: Some(true), ..totals };
        let text = totals.print(SummaryFormat::Text, Duration::from_secs(2), ExitStatus::Done);
        assert_eq!(text, "5 sent in 2.00 s, 2.50/s\n");
    }

    #[test]
    fn text_names_what_is_not_zero() {
        let text = totals().print(SummaryFormat::Text, Duration::from_millis(1500), ExitStatus::Failed);
        let expected = "1,998 sent, 1,995 acknowledged, 2 refused (Not authorized), 1 refused (Quota exceeded), \
                        2 not acknowledged, 20 sent again, 3 perhaps twice, 1 reconnect, 1 bad line in 1.50 s, 1,330/s; the input was not read to \
                        its end\n";
        assert_eq!(text, expected);
    }
}
