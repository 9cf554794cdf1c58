//! A connection to a broker with its session, moved on step by step by the tool that owns it.
//!
//! No task and no queue: the owner calls [`Client::step`] in a loop, and a step ends when bytes moved or when the
//! owner's own future (stdin, a signal, a timer) is ready. The owner makes all decisions.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::ack_coalescing::{AckCoalescing, LONGEST_WAIT};
use super::losses::{LossLog, LossReport};
use super::trace::{Trace, Traced};
use super::{ClientError, ConnectPlan, DisconnectGuard, OutputPosition, Reporter};
use crate::mqtt::{Properties, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Kept, Session, SessionError};
use crate::transport::{Connection, TlsClient, connect, explain_tls_loss, sleep_until};

/// One read takes at most this much, and so does one pass of the handler.
const READ_BUFFER: usize = 64 * 1024;
/// It begins with this much, for clients that get a few acknowledgements, and grows when it was full.
const FIRST_READ_BUFFER: usize = 2 * 1024;
/// An output buffer larger than this is given back once its content was written.
const KEPT_OUTPUT: usize = 256 * 1024;
/// While this much waits to be written nothing is read: what is read may need answers.
const MOST_UNWRITTEN_ANSWERS: usize = 1 << 20;
/// Bytes that the socket may take before it sends them, again than these wait. What it takes is what the time for an
/// answer counts from: with megabytes in the system's buffer a slow path would seem to have carried them. Small
/// messages go without, since they are answered one by one and the larger buffer costs less.
const MOST_UNSENT: u32 = 128 * 1024;
/// How long a broker has to take the DISCONNECT of a connection that has failed.
const LAST_DISCONNECT_TIMEOUT: Duration = Duration::from_millis(200);

/// How a connection is closed after DISCONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseMode {
    /// At once.
    AtOnce,
    /// After what still comes was read and thrown away, up to this long: closing with unread bytes resets the
    /// connection, and the last acknowledgements may go with it. At once where there are none and nothing is unread.
    Draining(Duration),
    /// After the broker has closed, waited for up to this long, so that everything is known to be taken.
    Confirmed(Duration),
    /// The same, but all that counts is a DISCONNECT with which the broker refuses what it got (5.0).
    AwaitingRefusal(Duration),
}

impl CloseMode {
    /// Whether a refusal by the broker is an error.
    const fn reads_refusal(self) -> bool {
        matches!(self, Self::Confirmed(_) | Self::AwaitingRefusal(_))
    }
}

/// Takes nothing: what still comes at the end of a run is not acknowledged.
pub(crate) struct NoHandler;

impl<K: Kept> Handler<K> for NoHandler {
    fn on_message(&mut self, _: &Delivery<'_>) -> Acknowledge {
        Acknowledge::Later
    }

    fn on_completed(&mut self, _: Completion<'_, K>) {}

    fn on_event(&mut self, _: Event) {}
}

/// A client of a broker. `K` is what its session keeps for a message in flight.
#[derive(Debug)]
pub(crate) struct Client<K> {
    plan: ConnectPlan,
    target: String,
    tls: Option<TlsClient>,
    connection: Option<Connection>,
    session: Session<K>,
    output: Output,
    input: Vec<u8>,
    /// When bytes were last received.
    last_received: Option<Instant>,
    /// Bytes received on all connections.
    read_total: u64,
    coalescing: AckCoalescing,
    trace: Option<Trace>,
    /// The warning of a certificate that other clients refuse was printed.
    warned_of_the_certificate: bool,
    losses: LossLog,
    /// Where it is reported what becomes of the connection.
    reporter: Option<Box<dyn Reporter>>,
}

/// A transport that is being connected.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Connection, ClientError>>>>;

/// Bytes on their way out.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    /// How many of them were written.
    at: usize,
    /// Bytes of this connection written before those.
    before: u64,
    /// Writing has failed once.
    failed: bool,
    /// The socket was asked to take less at a time.
    limited: bool,
}

impl Output {
    fn unwritten(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn wrote(&mut self, count: usize) {
        self.at += count;
        if self.at == self.bytes.len() {
            self.before += self.at as u64;
            self.at = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_OUTPUT);
        }
    }
}

/// What a step of reading and writing came to.
enum IoStep {
    Read(usize),
    Wrote,
}

