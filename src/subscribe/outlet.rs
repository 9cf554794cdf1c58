//! A connection whose messages go to stdout: what mqsub and mqrr do alike. What was written is acknowledged, and what has
//! come still goes out while the connection is made again.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::stdout::{Batch, Stdout};
use crate::client::mosquitto::MosquittoClient;
use crate::client::{Client, ClientError, Interrupts, Parting, ReadModeration};
use crate::exit_status::{ExitStatus, Signal};
use crate::mqtt::wire::PacketType;
use crate::mqtt::{Message, Properties, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, SessionConfig, SessionError};

/// While so much waits for stdout nothing is read from the broker.
const MOST_UNWRITTEN: usize = 256 * 1024;
/// How long a run that is at its end may take to write what it has, and to leave.
pub(crate) const PARTING: Duration = Duration::from_millis(500);

/// How long a run that has all its messages waits for the end of their acknowledgement at QoS 2.
const SETTLING: Duration = Duration::from_secs(2);

/// Why a run ends before everything has come.
pub(crate) enum End<Own = Infallible> {
    Interrupted(Signal),
    TimedOut,
    /// Nobody reads stdout any more.
    Unread,
    Stdout(io::Error),
    Client(ClientError),
    /// What only this tool knows.
    Own(Own),
}

impl<Own> From<ClientError> for End<Own> {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl<Own> From<io::Error> for End<Own> {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Unread } else { Self::Stdout(error) }
    }
}

/// Ears that print what they hear.
pub(crate) trait Printing: Handler<Message> {
    /// What waits to be written.
    fn batch(&mut self) -> &mut Batch;

    /// What follows is received now, at one time.
    fn begin_read(&mut self) {}

    /// Messages that came so far, where reading may be moderated.
    fn messages(&self) -> Option<u64> {
        None
    }

    /// When there is something to print though nothing has come.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Prints what is due, if anything is.
    fn print_due(&mut self, _now: Instant) {}
}

/// Ears that a connection attempt and its owner share; neither holds them while the other is at work.
struct Shared<'a, 'b, P>(&'a RefCell<&'b mut P>);

impl<P: Printing> Handler<Message> for Shared<'_, '_, P> {
    fn message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        self.0.borrow_mut().message(delivery)
    }

    fn completed(&mut self, completion: Completion<'_, Message>) {
        self.0.borrow_mut().completed(completion);
    }

    fn received(&mut self, kept: &Message) {
        self.0.borrow_mut().received(kept);
    }

    fn event(&mut self, event: Event) {
        self.0.borrow_mut().event(event);
    }
}

/// What still comes at the end of a run is nobody's: it is not acknowledged.
struct NoHandler;

impl Handler<Message> for NoHandler {
    fn message(&mut self, _: &Delivery<'_>) -> Acknowledge {
        Acknowledge::Later
    }

    fn completed(&mut self, _: Completion<'_, Message>) {}

    fn event(&mut self, _: Event) {}
}

/// A client, and where its messages go.
pub(crate) struct Outlet {
    pub(crate) client: Client<Message>,
    stdout: Stdout,
    interrupts: Interrupts,
    moderation: ReadModeration,
    /// How long the next read may wait.
    pause: Option<Duration>,
}

/// What ends a step besides bytes.
enum Other<T> {
    Interrupted(Signal),
    Written(Option<io::Result<Batch>>),
    Own(T),
    Woken,
}

impl Outlet {
    /// To be called within the runtime. `mosquitto` says whose signals it handles, where mosquitto's name was used.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(client: Client<Message>, mosquitto: Option<MosquittoClient>) -> io::Result<Self> {
        let (stdout, interrupts) = (Stdout::open()?, Interrupts::listen_as(mosquitto)?);
        Ok(Self { client, stdout, interrupts, moderation: ReadModeration::default(), pause: None })
    }

    /// How a run ends that would end with `status`: by the signal that has come meanwhile, if one has.
    pub(crate) fn end(&self, status: ExitStatus) -> ExitStatus {
        self.interrupts.end(status)
    }

