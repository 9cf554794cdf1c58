//! The explorer of a broker: a task on the client's loop.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::app::{Action, App, Link, Source};
use super::draw::Theme;
use super::input::inputs;
use super::keys::Input;
use super::plan::ExplorePlan;
use super::receiver::Receiver;
use super::reporter::ScreenReporter;
use super::save::Save;
use super::screen::Screen;
use super::stops::{StopSignal, Stops, can_stop, stop};
use crate::client::{AnswerTimer, Client, ClientError, Diagnostics, Driver, End, GiveUp, ReadModeration, Task, Which};
use crate::exit_status::{ExitStatus, Signal};
use crate::mqtt::{Message, QoS, ReasonCode};
use crate::session::{Handler, PublishError};
use crate::subscribe::selection::Selection;
use crate::subscribe::{EXIT_TIMEOUT, Requests, check_limits, leave, reason_with_will};
use crate::terminal::number::counted;

/// Messages of the user that may wait to be sent. More retained messages than that are removed one after the other.
const WINDOW: usize = 100;

/// What a run waits for besides the network and the clock.
pub(super) enum Ready {
    /// None when the terminal is gone.
    Input(Option<Input>),
    Stop(StopSignal),
}

/// Why a run ends early.
#[derive(Debug)]
pub(super) enum Ended {
    /// Ctrl-C on the keyboard.
    Interrupted,
    /// The user leaves while there is no connection.
    Quit,
    /// The terminal cannot be used, or not any more.
    Terminal(io::Error),
}

/// A run.
#[derive(Debug)]
struct Explorer<'a> {
    plan: &'a ExplorePlan,
    theme: Theme,
    reporter: ScreenReporter,
    receiver: Receiver,
    requests: Requests,
    screen: Option<Screen>,
    inputs: mpsc::Receiver<Input>,
    stops: Stops,
    save: Option<Save>,
    outgoing: VecDeque<Message>,
    wants_to_quit: bool,
    end: Option<Instant>,
    answer: AnswerTimer<(usize, u64, Option<Instant>)>,
    losses: u64,
    moderation: ReadModeration,
    pause: Option<Duration>,
    received_before: (u64, u64),
}

/// Explores, and returns how that ended.
///
/// # Errors
/// The system's, before it begins.
pub(super) async fn explore_broker(
    plan: &ExplorePlan,
    app: App,
    theme: Theme,
    diagnostics: Diagnostics,
) -> io::Result<ExitStatus> {
    let reporter = ScreenReporter::new(diagnostics);
    let mut driver = Driver::new(&plan.subscribe.client, reporter.clone())?;
    let mut explorer = Explorer {
        plan,
        theme,
        reporter,
        receiver: Receiver::new(app, Selection::new(plan.subscribe.selection.clone())),
        requests: Requests::default(),
        screen: None,
        // Replaced once there is a screen.
        inputs: mpsc::channel(1).1,
        stops: Stops::listen()?,
        save: None,
        outgoing: VecDeque::new(),
        wants_to_quit: false,
        end: plan.subscribe.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        answer: AnswerTimer::new(plan.subscribe.client.answer_timeout),
        losses: 0,
        moderation: ReadModeration::default(),
        pause: None,
        received_before: (0, 0),
    };
    let ended = driver.run(&mut explorer).await;
    // Before anything that may take long, as another signal ends the process at once.
    explorer.screen = None;
    explorer.reporter.set_screen(false);
    let status = explorer.finish(&mut driver.client, ended, diagnostics).await;
    Ok(driver.exit_status(status))
}

