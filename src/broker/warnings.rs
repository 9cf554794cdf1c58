//! The crate tells why it refused a client, or what was wrong with a packet, to no hook but to `tracing`. Here its
//! warnings and errors become events; everything below costs nothing, its callsites are switched off for good.

use std::fmt::{Debug, Write};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::{BrokerEvent, EventSink};

/// Most bytes of one warning; it can quote the network.
const MAX_LENGTH: usize = 1_000;

/// Reports the warnings of the crate, for the life of the process. A process has one such place; where there is one
/// already, the warnings go there.
pub(super) fn report_to(events: Arc<dyn EventSink>) {
    let _ = tracing::subscriber::set_global_default(Reporter { events });
}

struct Reporter {
    events: Arc<dyn EventSink>,
}

impl Subscriber for Reporter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::WARN && metadata.target().starts_with("mqtt5")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        text.message.push_str(&text.fields);
        if let Some((cut, _)) = text.message.char_indices().find(|(index, _)| *index >= MAX_LENGTH) {
            text.message.truncate(cut);
            text.message.push('…');
        }
        self.events.take(BrokerEvent::Warning(text.message));
    }

    // Spans are never enabled.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message, and the other fields as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a String does not fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