    /// Connects, waiting no longer than until `end`; with `losses` again, after so many in a row that came to nothing.
    /// Meanwhile what had come still goes out, and what is due.
    pub(crate) async fn connect<P: Printing, Own>(
        &mut self,
        ears: &mut P,
        losses: Option<u64>,
        end: Option<Instant>,
    ) -> Result<(), End<Own>> {
        let Self { client, interrupts, stdout, .. } = self;
        let shared = RefCell::new(&mut *ears);
        let mut hearing = Shared(&shared);
        let mut written = Vec::new();
        {
            let connecting = async {
                match losses {
                    None => client.connect(&mut hearing).await,
                    Some(losses) => client.reconnect(&mut hearing, losses).await,
                }
            };
            let mut connecting = pin!(connecting);
            loop {
                shared.borrow_mut().begin_read();
                if !stdout.is_busy() && !shared.borrow_mut().batch().is_empty() {
                    let batch = std::mem::take(shared.borrow_mut().batch());
                    written.extend(stdout.write(batch)?);
                }
                let due = shared.borrow().due();
                tokio::select! {
                    biased;
                    signal = interrupts.next() => return Err(End::Interrupted(signal)),
                    batch = stdout.written_or_closed() => written.push(batch.ok_or(End::Unread)??),
                    connected = &mut connecting => {
                        connected?;
                        break;
                    }
                    () = until(end) => return Err(End::TimedOut),
                    () = until(due) => shared.borrow_mut().print_due(Instant::now()),
                }
            }
        }
        written.into_iter().for_each(|written| self.acknowledge(ears, written));
        Ok(())
    }

    /// Writes and reads until something moved, `next` has come, or `own` is ready, which is given back then. What is due
    /// is printed.
    pub(crate) async fn step<P: Printing, F: Future, Own>(
        &mut self,
        ears: &mut P,
        reading: bool,
        next: Option<Instant>,
        own: F,
    ) -> Result<Option<F::Output>, End<Own>> {
        ears.begin_read();
        let reading = reading && ears.batch().bytes.len() < MOST_UNWRITTEN;
        let wake = next.into_iter().chain(ears.due()).min();
        self.pause_reading(ears, reading);
        let before = (self.client.read_total(), ears.messages());
        let Self { client, interrupts, stdout, .. } = self;
        let other = async {
            tokio::select! {
                biased;
                signal = interrupts.next() => Other::Interrupted(signal),
                written = stdout.written_or_closed() => Other::Written(written),
                own = own => Other::Own(own),
                () = until(wake) => {
                    // A moment that has passed lets the socket have its turn first: what is waited for may lie there.
                    tokio::task::yield_now().await;
                    Other::Woken
                }
            }
        };
        match client.step(ears, reading, other).await? {
            None => self.moderate(ears, before),
            Some(Other::Woken) => {}
            Some(Other::Interrupted(signal)) => return Err(End::Interrupted(signal)),
            Some(Other::Written(written)) => {
                let written = written.ok_or(End::Unread)??;
                self.acknowledge(ears, written);
            }
            Some(Other::Own(own)) => return Ok(Some(own)),
        }
        if ears.due().is_some() {
            let now = Instant::now();
            // What the owner waits for may be the end, and goes first.
            if next.is_none_or(|next| next > now) {
                ears.print_due(now);
            }
        }
        Ok(None)
    }

    /// Decides after a read how long the next one may wait.
    fn moderate(&mut self, ears: &mut impl Printing, (bytes, messages): (u64, Option<u64>)) {
        let bytes = self.client.read_total() - bytes;
        let Some(messages) = ears.messages().zip(messages).map(|(now, before)| now - before) else { return };
        if !ears.batch().receipts.is_empty() {
            // The broker waits for acknowledgements.
            self.moderation.reset();
        } else if bytes > 0 {
            self.pause = self.moderation.after_read(bytes as usize, messages, Instant::now());
        }
    }

