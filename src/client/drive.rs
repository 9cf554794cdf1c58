//! The loop under mqpub, mqsub and mqrr: connects, moves bytes, waits, and connects again after a loss.
//!
//! The loop owns the connection, the signals and the attempts to connect. What there is to send, when the run is over
//! and which losses are hopeless is decided by the tool, a [`Task`].

use std::future::Future;
use std::time::{Duration, Instant};
use std::{fmt, io};

use super::connected::Opening;
use super::{Client, ClientError, ClientPlan, CloseMode, Interrupts, Policy, Reporter, RetryPlan};
use crate::exit_status::{ExitStatus, Signal};
use crate::mqtt::{Properties, ReasonCode};
use crate::session::{Handler, Kept, SessionError};
use crate::transport::sleep_until;

/// Why a run ends before its work is done. `F` is what only the tool knows.
pub(crate) enum End<F> {
    Interrupted(Signal),
    TimedOut,
    Client(ClientError),
    Tool(F),
}

impl<F> From<ClientError> for End<F> {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Why a lost connection is not made again.
pub(crate) enum GiveUp<F> {
    /// For the loss itself.
    Loss,
    /// The same, with what the user may do about it.
    Hint(String),
    /// For something that only the tool knows.
    Tool(F),
}

/// The work of a tool. The loop calls, over and over: [`Task::advance`], [`Task::before_wait`], [`Task::split`] for a
/// step that waits, then [`Task::on_ready`] and [`Task::on_input`] for what the step brought.
pub(crate) trait Task {
    /// What the session keeps for a message in flight.
    type Kept: Kept;
    /// What the tool waits for besides the network and the clock.
    type Ready;
    /// Why the tool ends a run early.
    type Failure;

    /// Does everything that needs no waiting. True when the work is done; the run then ends, once there is a
    /// connection.
    fn advance(&mut self, client: &mut Client<Self::Kept>) -> Result<bool, End<Self::Failure>>;

    /// Prepares for a wait: returns when to call [`Task::advance`] even if nothing happens. Fails when the time for
    /// something is over.
    fn before_wait(
        &mut self,
        client: &mut Client<Self::Kept>,
        now: Instant,
    ) -> Result<Option<Instant>, End<Self::Failure>>;

    /// Whether the tool has room for what the broker sends.
    fn is_reading(&self) -> bool {
        true
    }

    /// What takes the packets of the next step, and what else ends it. The future is dropped when something else ends
    /// the step, so nothing may be lost by that.
    fn split(&mut self) -> (&mut impl Handler<Self::Kept>, impl Future<Output = Self::Ready>);

    /// What [`Task::split`] waited for.
    fn on_ready(&mut self, ready: Self::Ready) -> Result<(), End<Self::Failure>>;

    /// Looks at what the handler was given. Called after each step, also after one that ended with a loss.
    fn on_input(&mut self, _client: &mut Client<Self::Kept>) -> Result<(), End<Self::Failure>> {
        Ok(())
    }

    /// Whether the broker has answered everything that a run begins with. [`RetryPlan::wait`] holds until then.
    fn has_begun(&self) -> bool {
        true
    }

    /// The broker has accepted a connection.
    fn on_connected(&mut self, client: &mut Client<Self::Kept>, connection: Which) -> Result<(), End<Self::Failure>>;

    /// The connection was lost in a way that may pass. Returns how many losses in a row came to nothing, for the time
    /// before the next attempt.
    fn on_loss(&mut self, client: &mut Client<Self::Kept>, error: &ClientError) -> Result<u64, GiveUp<Self::Failure>>;

    /// The loss is `reported`, unless the last report is recent, and a new connection is to be made.
    fn on_reconnecting(&mut self, _client: &mut Client<Self::Kept>, _reported: bool) {}
}

/// Which connection of a run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    Later,
}

/// What ends a step besides bytes.
enum Wake<R> {
    Interrupted(Signal),
    Ready(R),
    Deadline,
}

/// The attempts to make one connection.
struct Attempts {
    which: Which,
    /// The transport of the present attempt, until it stands.
    opening: Option<Opening>,
    /// Attempts that may still follow.
    left: u64,
    /// Attempts and losses before the present one that came to nothing.
    failures: u64,
    has_failed: bool,
}

/// `--wait`: the time until the run has begun.
struct Wait {
    length: Duration,
    end: Instant,
    failed: u64,
    last: Option<ClientError>,
}

