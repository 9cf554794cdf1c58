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
        }
    }
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogRules {
    pub(super) types: LogTypes,
    /// Whether connections and disconnections are.
    pub(super) connection_messages: bool,
}

impl LogRules {
    /// Everything.
    #[cfg(test)]
    pub(super) const VERBOSE: Self = Self { types: LogTypes::ALL, connection_messages: true };

    /// What a configuration asks for; `-v` asks for everything.
    pub(super) fn new(configuration: &LogConfiguration, is_verbose: bool) -> Self {
        let types = configuration.types.unwrap_or_default();
        let types = if is_verbose { LogTypes::ALL } else { types };
        Self { types, connection_messages: configuration.connection_messages }
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
        }
    }
}

/// The kind of the line, or of the first of the lines, that an event makes.
pub(super) const fn kind_of(event: &Event<'_>) -> LineKind {
    match event {
        Event::Received { .. } | Event::Sending { .. } | Event::Denied { .. } => LineKind::Debug,
        Event::Subscribed { .. } => LineKind::Subscribe,
        Event::AlreadyConnected { .. } => LineKind::Error,
        Event::Connected { .. }
        | Event::Dropping { .. }
        | Event::Disconnected { .. }
        | Event::Refused { .. }
        | Event::Expired { .. } => LineKind::Notice,
    }
}
