//! Which clients may connect, and what they may do: the interface for passwords and access lists.

use std::sync::{Arc, Weak};

use super::{ConnectionId, Peer};
use crate::mqtt::ReasonCode;
use crate::mqtt::wire::Connect;

/// A client, for [`Access`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Client Identifier, chosen by the broker if the client left it empty.
    pub client_id: Arc<str>,
    /// User name, from CONNECT or from the certificate.
    pub user_name: Option<Arc<str>>,
}

/// The decision about a CONNECT.
pub enum Decision {
    /// Accepted, with this user name.
    Accept {
        /// The user name that access lists go by.
        user_name: Option<Arc<str>>,
    },
    /// Refused; codes of 5.0, mapped for clients of 3.1.1.
    Refuse(ReasonCode),
    /// What this returns, which takes too long for the broker's thread: a password is hashed. The connection waits.
    Check(Box<dyn FnOnce() -> Decision + Send>),
}

/// A CONNECT that another thread decides about, taken with [`super::Core::take_checks`].
pub struct PendingCheck {
    pub(super) connection: ConnectionId,
    pub(super) serial: u64,
    /// Gone with the connection that waits.
    pub(super) awaited: Weak<()>,
    pub(super) check: Box<dyn FnOnce() -> Decision + Send>,
}

/// The decision about a [`PendingCheck`], for [`super::Core::finish_check`].
pub struct FinishedCheck {
    pub(super) connection: ConnectionId,
    pub(super) serial: u64,
    pub(super) decision: Decision,
}

impl PendingCheck {
    /// Computes the decision. Nothing where the connection has ended meanwhile: clients that leave or run into the
    /// timeout must not keep others waiting.
    pub fn run(self) -> Option<FinishedCheck> {
        let is_awaited = self.awaited.strong_count() > 0;
        is_awaited.then(|| FinishedCheck { connection: self.connection, serial: self.serial, decision: (self.check)() })
    }
}

/// The access that a client requests to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Publish to a Topic Name.
    Publish,
    /// Subscribe to a Topic Filter.
    Subscribe,
    /// Get a message of this Topic Name.
    Read,
}

/// Decides. Called in the middle of the broker's work: it must not block.
pub trait Access: Send {
    /// Decides about a well-formed CONNECT.
    fn connect(&mut self, connect: &Connect, client_id: &Arc<str>, peer: &Peer) -> Decision;

    /// Whether a client may do that.
    fn allows(&mut self, who: &Identity, action: Action, topic: &str) -> bool;

    /// Whether [`Access::allows`] must be asked for each message that a client is to get. If not, it is not asked.
    fn checks_reads(&self) -> bool {
        false
    }
}

/// Accepts all clients, or none, and allows everything.
#[derive(Clone, Copy, Debug)]
pub struct OpenAccess {
    /// Whether clients may connect without a password.
    pub allow_anonymous: bool,
}

impl Access for OpenAccess {
    fn connect(&mut self, connect: &Connect, _: &Arc<str>, _: &Peer) -> Decision {
        if self.allow_anonymous {
            Decision::Accept { user_name: connect.user_name.as_deref().map(Into::into) }
        } else {
            Decision::Refuse(ReasonCode::NOT_AUTHORIZED)
        }
    }

    fn allows(&mut self, _: &Identity, _: Action, _: &str) -> bool {
        true
    }
}
