//! Reconnecting after a loss (`--reconnect`): at steady intervals, without a limit, every failure counted by its cause.

use std::rc::Rc;
use std::time::Duration;

use super::super::connect::{EarlyHandler, connect};
use super::super::connect_error::classify;
use super::super::link::{BenchSession, Link};
use super::state::ShardState;

/// Connects and subscribes a client again, as often as it takes. Its session is continued: what was in flight is sent
/// again where the session outlasts the connection, and its identifiers are not reused while the broker may remember
/// them. Messages that arrive before the last SUBACK count like later ones.
pub(super) async fn reconnect(
    state: Rc<ShardState>,
    client: usize,
    mut session: BenchSession,
    interval: Duration,
    mut early: Option<Box<dyn EarlyHandler>>,
) -> Link {
    let target = state.shared.plan.target_of(client);
    loop {
        tokio::time::sleep(interval).await;
        let handler = early.as_deref_mut().map(|early| early as &mut dyn EarlyHandler);
        match connect(&state.shared, state.tls.as_ref(), client, &mut session, handler).await {
            Ok((connection, _)) => return Link::new(connection, session, target),
            Err(error) => {
                if let Some(early) = &mut early {
                    early.on_failed();
                }
                session.handle_disconnected();
                state.recorder(target).counters.count_connect_failure(classify(&error));
            }
        }
    }
}
