//! Packet Identifiers in the order in which they are given (§2.2.1).

/// Identifiers are 1 to 65,535.
pub(super) const IDENTIFIERS: usize = 65_535;

/// Packet Identifiers that follow each other, or as many times 0 for messages that need none (§2.2.1).
#[derive(Clone, Debug)]
pub struct Identifiers {
    next: u16,
    left: usize,
}

impl Identifiers {
    /// Those of `count` QoS 0 messages.
    pub(crate) const fn none(count: usize) -> Self {
        Self { next: 0, left: count }
    }

    /// `count` identifiers from `first` on.
    pub(crate) const fn following(first: u16, count: usize) -> Self {
        Self { next: first, left: count }
    }

    /// Takes the first of them away, alone.
    pub fn split_first(&mut self) -> Self {
        let first = Self { next: self.next, left: self.left.min(1) };
        let _ = self.next();
        first
    }

    /// This one alone.
    pub const fn one(identifier: u16) -> Self {
        Self { next: identifier, left: 1 }
    }
}

/// All from this one on.
impl From<u16> for Identifiers {
    fn from(first: u16) -> Self {
        Self { next: first, left: IDENTIFIERS }
    }
}

impl Iterator for Identifiers {
    type Item = u16;

    #[inline]
    fn next(&mut self) -> Option<u16> {
        self.left = self.left.checked_sub(1)?;
        let identifier = self.next;
        self.next = match identifier {
            0 => 0,
            u16::MAX => 1,
            _ => identifier + 1,
        };
        Some(identifier)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Identifiers {}
