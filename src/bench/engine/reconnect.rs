//! Connecting again after a loss (`--reconnect`): in steady intervals, as long as it takes, every failure counted by its
//! cause.

use std::rc::Rc;
use std::time::Duration;

use super::cause::connect_failure;
use super::connect;
use super::link::{BenchSession, Link, SendRecord};
use super::shard::ShardState;
use crate::session::Delivery;

/// Who takes what comes for a client before its new connection is handed over to it.
pub(super) trait Early {
    /// A message came.
    fn take(&mut self, state: &ShardState, target: usize, delivery: &Delivery<'_>);

    /// Writes a message of an earlier connection again, under this Packet Identifier and with this DUP flag. False if
    /// that cannot be.
    fn rewrite(
        &mut self,
        state: &ShardState,
        target: usize,
        kept: &SendRecord,
        packet: (u16, bool),
        out: &mut Vec<u8>,
    ) -> bool;

    /// The most messages in flight on the new connection, where losses have made them fewer than planned.
    fn narrowed(&self) -> Option<u16>;

    /// The connection was lost before the client had it.
    fn give_up(&mut self, state: &ShardState);
}

/// What comes for a client before its new connection is handed over to it.
struct EarlyOf<'a> {
    early: &'a mut dyn Early,
    state: &'a ShardState,
    target: usize,
}

impl connect::EarlyPackets for EarlyOf<'_> {
    fn take(&mut self, delivery: &Delivery<'_>) {
        self.early.take(self.state, self.target, delivery);
    }

    fn rewrite(&mut self, kept: &SendRecord, packet: (u16, bool), out: &mut Vec<u8>) -> bool {
        self.early.rewrite(self.state, self.target, kept, packet, out)
    }
}

/// Connects a client again and subscribes, however often that fails. Its session goes on: what was in flight is sent again
/// where the session was to outlast the connection, and its identifiers are not used anew while the broker may remember
/// them. What a broker delivers before the last SUBACK is as good as what it delivers afterwards.
pub(super) async fn again(
    state: Rc<ShardState>,
    client: usize,
    mut session: BenchSession,
    interval: Duration,
    mut early: Option<Box<dyn Early>>,
) -> Link {
    let target = state.shared.plan.target_of(client);
    loop {
        tokio::time::sleep(interval).await;
        let window = early.as_ref().and_then(|early| early.narrowed());
        let mut early_of = early.as_deref_mut().map(|early| EarlyOf { early, state: &state, target });
        let packets = early_of.as_mut().map(|packets| packets as &mut dyn connect::EarlyPackets);
        match connect::join(&state.shared, state.tls.as_ref(), client, &mut session, window, packets).await {
            Ok((connection, _)) => return Link::new(connection, session, target),
            Err(error) => {
                if let Some(early) = &mut early {
                    early.give_up(&state);
                }
                session.handle_disconnected();
                state.recorder(target).counters.count_connect_failure(connect_failure(&error));
            }
        }
    }
}
