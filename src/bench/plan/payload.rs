//! What is published.

use bytes::Bytes;

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
}

impl PayloadPlan {
    /// A payload of this size: stamped where the stamp has room.
    pub fn of_size(size: usize) -> Self {
        if size >= STAMP_SIZE { Self::Stamped { size } } else { Self::Fixed(Bytes::from(vec![0; size])) }
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Stamped { size } => *size,
            Self::Fixed(bytes) => bytes.len(),
        }
    }

    /// Whether messages carry a stamp.
    pub fn is_stamped(&self) -> bool {
        matches!(self, Self::Stamped { .. })
    }

    /// The bytes before a stamp is written over their beginning.
    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Stamped { size } => Bytes::from(vec![0; *size]),
            Self::Fixed(bytes) => bytes.clone(),
        }
    }
}