impl Explorer<'_> {
    async fn finish(
        &mut self,
        client: &mut Client<Message>,
        ended: Result<(), End<Ended>>,
        diagnostics: Diagnostics,
    ) -> ExitStatus {
        let run = &self.plan.subscribe.client;
        let (status, reason) = match ended {
            Ok(()) | Err(End::Tool(Ended::Quit)) => (ExitStatus::Done, ReasonCode::SUCCESS),
            Err(End::Interrupted(signal)) => (ExitStatus::Interrupted(signal), reason_with_will(run)),
            Err(End::Tool(Ended::Interrupted)) => (ExitStatus::Interrupted(Signal::Interrupt), reason_with_will(run)),
            Err(End::TimedOut) => {
                let waited = self.plan.subscribe.timeout.unwrap_or_default().as_secs_f64();
                let messages = counted(self.receiver.messages, "message", "messages");
                diagnostics.error(format_args!("timed out after {waited} s: received {messages}"));
                (ExitStatus::TimedOut, reason_with_will(run))
            }
            Err(End::Tool(Ended::Terminal(error))) => (
                diagnostics.failed(format_args!("the terminal cannot be used: {error}"), NO_TERMINAL),
                ReasonCode::SUCCESS,
            ),
            Err(End::Client(error)) => (diagnostics.client_error(&error), ReasonCode::SUCCESS),
        };
        leave(client, run, reason, EXIT_TIMEOUT).await;
        status
    }

    fn app(&mut self) -> &mut App {
        &mut self.receiver.app
    }

    /// Does what a key asks for.
    fn act(&mut self, action: Action) -> Result<(), End<Ended>> {
        match action {
            // A recording is not sought in here.
            Action::Nothing | Action::Seek(_) => {}
            Action::Quit => self.wants_to_quit = true,
            Action::Interrupt => return Err(End::Tool(Ended::Interrupted)),
            Action::Suspend => self.stop()?,
            Action::Publish(message) => self.outgoing.push_back(message),
            Action::Remove(topics) => {
                let empty = |topic| Message { topic, qos: QoS::AtLeastOnce, retain: true, ..Message::default() };
                self.outgoing.extend(topics.into_iter().map(empty));
            }
            Action::Save(file) => match Save::begin(&file) {
                Ok(save) => self.save = Some(save),
                Err(fault) => self.app().note(fault, true),
            },
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), End<Ended>> {
        if !can_stop() {
            self.app().note("there is no shell to go back to", true);
            return Ok(());
        }
        if let Some(screen) = &mut self.screen {
            screen.leave();
            stop();
            screen.enter().map_err(|error| End::Tool(Ended::Terminal(error)))?;
        } else {
            stop();
        }
        Ok(())
    }

    /// Sends what the user publishes.
    fn publish(&mut self, client: &mut Client<Message>) {
        while client.is_open() && client.session().window_free() > 0 && client.session().in_flight() < WINDOW {
            let Some(message) = self.outgoing.pop_front() else { break };
            let is_settled = message.qos == QoS::AtMostOnce;
            match client.session().publish(message) {
                Ok(_) if is_settled => self.receiver.published.messages += 1,
                Ok(_) => {}
                Err((PublishError::QosNotSupported(qos), message)) => {
                    self.outgoing.push_front(Message { qos, ..message });
                }
                Err((error, message)) => {
                    let text = format!("cannot publish to {}: {error}", message.topic);
                    self.app().note(text, true);
                }
            }
        }
        self.report_published(client);
    }

    fn report_published(&mut self, client: &mut Client<Message>) {
        if !self.outgoing.is_empty() || client.session().in_flight() > 0 {
            return;
        }
        let published = std::mem::take(&mut self.receiver.published);
        if let Some((reason, refused)) = published.refused {
            let refused = counted(refused, "message", "messages");
            self.app().note(format!("the broker did not take {refused}: {reason}"), true);
        } else if published.removals > 0 {
            let removed = counted(published.removals, "retained message", "retained messages");
            self.app().note(format!("removed {removed}"), false);
        } else if published.messages > 0 {
            let messages = counted(published.messages, "message", "messages");
            self.app().note(format!("published {messages}"), false);
        }
    }

    fn save(&mut self) {
        let Some(mut save) = self.save.take() else { return };
        match save.advance(&self.receiver.app) {
            Ok(None) => self.save = Some(save),
            Ok(Some(text)) => self.app().note(text, false),
            Err(fault) => self.app().note(fault, true),
        }
    }

    /// Gives the broker its time for the next answer.
    fn watch_answers(&mut self, client: &mut Client<Message>, now: Instant) -> Result<(), ClientError> {
        let unanswered = self.requests.unanswered();
        if unanswered == 0 {
            self.answer.stop();
            return Ok(());
        }
        let inside_packet = client.last_received().filter(|_| client.session().is_inside_packet());
        self.answer.watch((unanswered, self.receiver.messages, inside_packet), now, client.output_position());
        if !self.answer.is_over(now) {
            return Ok(());
        }
        let (target, waited) = (client.target().to_owned(), self.plan.subscribe.client.answer_timeout);
        Err(ClientError::Unanswered { target, packet: "SUBSCRIBE", waited })
    }

    fn set_link(&mut self, link: Link) {
        let wall = self.app().wall;
        if let Source::Broker { link: shown, losses, .. } = &mut self.app().source {
            match (&link, &*shown) {
                // Several attempts are one loss.
                (Link::Reconnecting(_), Link::Reconnecting(_)) => return,
                (Link::Reconnecting(_), _) => *losses += 1,
                _ => {}
            }
            *shown = if matches!(link, Link::Reconnecting(_)) { Link::Reconnecting(wall) } else { link };
        }
    }
}

/// What to do without a terminal.
pub(super) const NO_TERMINAL: Option<&str> = Some("use --json to print the messages instead, one JSON object per line");