impl<K: Kept> Client<K> {
    /// A client that is not connected yet.
    pub(crate) fn new(plan: ConnectPlan, trace: Option<Trace>) -> Self {
        Self {
            target: plan.transport.address.to_string(),
            plan,
            tls: None,
            connection: None,
            session: Session::new(Instant::now()),
            output: Output::default(),
            input: vec![0; FIRST_READ_BUFFER],
            last_received: None,
            read_total: 0,
            coalescing: AckCoalescing::new(),
            trace,
            warned_of_the_certificate: false,
            losses: LossLog::default(),
            reporter: None,
        }
    }

    /// Reports to the user what happens to the connection.
    #[must_use]
    pub(crate) fn with_reporter(self, reporter: impl Reporter + 'static) -> Self {
        Self { reporter: Some(Box::new(reporter)), ..self }
    }

    /// The broker, as errors name it.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Most QoS 1 and 2 messages in flight from the next connection on.
    pub(crate) const fn set_window(&mut self, window: u16) {
        self.plan.session.window = window;
    }

    /// Whether CONNECT has gone out, or is about to, and is not answered yet.
    pub(crate) fn waits_for_connack(&self) -> bool {
        self.connection.is_some() && !self.session.is_open()
    }

    /// The session, to publish, subscribe and acknowledge; what it puts out is written by the next step.
    pub(crate) fn session(&mut self) -> &mut Session<K> {
        &mut self.session
    }

