//! What is published.

use bytes::Bytes;

use super::Template;
use crate::bench::measure::STAMP_SIZE;

/// The payload of the messages of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadPlan {
    /// This many bytes, at least sixteen: a stamp (run, publisher, sequence, intended time), then zeros.
    Stamped {
        /// Bytes.
        size: usize,
    },
    /// These bytes, unchanged; messages are matched by their order per publisher, topic and subscriber.
    Fixed(Bytes),
    /// A text with places for the client, otherwise like fixed bytes.
    Text(Template),
}

impl PayloadPlan {
    /// A payload of this size: stamped where the stamp has room.
    pub fn of_size(size: usize) -> Self {
        if size >= STAMP_SIZE { Self::Stamped { size } } else { Self::Fixed(Bytes::from(vec![0; size])) }
    }

    /// The size of stamped payloads.
    pub const fn stamped_size(&self) -> Option<usize> {
        match self {
            Self::Stamped { size } => Some(*size),
            Self::Fixed(_) | Self::Text(_) => None,
        }
    }

    /// Whether messages carry a stamp.
    pub const fn is_stamped(&self) -> bool {
        matches!(self, Self::Stamped { .. })
    }

    /// The bytes of a client's messages, before a stamp is written over their beginning.
    pub fn bytes(&self, client: usize, client_id: &str, user_name: &str) -> Bytes {
        match self {
            Self::Stamped { size } => Bytes::from(vec![0; *size]),
            Self::Fixed(bytes) => bytes.clone(),
            Self::Text(template) => Bytes::from(template.expand(client, client_id, user_name)),
        }
    }
}