impl Task for Explorer<'_> {
    type Kept = Message;
    type Ready = Ready;
    type Failure = Ended;

    fn advance(&mut self, client: &mut Client<Message>) -> Result<bool, End<Ended>> {
        self.receiver.set_time();
        if let Some((text, is_bad)) = self.reporter.take() {
            self.app().note(text, is_bad);
        }
        self.save();
        self.publish(client);
        if let Some(screen) = &mut self.screen {
            if screen.has_failed() {
                let gone = io::Error::other("it takes no output");
                return Err(End::Tool(Ended::Terminal(gone)));
            }
            screen.draw(&mut self.receiver.app).map_err(|error| End::Tool(Ended::Terminal(error)))?;
        }
        Ok(self.wants_to_quit)
    }

    fn before_wait(&mut self, client: &mut Client<Message>, now: Instant) -> Result<Option<Instant>, End<Ended>> {
        if self.end.is_some_and(|end| end <= now) {
            return Err(End::TimedOut);
        }
        // The loop ends a run that is done once there is a connection; this one is not waited for.
        if self.wants_to_quit && !client.is_open() {
            return Err(End::Tool(Ended::Quit));
        }
        let drawing = self.screen.as_ref().map(|screen| screen.due(&self.receiver.app));
        let saving = self.save.is_some().then_some(now);
        let mut answer = None;
        if client.is_open() {
            self.watch_answers(client, now)?;
            answer = self.answer.deadline();
        }
        if let Some(pause) = self.pause.take().filter(|_| client.unwritten() == 0) {
            // A dense stream accumulates for less than a millisecond.
            std::thread::sleep(pause);
        }
        self.receiver.set_time();
        self.received_before = (client.read_total(), self.receiver.messages);
        Ok([self.end, drawing, saving, answer].into_iter().flatten().min())
    }

    fn split(&mut self) -> (&mut impl Handler<Message>, impl Future<Output = Ready>) {
        let Self { receiver, inputs, stops, screen, .. } = self;
        let has_screen = screen.is_some();
        let ready = async move {
            tokio::select! {
                biased;
                stop = stops.next() => Ready::Stop(stop),
                input = inputs.recv(), if has_screen => Ready::Input(input),
            }
        };
        (receiver, ready)
    }

    fn on_ready(&mut self, ready: Ready) -> Result<(), End<Ended>> {
        match ready {
            Ready::Input(None) => return Err(End::Tool(Ended::Terminal(io::ErrorKind::UnexpectedEof.into()))),
            Ready::Input(Some(input)) => {
                let action = self.app().take(input);
                if let Some(screen) = &mut self.screen {
                    screen.on_input();
                }
                self.act(action)?;
            }
            Ready::Stop(StopSignal::Stop) => self.stop()?,
            Ready::Stop(StopSignal::Continue) => {
                if let Some(screen) = &mut self.screen {
                    screen.enter().map_err(|error| End::Tool(Ended::Terminal(error)))?;
                }
            }
        }
        Ok(())
    }

    fn on_input(&mut self, client: &mut Client<Message>) -> Result<(), End<Ended>> {
        let (bytes, messages) = self.received_before;
        let bytes = client.read_total() - bytes;
        if self.plan.subscribe.moderates && bytes > 0 {
            let messages = self.receiver.messages - messages;
            self.pause = self.moderation.after_read(bytes as usize, messages, Instant::now());
        }
        for suback in std::mem::take(&mut self.receiver.subacks) {
            if self.requests.on_suback(suback, &self.plan.subscribe, client)? {
                let warnings = self.requests.check_grants(&self.plan.subscribe, client)?;
                if !warnings.is_empty() {
                    self.app().note(warnings.join("; "), true);
                }
            }
        }
        for _ in std::mem::take(&mut self.receiver.unsubacks) {
            self.requests.on_unsuback();
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.requests.unanswered() == 0
    }

    fn on_connected(&mut self, client: &mut Client<Message>, _: Which) -> Result<(), End<Ended>> {
        check_limits(&self.plan.subscribe, client)?;
        self.requests.send(&self.plan.subscribe, client).map_err(ClientError::from)?;
        self.answer.stop();
        self.set_link(Link::Connected);
        if self.screen.is_none() {
            // Not before: what keeps a connection from being made is printed as by every tool.
            let failed = |error| End::Tool(Ended::Terminal(error));
            self.screen = Some(Screen::open(self.theme).map_err(failed)?);
            self.inputs = inputs().map_err(failed)?;
            self.reporter.set_screen(true);
        }
        Ok(())
    }

    fn on_loss(&mut self, _: &mut Client<Message>, _: &ClientError) -> Result<u64, GiveUp<Ended>> {
        self.set_link(Link::Reconnecting(0));
        // What the user sees is worth waiting for, once there is something.
        let is_subscribing = self.requests.unanswered() > 0;
        self.losses = if is_subscribing { self.losses + 1 } else { 0 };
        let retry = self.plan.subscribe.client.connect.retry;
        let allowed =
            if self.requests.has_reported_grants() { retry.at_the_same_packet() } else { retry.for_first_connection() };
        if self.losses > allowed {
            return Err(GiveUp::Loss);
        }
        Ok(self.losses)
    }
}
