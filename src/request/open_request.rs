//! The request that waits for its responses, as far as it may have to be sent again by the tool. Pure.
//!
//! At QoS 1 and 2 the session sends it again; at QoS 0 it goes out again only where not all of it was written.

use crate::mqtt::{Message, QoS};

/// The request that was sent last.
#[derive(Debug, Default)]
pub(super) struct OpenRequest {
    /// A request of QoS 0, until the connection that it was sent on is lost.
    kept: Option<Message>,
    /// One that was lost with its connection, to be sent again.
    again: Option<Message>,
    /// Where it ends in the output.
    end: u64,
}

impl OpenRequest {
    /// A copy to keep of a request that is sent now.
    pub(super) fn copy_of(message: &Message) -> Option<Message> {
        (message.qos == QoS::AtMostOnce).then(|| message.clone())
    }

    /// It was put into the output, where it ends at `end`.
    pub(super) fn note_sent(&mut self, kept: Option<Message>, end: u64) {
        *self = Self { kept, again: None, end };
    }

    /// The connection was lost after the socket had taken `written` bytes.
    pub(super) fn note_loss(&mut self, written: u64) {
        let kept = self.kept.take();
        if written < self.end {
            self.again = kept.or(self.again.take());
        }
    }

    /// Whether it is to be sent again.
    pub(super) fn is_lost(&self) -> bool {
        self.again.is_some()
    }

    /// The request to send again.
    pub(super) fn take_lost(&mut self) -> Option<Message> {
        self.again.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(qos: QoS) -> OpenRequest {
        let mut open = OpenRequest::default();
        open.note_sent(OpenRequest::copy_of(&Message { qos, ..Message::default() }), 100);
        open
    }

    #[test]
    fn only_what_was_not_written_whole_at_qos_0_is_sent_again() {
        for (qos, written, expected) in
            [(QoS::AtMostOnce, 99, true), (QoS::AtMostOnce, 100, false), (QoS::AtLeastOnce, 99, false)]
        {
            let mut open = sent(qos);
            open.note_loss(written);
            assert_eq!(open.is_lost(), expected, "{qos:?} {written}");
            // A second loss before it could be sent again changes nothing.
            open.note_loss(0);
            assert_eq!(open.take_lost().is_some(), expected);
        }
    }
}
