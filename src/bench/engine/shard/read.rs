//! One read of a client: bytes to its session, and what Keep Alive needs.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::super::clock;
use super::super::link::{BenchSession, Link};
use super::role::Exit;
use super::state::ShardState;
use crate::bench::measure::Recorder;
use crate::session::SessionError;

/// A client pings this long before Keep Alive runs out; longer than a client may sleep.
const PING_LEAD: Duration = Duration::from_millis(250);

/// Reads once and passes the bytes to the session through `handle`. Where `due`, the session also looks at the clock.
/// Returns whether something arrived, so that there may be more.
pub(super) fn read_batch(
    state: &ShardState,
    link: &mut Link,
    context: &mut Context<'_>,
    due: bool,
    handle: impl FnOnce(&mut BenchSession, &[u8], Instant, &mut Recorder) -> Result<(), SessionError>,
) -> Result<bool, Exit> {
    let input = &mut *state.input();
    match link.poll_read(context, input) {
        Poll::Ready(Ok(0)) => Err(Exit::Lost("the broker closed the connection".to_owned())),
        Poll::Ready(Ok(count)) => {
            let recorder = &mut state.recorder(link.target());
            let now = clock::now();
            let handled = handle(&mut link.session, &input[..count], now, recorder);
            handled.map_err(|error| Exit::Lost(error.to_string()))?;
            // Also where there is always something to read: what is sent may still require a PINGREQ.
            if due {
                handle_time(link, now)?;
            }
            Ok(true)
        }
        Poll::Ready(Err(error)) => Err(error.into()),
        Poll::Pending if !due => Ok(false),
        Poll::Pending => handle_time(link, clock::now()).map(|()| false),
    }
}

/// Lets the session do what is due: send PINGREQ, or give up on a silent broker. Waiting clients are woken only now and
/// then: where the next time may be too late for Keep Alive, PINGREQ is sent now (MQTT-3.1.2-20).
fn handle_time(link: &mut Link, now: Instant) -> Result<(), Exit> {
    match link.session.poll_timeout() {
        Some(deadline) if now >= deadline => {
            link.handle_timeout(now).map_err(|error| Exit::Lost(error.to_string()))?;
        }
        Some(deadline) if now + PING_LEAD >= deadline && link.is_writable() => {
            link.ping_early(now);
        }
        _ => {}
    }
    Ok(())
}
