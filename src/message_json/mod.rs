//! One message as one JSON object: what `mqsub --json` writes, `mqpub --json` reads, and a recording holds.
//!
//! Both directions live here, below the tools, so that what one writes the other reads. The object: `time` (RFC 3339,
//! microseconds, offset), `ts` (Unix seconds), `topic`, `qos`, `retain`, `mid` (QoS above 0), `payload` or
//! `payload_b64` or `payload_json`, `properties` when there are any, and of a response its `latency_ms`.

mod read;
mod schema;
mod text;
mod write;
mod writer;

pub use read::{JsonMessage, MessageDefaults, ReadError, ReadFault, read_message};
pub use schema::schema;
pub use text::JsonText;
#[cfg(feature = "explorer")]
pub(crate) use text::JsonToken;
pub use write::{MessageJsonOptions, write_message};
pub(crate) use write::{put_rfc3339, write_user_property};
pub(crate) use writer::{JsonLayout, JsonWriter};

use crate::mqtt::wire::PublishProperties;
use crate::mqtt::{Property, PropertyRef};

/// The properties of a PUBLISH in wire order, borrowed from any storage.
pub fn properties_of<'a>(properties: PublishProperties<'a>) -> impl Iterator<Item = PropertyRef<'a>> {
    let (read, owned) = match properties {
        PublishProperties::Read(list) => (Some(list.iter()), None),
        PublishProperties::Owned(list) => (None, Some(list.iter().map(Property::as_ref))),
    };
    read.into_iter().flatten().chain(owned.into_iter().flatten())
}

#[cfg(test)]
mod tests;
