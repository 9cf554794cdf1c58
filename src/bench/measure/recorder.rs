//! The records of one thread: counters and latencies, without lock and, once warm, without allocation.
//!
//! A thread has one recorder for the second that runs and one for the stage; they are merged when the second is over,
//! and those of all threads at the end. Merging is exact: the order does not matter.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::histogram::LatencyHistogram;

/// Counters and latencies of one thread, one second or one stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorder {
    /// What was counted.
    pub counters: Counters,
    /// What was timed.
    pub latency: Latencies,
}

impl Recorder {
    /// Adds another recorder.
    pub fn merge(&mut self, other: &Self) {
        self.counters.merge(&other.counters);
        self.latency.merge(&other.latency);
    }
}

/// Defines [`Counters`] with its merge, so that no counter can be forgotten there.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Events inside the measured window, by the time at which they happened; rates are these over its length.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
            /// Refused messages by reason code of PUBACK, PUBREC or PUBCOMP.
            pub rejected: BTreeMap<u8, u64>,
            /// Connects that failed, by cause.
            pub connect_failures: BTreeMap<ConnectFailure, u64>,
        }

        impl Counters {
            /// Adds the counts of another.
            pub fn merge(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
                for (reason, count) in &other.rejected {
                    *self.rejected.entry(*reason).or_default() += count;
                }
                for (cause, count) in &other.connect_failures {
                    *self.connect_failures.entry(*cause).or_default() += count;
                }
            }
        }
    };
}

counters! {
    /// PUBLISH packets that the kernel accepted; with a schedule those that were due in the window.
    sent,
    /// Messages whose handshake the broker completed without an error: PUBACK, or PUBCOMP.
    acked,
    /// PUBLISH packets of this run that arrived, duplicates included.
    delivered,
    /// Payload bytes of `sent`.
    payload_bytes_out,
    /// Payload bytes of `delivered`.
    payload_bytes_in,
    /// All bytes written to the network.
    wire_bytes_out,
    /// All bytes read from the network.
    wire_bytes_in,
    /// Messages that are not of this run.
    foreign,
    /// Retained messages that came because of the subscriptions of `mqbench sub`, at any time.
    retained,
    /// Messages of this run that arrived with different contents.
    corrupt,
    /// Those of them that came in the measured window, whenever they were sent.
    corrupt_in,
    /// Acknowledgements with a refusal that came in the measured window, whenever the message was sent.
    refusals_in,
    /// PUBLISH packets of this run that arrived again, whenever they were sent: for those who watch. The ledger counts
    /// the measured ones.
    repeated,
    /// Messages that arrived after the drain had ended.
    late,
    /// Slots of the schedule that were given up (`--behind skip`).
    skipped,
    /// Slots of the schedule that waited for a closed window or socket: not the generator's fault.
    held_back,
    /// Those that did not, and were sent in the measured window.
    on_time,
    /// PUBLISH packets that went out again after a connection was lost.
    sent_again,
    /// Places of windows that were freed because nothing had come back for too long.
    freed_by_silence,
    /// Acknowledgements with "no matching subscribers" (0x10).
    no_subscriber,
    /// PUBREC packets that came in the measured window (QoS 2), and so on: repeated ones too.
    pubrec_in,
    /// See `pubrec_in`.
    pubrel_in,
    /// See `pubrec_in`.
    pubcomp_in,
    /// See `pubrec_in`.
    pubrec_out,
    /// See `pubrec_in`.
    pubrel_out,
    /// See `pubrec_in`.
    pubcomp_out,
    /// Connections that came up again after a loss.
    reconnects,
    /// Connections that were made (`mqbench conn`).
    connects,
    /// PINGREQ packets whose answer is timed (`mqbench conn`).
    pings,
    /// Times that a subscriber read something.
    reads,
    /// Of these, those that filled the buffer.
    full_reads,
}

impl Counters {
    /// Counts a refusal by its reason code.
    pub fn count_rejected(&mut self, reason: u8) {
        *self.rejected.entry(reason).or_default() += 1;
    }

    /// Counts a connect that failed.
    pub fn count_connect_failure(&mut self, cause: ConnectFailure) {
        *self.connect_failures.entry(cause).or_default() += 1;
    }
}

/// Why a connect failed: the step that did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectFailure {
    /// The name has no address.
    Resolve,
    /// TCP, or the Unix socket.
    Tcp,
    /// No local port or file descriptor was left.
    LocalLimit,
    /// The proxy.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// The WebSocket handshake.
    WebSocket,
    /// Closed before CONNACK.
    Closed,
    /// No CONNACK in time.
    Timeout,
    /// CONNACK with this reason code (of MQTT 5; those of 3.1.1 mapped).
    Refused(u8),
    /// SUBACK with this reason code.
    SubscribeRefused(u8),
    /// What came was not MQTT.
    Protocol,
}

