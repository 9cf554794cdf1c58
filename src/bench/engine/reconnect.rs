//! Connecting again after a loss (`--reconnect`): in steady intervals, as long as it takes, every failure counted by its
//! cause.

use std::rc::Rc;
use std::time::Duration;

use super::cause::connect_failure;
use super::connect;
use super::link::{BenchSession, Link};
use super::shard::ShardState;
use crate::session::Delivery;

/// Who takes what comes for a client before its new connection is handed over to it.
pub(super) trait Early {
    /// A message came.
    fn take(&mut self, state: &ShardState, target: usize, delivery: &Delivery<'_>);

    /// The connection was lost before the client had it.
    fn give_up(&mut self, state: &ShardState);
}

/// Connects a client again and subscribes, however often that fails. Its session goes on: what was in flight is not
/// sent again, and its identifiers are not used anew while the broker may remember them. What a broker delivers before
/// the last SUBACK is as good as what it delivers afterwards.
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
        let mut take = |delivery: &Delivery<'_>| {
            if let Some(early) = &mut early {
                early.take(&state, target, delivery);
            }
        };
        match connect::join(&state.shared, state.tls.as_ref(), client, &mut session, Some(&mut take)).await {
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
