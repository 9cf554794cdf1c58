//! Connects a client up to an accepted CONNECT, and exchanges packets until something happens.

use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::ClientError;
use crate::session::{Handler, Kept, Session, SessionConfig, SessionError};
use crate::transport::{ConnectTimings, Connected, Connection, TlsClient, TransportPlan, connect};

const READ_BUFFER: usize = 16 * 1024;

/// A connection that the broker has accepted.
#[derive(Debug)]
pub(crate) struct Established {
    /// The transport.
    pub connection: Connection,
    /// How long its steps took.
    pub timings: ConnectTimings,
    /// From CONNECT written to CONNACK received.
    pub connack: Duration,
}

/// DISCONNECT without a reason: the same bytes in every version (MQTT 3.1.1 §3.14, 5.0 §3.14.2.1).
const DISCONNECT: [u8; 2] = [0xE0, 0];

/// Keeps a connection that is given up half way from looking like one that broke: the broker would publish the will.
/// Dropped while armed, it sends DISCONNECT, as far as the socket takes it at once.
#[derive(Debug)]
pub(crate) struct DisconnectGuard<'a> {
    connection: &'a mut Connection,
    is_armed: bool,
}

impl<'a> DisconnectGuard<'a> {
    /// Guards a connection on which nothing waits to be written.
    pub(crate) const fn new(connection: &'a mut Connection) -> Self {
        Self { connection, is_armed: true }
    }

    pub(crate) const fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    /// The connection is used, or has ended already.
    pub(crate) fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for DisconnectGuard<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            let mut context = Context::from_waker(Waker::noop());
            // Nobody waits for it any more: what the socket does not take now is not sent.
            let _ = Pin::new(&mut *self.connection).poll_write(&mut context, &DISCONNECT);
            let _ = Pin::new(&mut *self.connection).poll_flush(&mut context);
        }
    }
}

/// Connects the transport, sends CONNECT and waits for CONNACK. What comes with or after the CONNACK goes to `handler`,
/// as does [`crate::session::Event::Connected`]. Dropped after CONNECT it sends DISCONNECT.
///
/// # Errors
/// Whatever keeps the connection from being made; each step has its timeout.
pub(crate) async fn establish<K: Kept, H: Handler<K>>(
    plan: &TransportPlan,
    tls: Option<&TlsClient>,
    config: &SessionConfig,
    session: &mut Session<K>,
    handler: &mut H,
) -> Result<Established, ClientError> {
    let Connected { mut connection, timings } = connect(plan, tls).await?;
    let connack = log_in(&mut connection, config, session, handler, &plan.address.to_string()).await?;
    Ok(Established { connection, timings, connack })
}

/// Sends CONNECT and waits for CONNACK; how long that took. Dropped after CONNECT it sends DISCONNECT.
///
/// # Errors
/// As those of [`exchange`], and a CONNECT that cannot be sent.
pub(crate) async fn log_in<K: Kept, H: Handler<K>>(
    connection: &mut Connection,
    config: &SessionConfig,
    session: &mut Session<K>,
    handler: &mut H,
    target: &str,
) -> Result<Duration, ClientError> {
    let started = Instant::now();
    session
        .start(config, started.into_std())
        .map_err(|error| ClientError::Session { target: target.to_owned(), error: SessionError::Wire(error) })?;
    send(connection, session, target).await?;
    // Not before: in the middle of CONNECT it would be part of it.
    let mut guard = DisconnectGuard::new(connection);
    let accepted = exchange(guard.connection(), session, handler, target, |session, _| session.is_open()).await;
    guard.disarm();
    accepted?;
    Ok(started.elapsed())
}

/// Writes what the session puts out and reads what comes, until `done` returns true.
///
/// # Errors
/// The session's own, and a connection that is lost.
pub(crate) async fn exchange<K: Kept, H: Handler<K>>(
    connection: &mut Connection,
    session: &mut Session<K>,
    handler: &mut H,
    target: &str,
    mut done: impl FnMut(&Session<K>, &H) -> bool,
) -> Result<(), ClientError> {
    let before_connack = !session.is_open();
    let lost = |error: Option<&io::Error>| ClientError::lost(target, error, before_connack);
    let failed = |error| ClientError::Session { target: target.to_owned(), error };
    let mut input = vec![0; READ_BUFFER];
    loop {
        send(connection, session, target).await?;
        if done(session, handler) {
            return Ok(());
        }
        let deadline = session.poll_timeout().map(Instant::from_std);
        let read = connection.read(&mut input);
        let read = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, read).await,
            None => Ok(read.await),
        };
        match read {
            Ok(Ok(0)) => return Err(lost(None)),
            Ok(Ok(count)) => {
                session.handle_input(&input[..count], Instant::now().into_std(), handler).map_err(failed)?;
            }
            Ok(Err(error)) => return Err(lost(Some(&error))),
            Err(_) => session.handle_timeout(Instant::now().into_std()).map_err(failed)?,
        }
    }
}

async fn send<K: Kept>(connection: &mut Connection, session: &mut Session<K>, target: &str) -> Result<(), ClientError> {
    let before_connack = !session.is_open();
    let lost = |error: io::Error| ClientError::lost(target, Some(&error), before_connack);
    write_output(connection, session).await.map_err(lost)
}

/// Writes what the session has put out.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn write_output<K: Kept>(connection: &mut Connection, session: &mut Session<K>) -> io::Result<()> {
    if session.output_len() == 0 {
        return Ok(());
    }
    let mut out = Vec::new();
    session.take_output(&mut out);
    connection.write_all(&out).await?;
    connection.flush().await?;
    session.handle_written(Instant::now().into_std(), false);
    Ok(())
}
