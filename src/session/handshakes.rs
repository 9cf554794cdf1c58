//! The packets of QoS 2 beside PUBLISH, counted.

use crate::mqtt::wire::AckKind;

/// PUBREC, PUBREL and PUBCOMP packets of a session, repeated ones too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandshakeCounts {
    pub pubrec_in: u32,
    pub pubrel_in: u32,
    pub pubcomp_in: u32,
    pub pubrec_out: u32,
    pub pubrel_out: u32,
    pub pubcomp_out: u32,
}

impl HandshakeCounts {
    pub(super) const fn received(&mut self, kind: AckKind) {
        match kind {
            AckKind::Puback => {}
            AckKind::Pubrec => self.pubrec_in += 1,
            AckKind::Pubrel => self.pubrel_in += 1,
            AckKind::Pubcomp => self.pubcomp_in += 1,
        }
    }

    pub(super) const fn sent(&mut self, kind: AckKind) {
        match kind {
            AckKind::Puback => {}
            AckKind::Pubrec => self.pubrec_out += 1,
            AckKind::Pubrel => self.pubrel_out += 1,
            AckKind::Pubcomp => self.pubcomp_out += 1,
        }
    }
}