    /// Whether there is a connection that the broker has accepted.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some() && self.session.is_open()
    }

    /// When bytes of any packet were last received.
    pub(crate) const fn last_received(&self) -> Option<Instant> {
        self.last_received
    }

    /// Bytes read so far, of all connections.
    pub(crate) const fn read_total(&self) -> u64 {
        self.read_total
    }

    /// Reports that the connection was lost and is made again, so that the user knows why nothing happens: every time,
    /// unless the last report is recent. Returns whether it did.
    pub(crate) fn report_loss(&mut self, error: &ClientError) -> bool {
        self.note(&format!("lost the connection, reconnecting: {error}"));
        match self.losses.lost(Instant::now(), !self.plan.session.client_id.is_empty()) {
            Some(LossReport { earlier, is_sent_away }) => {
                let more = if earlier == 0 { String::new() } else { format!("; it was lost {}", more_times(earlier)) };
                let (target, cause, retry) = (&self.target, error.cause(), self.plan.retry.description(false));
                self.warn(&format_args!("the connection to {target} was lost ({cause}); {retry}{more}"));
                if let (true, Some(reporter)) = (is_sent_away, &self.reporter) {
                    let id = &self.plan.session.client_id;
                    reporter.hint(&format_args!(
                        "the broker keeps accepting this client and closing the connection soon after: is another \
                         client connected with the client id '{id}'? use -i to choose another"
                    ));
                }
                true
            }
            None => false,
        }
    }

    /// Reports at the end of a run how often the connection was lost since the last report.
    pub(super) fn report_unreported_losses(&mut self) {
        let count = self.losses.take_unreported();
        if count > 0 {
            self.warn(&format_args!("the connection to {} was lost {}", self.target, more_times(count)));
        }
    }

    fn warn(&self, text: &dyn Display) {
        if let Some(reporter) = &self.reporter {
            reporter.warning(text);
        }
    }

    /// Bytes that the socket has not taken yet.
    pub(crate) fn unwritten(&self) -> usize {
        self.output.unwritten() + self.session.output_len()
    }

    /// Where the bytes of this connection stand: for the time that an answer may take.
    pub(crate) fn output_position(&self) -> OutputPosition {
        let waiting = (self.output.unwritten() + self.session.output_len()) as u64;
        let written = self.written_total();
        OutputPosition { written, end: written + waiting }
    }

    /// Bytes of this connection that the socket has taken.
    pub(crate) fn written_total(&self) -> u64 {
        self.output.before + self.output.at as u64
    }

    /// The owner can do nothing before this many answers are there, so the next steps need not wake up for fewer. The
    /// broker must owe at least as many; 0 wakes up for everything.
    pub(crate) fn coalesce(&mut self, answers: usize) {
        self.coalescing.want(answers);
    }

    /// Asks for an immediate TCP ACK: several answers are to come and there is nothing to send that would carry it, and
    /// the broker may wait for it with the next one.
    pub(crate) fn quick_ack(&self) {
        if let Some(socket) = self.connection.as_ref().and_then(Connection::as_plain) {
            socket.acknowledge_at_once();
        }
    }

    /// Gives up any present connection and returns the way to the next one: it waits for `delay`, then connects the
    /// transport. Dropping the future gives it up.
    ///
    /// # Errors
    /// The TLS files or settings cannot be used.
    pub(super) fn opening(&mut self, delay: Duration) -> Result<Opening, ClientError> {
        self.drop_connection();
        if let (None, Some(wanted)) = (&self.tls, &self.plan.transport.tls) {
            self.tls = Some(TlsClient::new(wanted)?);
        }
        let (plan, tls) = (self.plan.transport.clone(), self.tls.clone());
        Ok(Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            Ok(connect(&plan, tls.as_ref()).await?.connection)
        }))
    }

    /// Takes a transport over and puts CONNECT into the output; the steps that follow wait for CONNACK.
    ///
    /// # Errors
    /// The CONNECT cannot be written.
    pub(super) fn start(&mut self, connection: Connection) -> Result<(), ClientError> {
        self.warn_of_the_certificate(&connection);
        self.connection = Some(connection);
        self.coalescing = AckCoalescing::new();
        self.output = Output::default();
        self.session.start(&self.plan.session, Instant::now()).map_err(|error| self.failed(error.into()))
    }

    /// Reports that the broker has accepted a connection, where its loss was reported.
    pub(super) fn report_connected(&mut self) {
        if let (Some(away), Some(reporter)) = (self.losses.connected(Instant::now()), &self.reporter) {
            let seconds = away.as_secs_f64();
            reporter.note(&format_args!("reconnected to {} after {seconds:.1} s", self.target));
        }
    }

    /// Reports that an attempt failed and is followed by another; `is_first` for the first one of the run.
    pub(super) fn report_failed_attempt(&mut self, error: &ClientError, is_first: bool) {
        if is_first {
            return self.warn(&format_args!("{error}; {}", self.plan.retry.description(true)));
        }
        self.note(&format!("cannot reconnect: {error}"));
        if self.losses.stays_away(Instant::now()).is_some() {
            let (target, cause, retry) = (&self.target, error.cause(), self.plan.retry.description(false));
            self.warn(&format_args!("the connection to {target} was lost and cannot be restored ({cause}); {retry}"));
        }
    }

    /// Warns once of a certificate that other clients refuse.
    fn warn_of_the_certificate(&mut self, connection: &Connection) {
        let verified = self.plan.transport.tls.as_ref().is_some_and(|tls| !tls.insecure);
        if !verified || self.warned_of_the_certificate {
            return;
        }
        if connection.tls_info().is_some_and(|info| info.common_name_only) {
            self.warned_of_the_certificate = true;
            self.warn(&"the broker's certificate has no subjectAltName, only a common name: other clients reject it");
        }
    }

    /// Writes what waits and, with `reading`, reads what has come, until something moved or `other` is ready. `other`
    /// goes first and is dropped when something else ends the step, so it must not lose anything by that.
    ///
    /// # Errors
    /// The connection is gone; what is in flight is kept for the next connection.
    pub(crate) async fn step<H: Handler<K>, F: Future>(
        &mut self,
        handler: &mut H,
        reading: bool,
        other: F,
    ) -> Result<Option<F::Output>, ClientError> {
        self.take_output();
        let now = Instant::now();
        let deadline = self.session.poll_timeout();
        if deadline.is_some_and(|deadline| now >= deadline) {
            self.handle_timeout(reading, now)?;
            return Ok(None);
        }
        let before_connack = !self.session.is_open();
        let gathers = self.coalescing.apply(self.connection.as_ref());
        let wake = if gathers { deadline.into_iter().chain([now + LONGEST_WAIT]).min() } else { deadline };
        let written = self.written_total();
        let moved = tokio::select! {
            biased;
            other = other => return Ok(Some(other)),
            moved = self.io(reading) => moved,
            () = sleep_until(wake) => {
                if gathers {
                    self.coalescing.give_up();
                }
                self.handle_timeout(reading, Instant::now())?;
                return Ok(None);
            }
        };
        if self.written_total() > written {
            self.session.handle_written(Instant::now(), self.output.unwritten() > 0);
        }
        match moved {
            Ok(IoStep::Wrote) => {}
            Ok(IoStep::Read(0)) => return Err(self.lost(None, before_connack)),
            Ok(IoStep::Read(count)) => {
                self.coalescing.on_read();
                self.read_total += count as u64;
                self.last_received = Some(Instant::now());
                let mut handler = Traced { handler, trace: &mut self.trace };
                if let Err(error) = self.session.handle_input(&self.input[..count], Instant::now(), &mut handler) {
                    if let Some(trace) = &mut self.trace {
                        trace.input_failed(&error);
                    }
                    self.send_last_disconnect().await;
                    return Err(self.failed(error));
                }
                if count == self.input.len() && count < READ_BUFFER {
                    self.input = vec![0; (count * 4).min(READ_BUFFER)];
                }
            }
            Err(error) => return Err(self.lost(Some(&error), before_connack)),
        }
        Ok(None)
    }

    /// Writes all that waits, then DISCONNECT, and closes as `close` asks.
    ///
    /// # Errors
    /// The connection is lost before, nothing was taken for `patience`, or the broker refuses what it got and `close`
    /// asks for that.
    pub(crate) async fn disconnect(
        &mut self,
        reason: ReasonCode,
        properties: Properties,
        patience: Duration,
        close: CloseMode,
    ) -> Result<(), ClientError> {
        let has_content = reason != ReasonCode::SUCCESS || !properties.is_empty();
        if self.session.disconnect(reason, properties).is_err() {
            // Properties that the broker has no room for are no reason to leave without DISCONNECT.
            let _ = self.session.disconnect(reason, Properties::new());
        }
        let may_lose = self.session.has_sent() || has_content || self.plan.session.will.is_some();
        self.take_output();
        while self.output.unwritten() > 0 {
            match tokio::time::timeout(patience, self.io(close.reads_refusal())).await {
                Ok(Ok(IoStep::Read(0))) => return Err(self.lost(None, false)),
                Ok(Ok(IoStep::Read(count))) => self.read_refusal(count)?,
                Ok(Ok(IoStep::Wrote)) => {}
                Ok(Err(error)) => return Err(self.lost(Some(&error), false)),
                Err(_) => return Err(self.not_taken(patience)),
            }
        }
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        // TLS and WebSocket may still hold what the socket did not take.
        let Ok(closed) = tokio::time::timeout(patience, connection.shutdown()).await else {
            return Err(self.not_taken(patience));
        };
        let wait = match close {
            CloseMode::AtOnce => return Ok(()),
            CloseMode::Draining(_) if !may_lose && nothing_has_come(&mut connection).await => return Ok(()),
            CloseMode::Draining(wait) | CloseMode::Confirmed(wait) | CloseMode::AwaitingRefusal(wait) => wait,
        };
        let ended = async {
            // A broker that has closed may have sent the reason just before.
            let mut ended = closed;
            loop {
                match connection.read(&mut self.input).await {
                    Ok(0) => return Ok(ended),
                    Ok(count) if close.reads_refusal() => self.read_refusal(count)?,
                    Ok(_) => {}
                    Err(error) => {
                        ended = ended.and(Err(error));
                        return Ok(ended);
                    }
                }
            }
        };
        match (tokio::time::timeout(wait, ended).await, close) {
            (Ok(Err(refusal)), _) => Err(refusal),
            (Ok(Ok(Err(error))), CloseMode::Confirmed(_)) => Err(self.lost(Some(&error), false)),
            _ => Ok(()),
        }
    }

    /// Looks for the broker's DISCONNECT in what was read behind ours.
    fn read_refusal(&mut self, count: usize) -> Result<(), ClientError> {
        let mut handler = Traced { handler: &mut NoHandler, trace: &mut self.trace };
        let read = self.session.handle_last_input(&self.input[..count], &mut handler);
        read.map_err(|error| self.failed(error))
    }

    /// Gives a connection up that the broker has not accepted yet, so that its will is not published.
    pub(crate) fn give_up(&mut self) {
        let is_written = self.unwritten() == 0;
        if let (Some(connection), false, true) = (&mut self.connection, self.session.is_open(), is_written) {
            drop(DisconnectGuard::new(connection));
        }
        self.drop_connection();
    }

    /// Closes without a DISCONNECT, so that the broker publishes the will.
    pub(crate) fn close_abruptly(&mut self) {
        self.drop_connection();
    }

    /// Writes our own line into the log of `-d`.
    pub(crate) fn note(&mut self, text: &str) {
        if let Some(trace) = &mut self.trace {
            trace.note(text);
        }
    }

    fn take_output(&mut self) {
        if self.session.output_len() == 0 {
            return;
        }
        let start = self.output.bytes.len();
        self.session.take_output(&mut self.output.bytes);
        if let Some(trace) = &mut self.trace {
            trace.sent(&self.output.bytes[start..]);
        }
    }

    fn handle_timeout(&mut self, reading: bool, now: Instant) -> Result<(), ClientError> {
        if !reading {
            self.session.handle_reading_paused(now);
        }
        if self.output.unwritten() > 0 {
            self.session.handle_write_pending();
        }
        self.session.handle_timeout(now).map_err(|error| self.failed(error))
    }

    async fn io(&mut self, reading: bool) -> io::Result<IoStep> {
        poll_fn(|cx| self.poll_io(cx, reading)).await
    }

    fn poll_io(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<io::Result<IoStep>> {
        let wrote = match self.poll_output(cx) {
            Ok(wrote) => wrote,
            // A broker that closes while we write has often sent the reason, or an acknowledgement, just before. It is
            // there to be read until it was read; then writing fails again, and that is the end.
            Err(error) if reading => {
                return match self.poll_input(cx) {
                    Poll::Ready(Ok(count @ 1..)) => Poll::Ready(Ok(IoStep::Read(count))),
                    // The runtime has not asked the system yet what has come: it does before the next poll.
                    Poll::Pending if !std::mem::replace(&mut self.output.failed, true) => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    // A TLS alert explains more than the reset behind it.
                    Poll::Ready(Err(alert)) if explain_tls_loss(&alert).is_some() => Poll::Ready(Err(alert)),
                    _ => Poll::Ready(Err(error)),
                };
            }
            Err(error) => return Poll::Ready(Err(error)),
        };
        if reading
            && self.output.unwritten() < MOST_UNWRITTEN_ANSWERS
            && let Poll::Ready(read) = self.poll_input(cx)
        {
            return Poll::Ready(read.map(IoStep::Read));
        }
        if wrote { Poll::Ready(Ok(IoStep::Wrote)) } else { Poll::Pending }
    }

    /// Writes what the connection takes now; whether it took anything.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let connection = self.connection.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        if self.output.unwritten() > MOST_UNSENT as usize && !std::mem::replace(&mut self.output.limited, true) {
            connection.limit_unsent(MOST_UNSENT);
        }
        let mut connection = Pin::new(connection);
        let mut wrote = false;
        while self.output.unwritten() > 0 {
            match connection.as_mut().poll_write(cx, &self.output.bytes[self.output.at..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.output.wrote(count);
                    wrote = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        // Cheap when there is nothing to do; TLS may hold bytes back that the socket did not take before.
        match connection.poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(wrote),
        }
    }

    /// Reads what has come; 0 at the end of the connection.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let mut buffer = ReadBuf::new(&mut self.input);
        Pin::new(connection).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    /// Sends the DISCONNECT for a broker that has broken the protocol; whether it arrives does not matter.
    async fn send_last_disconnect(&mut self) {
        self.take_output();
        if let (Some(connection), true) = (&mut self.connection, self.output.unwritten() > 0) {
            let sent = async {
                connection.write_all(&self.output.bytes[self.output.at..]).await?;
                connection.shutdown().await
            };
            let _ = tokio::time::timeout(LAST_DISCONNECT_TIMEOUT, sent).await;
        }
    }

    fn failed(&mut self, error: SessionError) -> ClientError {
        self.drop_connection();
        ClientError::Session { target: self.target.clone(), error }
    }

    fn not_taken(&self, waited: Duration) -> ClientError {
        ClientError::NotTaken { target: self.target.clone(), waited }
    }

    fn lost(&mut self, error: Option<&io::Error>, before_connack: bool) -> ClientError {
        self.drop_connection();
        ClientError::lost(self.target.clone(), error, before_connack)
    }

    fn drop_connection(&mut self) {
        self.connection = None;
        // What was written stays known to an owner who wants to know what was not.
        self.output = Output { before: self.written_total(), ..Output::default() };
        self.session.handle_disconnected();
    }
}

/// How often a connection was lost without a report.
fn more_times(count: u64) -> String {
    let times = if count == 1 { "time" } else { "times" };
    format!("{count} more {times} since the last report")
}

/// Whether a read would have to wait.
async fn nothing_has_come(connection: &mut Connection) -> bool {
    let mut byte = [0];
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *connection).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending())).await
}
