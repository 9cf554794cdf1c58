//! Which lines are logged: the kinds of `log_type`, and which kind each event is, as with mosquitto.

use super::configuration::{LogConfiguration, LogTypes};
use super::core::Event;

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    Debug,
    Error,
    Warning,
    Notice,
    Information,
    Subscribe,
    Unsubscribe,
}

/// What a line is about, for who colors it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing of the below.
    Plain,
    /// A packet from a client.
    Received,
    /// A packet to a client.
    Sent,
    /// Something went wrong.
    Problem,
}

impl LineKind {
    /// The last levels of the topic under `$SYS/broker/log/`; none for lines that are never published.
    pub(super) const fn topic(self) -> Option<&'static str> {
        match self {
            // Publishing them would make more of them.
            Self::Debug => None,
            Self::Error => Some("E"),
            Self::Warning => Some("W"),
            Self::Notice => Some("N"),
            Self::Information => Some("I"),
            Self::Subscribe => Some("M/subscribe"),
            Self::Unsubscribe => Some("M/unsubscribe"),
        }
    }
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogRules {
    pub(super) types: LogTypes,
    /// Whether connections and disconnections are.
    pub(super) connection_messages: bool,
    /// Whether the bytes of packets are.
    pub(super) bytes: bool,
}

impl LogRules {
    /// Everything.
    #[cfg(test)]
    pub(super) const VERBOSE: Self = Self { types: LogTypes::ALL, connection_messages: true, bytes: false };

    /// What a configuration asks for; `-v` asks for everything, `-vv` for the bytes too.
    pub(super) fn new(configuration: &LogConfiguration, verbosity: u8) -> Self {
        let types = configuration.types.unwrap_or_default();
        let types = if verbosity > 0 { LogTypes::ALL } else { types };
        Self { types, connection_messages: configuration.connection_messages, bytes: verbosity > 1 }
    }

    /// Whether lines of this kind are logged.
    pub(super) const fn allow(&self, kind: LineKind) -> bool {
        match kind {
            LineKind::Debug => self.types.debug,
            LineKind::Error => self.types.error,
            LineKind::Warning => self.types.warning,
            LineKind::Notice => self.types.notice,
            LineKind::Information => self.types.information,
            LineKind::Subscribe => self.types.subscribe,
            LineKind::Unsubscribe => self.types.unsubscribe,
        }
    }
}

/// The kind of the line, or of the first of the lines, that an event makes.
pub(super) const fn kind_of(event: &Event<'_>) -> LineKind {
    match event {
        Event::Received { .. } | Event::Sending { .. } | Event::Bytes { .. } | Event::Denied { .. } => LineKind::Debug,
        Event::Subscribed { .. } => LineKind::Subscribe,
        Event::Unsubscribed { .. } => LineKind::Unsubscribe,
        Event::AlreadyConnected { .. } => LineKind::Error,
        Event::ProtocolError { .. } => LineKind::Information,
        Event::Connected { .. }
        | Event::Dropping { .. }
        | Event::Disconnected { .. }
        | Event::TlsWithoutTls { .. }
        | Event::Expired { .. } => LineKind::Notice,
    }
}

/// The tone of the lines that an event makes.
pub(super) const fn tone_of(event: &Event<'_>) -> Tone {
    match event {
        Event::Received { .. } | Event::Bytes { sending: false, .. } => Tone::Received,
        Event::Sending { .. } | Event::Bytes { .. } => Tone::Sent,
        Event::Denied { .. } | Event::ProtocolError { .. } | Event::TlsWithoutTls { .. } | Event::Dropping { .. } => {
            Tone::Problem
        }
        _ => Tone::Plain,
    }
}