    /// Lets a dense stream gather for less than a millisecond. Everything else waits too, which nobody notices: the
    /// timers of the runtime are coarser than that.
    fn pause_reading(&mut self, ears: &mut impl Printing, reading: bool) {
        let Some(pause) = self.pause.take() else { return };
        if reading && self.client.unwritten() == 0 && ears.batch().receipts.is_empty() {
            std::thread::sleep(pause);
        }
    }

    /// Hands what waits over to stdout, unless it is still busy with what went before.
    pub(crate) fn carry<P: Printing, Own>(&mut self, ears: &mut P) -> Result<(), End<Own>> {
        if !self.stdout.is_busy() && !ears.batch().is_empty() {
            let batch = std::mem::take(ears.batch());
            if let Some(written) = self.stdout.write(batch)? {
                self.acknowledge(ears, written);
            }
        }
        Ok(())
    }

    /// Whether stdout has taken all that it was given.
    pub(crate) fn is_written(&self) -> bool {
        !self.stdout.is_busy()
    }

    /// Acknowledges what was written, and keeps the buffer for what comes next.
    fn acknowledge(&mut self, ears: &mut impl Printing, mut written: Batch) {
        for receipt in written.receipts.drain(..) {
            self.client.session().acknowledge(receipt);
        }
        let next = ears.batch();
        if next.bytes.is_empty() && written.bytes.capacity() <= MOST_UNWRITTEN {
            written.bytes.clear();
            next.bytes = written.bytes;
        }
    }

    /// Writes everything that waits for stdout and acknowledges it, within [`PARTING`]. It is for the end of a run, so a
    /// reader that is slow or gone keeps nobody up.
    pub(crate) async fn write_out(&mut self, ears: &mut impl Printing) {
        let writing = async {
            while self.stdout.is_busy() || !ears.batch().is_empty() {
                if self.stdout.is_busy() {
                    let written = self.stdout.written().await?;
                    self.acknowledge(ears, written);
                }
                self.carry::<_, Infallible>(ears)?;
            }
            Ok::<_, End>(())
        };
        let _ = tokio::time::timeout(PARTING, writing).await;
    }

    /// Reads on until the broker has released what was acknowledged at QoS 2 and PUBCOMP can answer, for so long at most. A
    /// broker that is left before may deliver the same messages again.
    async fn settle(&mut self, limit: Duration) {
        let settling = async {
            while self.client.is_open() && self.client.session().unreleased() > 0 {
                self.client.step(&mut NoHandler, true, pending::<Infallible>()).await?;
            }
            Ok::<_, ClientError>(())
        };
        let _ = tokio::time::timeout(limit, settling).await;
    }

    /// Leaves the broker, where there is one.
    ///
    /// # Errors
    /// Not all was taken within `patience`.
    pub(crate) async fn part(
        &mut self,
        reason: ReasonCode,
        properties: &Properties,
        patience: Duration,
    ) -> Result<(), ClientError> {
        self.settle(patience.min(SETTLING)).await;
        if !self.client.is_open() {
            self.client.give_up();
            return Ok(());
        }
        self.client.disconnect(reason, properties.clone(), patience, Parting::Draining(PARTING)).await
    }

    /// The error of a SUBACK that does not say something of each filter.
    pub(crate) fn miscounted(&self) -> ClientError {
        let what = "has another number of Reason Codes than the SUBSCRIBE has filters (MQTT-3.9.3-1)";
        let (packet, reason) = (PacketType::Suback, ReasonCode::PROTOCOL_ERROR);
        let error = SessionError::Unexpected { packet, what, reason };
        ClientError::Session { target: self.client.target().to_owned(), error }
    }
}

/// How a run leaves that could have gone on: so that its will is published. mosquitto's clients do so without one too.
pub(crate) fn reason_with_will(session: &SessionConfig, compat: bool) -> ReasonCode {
    let with_will = (session.will.is_some() || compat) && session.version.is_v5();
    if with_will { ReasonCode::DISCONNECT_WITH_WILL } else { ReasonCode::SUCCESS }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