/// The code in a result document.
impl fmt::Display for ConnectFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve => formatter.write_str("resolve"),
            Self::Tcp => formatter.write_str("tcp"),
            Self::LocalLimit => formatter.write_str("local-limit"),
            Self::Proxy => formatter.write_str("proxy"),
            Self::Tls => formatter.write_str("tls"),
            Self::WebSocket => formatter.write_str("websocket"),
            Self::Closed => formatter.write_str("closed"),
            Self::Timeout => formatter.write_str("timeout"),
            Self::Refused(reason) => write!(formatter, "refused-{reason}"),
            Self::SubscribeRefused(reason) => write!(formatter, "subscribe-refused-{reason}"),
            Self::Protocol => formatter.write_str("protocol"),
        }
    }
}

/// Latencies of one kind, which take memory from the first sample on.
#[derive(Clone, Debug, Default)]
pub struct Latency(Option<Box<LatencyHistogram>>);

impl From<LatencyHistogram> for Latency {
    fn from(histogram: LatencyHistogram) -> Self {
        Self(Some(Box::new(histogram)))
    }
}

impl Latency {
    /// Takes the memory now, so that the first sample does not have to.
    pub fn prepare(&mut self) {
        self.0.get_or_insert_default();
    }

    /// Enters a latency in nanoseconds; see [`LatencyHistogram::record`].
    #[inline]
    pub fn record(&mut self, latency_ns: i64) {
        self.0.get_or_insert_default().record(latency_ns);
    }

    /// Enters the time from one instant to another, both nanoseconds since t0.
    #[inline]
    pub fn record_between(&mut self, from_ns: u64, to_ns: u64) {
        // Both are far below 2⁶³ ns, 292 years.
        self.record(to_ns.wrapping_sub(from_ns).cast_signed());
    }

    /// Enters `count` samples of the same two instants.
    pub fn record_many_between(&mut self, from_ns: u64, to_ns: u64, count: u64) {
        let histogram = self.0.get_or_insert_default();
        if let Some(latency_ns) = to_ns.checked_sub(from_ns) {
            histogram.record_many_ns(latency_ns, count);
        } else {
            // A negative one is counted as such; it does not happen by the hundred.
            (0..count).for_each(|_| histogram.record(to_ns.wrapping_sub(from_ns).cast_signed()));
        }
    }

    /// The samples; `None` when there are none.
    pub fn histogram(&self) -> Option<&LatencyHistogram> {
        self.0.as_deref().filter(|histogram| !histogram.is_empty())
    }

    fn merge(&mut self, other: &Self) {
        if let Some(other) = other.histogram() {
            self.0.get_or_insert_default().merge(other);
        }
    }
}

/// The samples of one read: messages that were sent together mostly arrive together, at the same two instants, and
/// recording them once with their count costs a fraction.
#[derive(Debug)]
pub(crate) struct SampleBatch {
    from_ns: u64,
    to_ns: u64,
    count: u64,
}

impl SampleBatch {
    /// An empty batch whose samples all end at this moment, ns since t0.
    pub(crate) const fn ending_at(to_ns: u64) -> Self {
        Self { from_ns: 0, to_ns, count: 0 }
    }

    /// Adds samples that begin at this moment.
    #[inline]
    pub(crate) fn record(&mut self, from_ns: u64, count: u64, latency: &mut Latency) {
        if from_ns != self.from_ns {
            self.flush(latency);
            self.from_ns = from_ns;
        }
        self.count += count;
    }

    /// Records the rest. To be called at the end.
    pub(crate) fn flush(&mut self, latency: &mut Latency) {
        if self.count > 0 {
            latency.record_many_between(self.from_ns, self.to_ns, std::mem::take(&mut self.count));
        }
    }
}

/// Equal when they hold the same samples; memory that waits for one does not count.
impl PartialEq for Latency {
    fn eq(&self, other: &Self) -> bool {
        self.histogram() == other.histogram()
    }
}