/// A client with its signals and its attempts to connect.
pub(crate) struct Driver<K> {
    pub(crate) client: Client<K>,
    interrupts: Interrupts,
    attempts: Option<Attempts>,
    wait: Option<Wait>,
    retry: RetryPlan,
    policy: Policy,
}

impl<K> fmt::Debug for Driver<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl<K: Kept> Driver<K> {
    /// A client that is not connected yet. To be called within the runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(plan: &ClientPlan, reporter: impl Reporter + 'static) -> io::Result<Self> {
        Ok(Self {
            client: Client::new(plan.connect.clone(), plan.trace()).with_reporter(reporter),
            interrupts: Interrupts::for_client(plan.policy.mosquitto)?,
            attempts: None,
            wait: None,
            retry: plan.connect.retry,
            policy: plan.policy,
        })
    }

    /// Runs until the task is done, from the first connection on. The connection stays open.
    pub(crate) async fn run<T: Task<Kept = K>>(&mut self, task: &mut T) -> Result<(), End<T::Failure>> {
        let ended = self.run_to_end(task).await;
        self.client.report_unreported_losses();
        ended
    }

    async fn run_to_end<T: Task<Kept = K>>(&mut self, task: &mut T) -> Result<(), End<T::Failure>> {
        self.attempts = Some(Attempts {
            which: Which::First,
            opening: Some(self.client.opening(Duration::ZERO)?),
            left: self.retry.for_first_connection(),
            failures: 0,
            has_failed: false,
        });
        let end = |length| Instant::now().checked_add(length);
        self.wait = self.retry.wait.and_then(|length| Some(Wait { length, end: end(length)?, failed: 0, last: None }));
        loop {
            if self.wait.is_some() {
                self.check_wait(task)?;
            }
            if task.advance(&mut self.client)? && self.client.is_open() {
                return Ok(());
            }
            let deadline = task.before_wait(&mut self.client, Instant::now())?;
            let deadline = deadline.into_iter().chain(self.wait.as_ref().map(|wait| wait.end)).min();
            let step = self.step(task, deadline).await;
            task.on_input(&mut self.client)?;
            match step {
                Ok(None | Some(Wake::Deadline)) => self.finish_attempts(task)?,
                Ok(Some(Wake::Ready(ready))) => task.on_ready(ready)?,
                Ok(Some(Wake::Interrupted(signal))) => return Err(End::Interrupted(signal)),
                Err(error) if self.attempts.is_some() => self.try_again(error)?,
                Err(error) => self.recover(task, error)?,
            }
        }
    }

    /// Ends `--wait` when the run has begun, and the run when its time is over.
    fn check_wait<T: Task<Kept = K>>(&mut self, task: &T) -> Result<(), ClientError> {
        if self.attempts.is_none() && self.client.is_open() && task.has_begun() {
            self.wait = None;
        }
        let Some(Wait { length, failed, last, .. }) = self.wait.take_if(|wait| wait.end <= Instant::now()) else {
            return Ok(());
        };
        let packet = if self.client.is_open() { "SUBSCRIBE" } else { "CONNECT" };
        let (target, last) = (self.client.target().to_owned(), last.map(Box::new));
        Err(ClientError::GaveUp { target, waited: length, failed, last, packet })
    }

    /// Moves bytes, or the attempt to connect, until something has happened.
    async fn step<T: Task<Kept = K>>(
        &mut self,
        task: &mut T,
        deadline: Option<Instant>,
    ) -> Result<Option<Wake<T::Ready>>, ClientError> {
        let Self { client, interrupts, attempts, .. } = self;
        let is_reading = attempts.is_some() || task.is_reading();
        let (handler, ready) = task.split();
        let wake = async {
            tokio::select! {
                biased;
                signal = interrupts.next() => Wake::Interrupted(signal),
                ready = ready => Wake::Ready(ready),
                () = sleep_until(deadline) => {
                    // When the moment has passed already, the socket has its turn first: what is awaited may be there.
                    tokio::task::yield_now().await;
                    Wake::Deadline
                }
            }
        };
        let Some(opening) = attempts.as_mut().and_then(|attempts| attempts.opening.as_mut()) else {
            return client.step(handler, is_reading, wake).await;
        };
        let opened = tokio::select! {
            biased;
            wake = wake => return Ok(Some(wake)),
            opened = opening => opened,
        };
        if let Some(attempts) = attempts {
            attempts.opening = None;
        }
        client.start(opened?)?;
        Ok(None)
    }

    /// Ends the attempts once the broker has accepted the connection.
    fn finish_attempts<T: Task<Kept = K>>(&mut self, task: &mut T) -> Result<(), End<T::Failure>> {
        match self.attempts.take_if(|_| self.client.is_open()) {
            None => Ok(()),
            Some(attempts) => {
                self.client.report_connected();
                task.on_connected(&mut self.client, attempts.which)
            }
        }
    }

    /// An attempt has failed: begins the next one, where there is any.
    fn try_again(&mut self, error: ClientError) -> Result<(), ClientError> {
        let Some(attempts) = &mut self.attempts else { return Err(error) };
        let is_first = attempts.which == Which::First && !attempts.has_failed;
        if is_first && self.policy.retries_close_before_connack && matches!(error, ClientError::Lost { .. }) {
            attempts.left = self.retry.after_a_loss();
        }
        if attempts.left == 0 || !error.may_pass() {
            return Err(error);
        }
        self.client.report_failed_attempt(&error, is_first);
        self.note_failure(error);
        let Some(attempts) = &mut self.attempts else { return Ok(()) };
        attempts.opening = Some(self.client.opening(self.retry.delay(attempts.failures))?);
        attempts.has_failed = true;
        attempts.failures = attempts.failures.saturating_add(1);
        attempts.left = attempts.left.saturating_sub(1);
        Ok(())
    }

    /// For the error of `--wait`.
    fn note_failure(&mut self, error: ClientError) {
        if let Some(wait) = &mut self.wait {
            wait.failed += 1;
            wait.last = Some(error);
        }
    }

    /// The connection is lost: begins to make a new one, unless that is hopeless.
    fn recover<T: Task<Kept = K>>(&mut self, task: &mut T, error: ClientError) -> Result<(), End<T::Failure>> {
        let allowed = self.retry.after_a_loss();
        let is_wanted = self.policy.reconnects && (self.policy.reconnects_after_disconnect || !is_disconnect(&error));
        if allowed == 0 || !is_wanted || !error.may_pass() {
            return Err(error.into());
        }
        let losses = match task.on_loss(&mut self.client, &error) {
            Ok(losses) => losses,
            Err(GiveUp::Loss) => return Err(error.into()),
            Err(GiveUp::Hint(hint)) => return Err(error.hinting(&hint).into()),
            Err(GiveUp::Tool(failure)) => return Err(End::Tool(failure)),
        };
        let reported = self.client.report_loss(&error);
        self.note_failure(error);
        task.on_reconnecting(&mut self.client, reported);
        let failures = losses.saturating_sub(1);
        self.attempts = Some(Attempts {
            which: Which::Later,
            opening: Some(self.client.opening(self.retry.delay(failures))?),
            left: allowed.saturating_sub(1),
            failures: failures.saturating_add(1),
            has_failed: false,
        });
        Ok(())
    }

    /// Writes all that waits, then DISCONNECT, and closes as `close` asks. A signal ends the waiting.
    pub(crate) async fn disconnect<F>(
        &mut self,
        properties: Properties,
        patience: Duration,
        close: CloseMode,
    ) -> Result<(), End<F>> {
        let Self { client, interrupts, .. } = self;
        tokio::select! {
            biased;
            signal = interrupts.next() => Err(End::Interrupted(signal)),
            left = client.disconnect(ReasonCode::SUCCESS, properties, patience, close) => Ok(left?),
        }
    }

    /// From now on a signal ends this process at once.
    pub(crate) fn let_next_signal_end(&self) {
        self.interrupts.state().let_next_end();
    }

    /// How a run ends that would end with `status`: by a signal that has come in the meantime, if there is one.
    pub(crate) fn exit_status(&self, status: ExitStatus) -> ExitStatus {
        if self.policy.interrupts_succeed { status } else { self.interrupts.exit_status(status) }
    }
}

/// Whether the broker ended the connection with DISCONNECT.
const fn is_disconnect(error: &ClientError) -> bool {
    use SessionError::{Disconnected, UnexpectedDisconnect};
    matches!(error, ClientError::Session { error: Disconnected { .. } | UnexpectedDisconnect, .. })
}
