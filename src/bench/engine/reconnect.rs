//! Connecting again after a loss (`--reconnect`): in steady intervals, as long as it takes, every failure counted by its
//! cause.

use std::rc::Rc;
use std::time::Duration;

use super::cause::connect_failure;
use super::connect;
use super::link::{BenchSession, Link};
use super::shard::ShardState;

/// Connects a client again and subscribes, however often that fails. Its session goes on: what was in flight is not
/// sent again, and its identifiers are not used anew while the broker may remember them.
pub(super) async fn again(state: Rc<ShardState>, client: usize, mut session: BenchSession, interval: Duration) -> Link {
    let target = state.shared.plan.target_of(client);
    loop {
        tokio::time::sleep(interval).await;
        match connect::join(&state.shared, state.tls.as_ref(), client, &mut session).await {
            Ok((connection, _)) => return Link::new(connection, session, target),
            Err(error) => {
                session.handle_disconnected();
                state.recorder(target).counters.count_connect_failure(connect_failure(&error));
            }
        }
    }
}