/// Defines [`Latencies`] with merge and names, so that no metric can be forgotten there.
macro_rules! latencies {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One value per latency metric of a run, in the order of the result document: its samples, or their summary.
        /// Latencies of messages belong to the measured window when their *intended* time does.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[schemars(rename = "Latencies")]
        pub struct Latencies<T = Latency> {
            $($(#[$doc])* pub $name: T,)*
        }

        impl<T> Latencies<T> {
            /// The names, which gates and results use.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The same metrics with something else for each of them, made from its name and what it was.
            pub fn map<U>(&self, mut make: impl FnMut(&'static str, &T) -> U) -> Latencies<U> {
                Latencies { $($name: make(stringify!($name), &self.$name),)* }
            }

            /// The metric of this name; `None` when there is no such metric.
            pub fn find(&self, name: &str) -> Option<&T> {
                match name {
                    $(stringify!($name) => Some(&self.$name),)*
                    _ => None,
                }
            }
        }

        impl Latencies {
            /// Adds the samples of another.
            pub fn merge(&mut self, other: &Self) {
                $(self.$name.merge(&other.$name);)*
            }
        }
    };
}

latencies! {
    /// Name resolution.
    dns,
    /// TCP handshake.
    connect_tcp,
    /// Until the proxy had connected to the broker.
    connect_proxy,
    /// TLS handshake.
    connect_tls,
    /// WebSocket handshake.
    connect_ws,
    /// CONNECT written to CONNACK received.
    connack,
    /// All of connecting to CONNACK received, from the slot at which a client was to connect, or without a rate from
    /// its start.
    connect,
    /// Requester to responder and back, from the actual send.
    rtt_service,
    /// SUBSCRIBE written to SUBACK received.
    suback,
    /// Intended send to PUBACK (QoS 1) or PUBCOMP (QoS 2).
    ack,
    /// The same from the actual send.
    ack_service,
    /// Intended send to PUBREC.
    pubrec,
    /// PUBREL written to PUBCOMP.
    pubcomp,
    /// Intended send to arrival at a subscriber.
    e2e,
    /// The same from the actual send.
    e2e_service,
    /// Intended send of a message to its return through a responder.
    rtt,
    /// PINGREQ to PINGRESP.
    ping,
    /// Intended to actual send: the generator's own lateness.
    sched_lag,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One event that an engine records.
    #[derive(Clone, Debug)]
    enum Event {
        Sent(u16),
        Acked(i64),
        Delivered { e2e: i64, size: u16 },
        Rejected(u8),
        Failed(ConnectFailure),
        Lag(u32),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            any::<u16>().prop_map(Event::Sent),
            (-10i64..5_000_000_000).prop_map(Event::Acked),
            (-10i64..8_000_000_000_000, any::<u16>()).prop_map(|(e2e, size)| Event::Delivered { e2e, size }),
            (128u8..163).prop_map(Event::Rejected),
            (128u8..163).prop_map(|reason| Event::Failed(ConnectFailure::Refused(reason))),
            Just(Event::Failed(ConnectFailure::Timeout)),
            any::<u32>().prop_map(Event::Lag),
        ]
    }

    fn record(events: &[Event]) -> Recorder {
        let mut recorder = Recorder::default();
        for event in events {
            let Recorder { counters, latency } = &mut recorder;
            match *event {
                Event::Sent(size) => {
                    counters.sent += 1;
                    counters.payload_bytes_out += u64::from(size);
                }
                Event::Acked(time) => {
                    counters.acked += 1;
                    latency.ack.record(time);
                }
                Event::Delivered { e2e, size } => {
                    counters.delivered += 1;
                    counters.payload_bytes_in += u64::from(size);
                    latency.e2e.record(e2e);
                }
                Event::Rejected(reason) => counters.count_rejected(reason),
                Event::Failed(cause) => counters.count_connect_failure(cause),
                Event::Lag(lag) => latency.sched_lag.record_between(1_000, 1_000 + u64::from(lag)),
            }
        }
        recorder
    }

    fn merged<'a>(parts: impl IntoIterator<Item = &'a Recorder>) -> Recorder {
        let mut whole = Recorder::default();
        parts.into_iter().for_each(|part| whole.merge(part));
        whole
    }

    #[test]
    fn an_unused_metric_costs_a_pointer() {
        assert_eq!(size_of::<Latency>(), size_of::<usize>());
        let mut recorder = record(&[Event::Sent(3)]);
        recorder.merge(&Recorder::default());
        assert!(recorder.latency.e2e.0.is_none());
        recorder.latency.e2e.prepare();
        assert!(recorder.latency.e2e.histogram().is_none(), "memory is no measurement");
    }

    #[test]
    fn an_arrival_before_its_time_is_negative() {
        let mut latency = Latency::default();
        latency.record_between(500, 400);
        assert_eq!(latency.histogram().unwrap().negative(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_split_merges_to_one(
            events in prop::collection::vec(event(), 0..200),
            thread in prop::collection::vec(0usize..3, 200),
        ) {
            let mut shares = vec![Vec::new(); 3];
            for (event, thread) in events.iter().zip(thread) {
                shares[thread].push(event.clone());
            }
            let parts: Vec<Recorder> = shares.iter().map(|share| record(share)).collect();
            let whole = record(&events);
            prop_assert_eq!(&merged(&parts), &whole);
            prop_assert_eq!(&merged(parts.iter().rev()), &whole);
            // (a + b) + c is a + (b + c)
            let tail = merged(&parts[1..]);
            prop_assert_eq!(&merged([&parts[0], &tail]), &whole);
        }
    }
}
