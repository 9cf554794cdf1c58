//! The explorer of a recording: no broker, and a clock that the user moves.

use std::io;
use std::time::{Duration, Instant};

use chrono::Local;

use super::app::{Action, App, Source};
use super::draw::Theme;
use super::input::inputs;
use super::live::NO_TERMINAL;
use super::player::Player;
use super::save::Save;
use super::screen::Screen;
use super::stops::{StopSignal, Stops, can_stop, stop};
use crate::client::{Diagnostics, Interrupts};
use crate::exit_status::{ExitStatus, Signal};

/// The file is read for this long before keys are looked at again.
const PART: Duration = Duration::from_millis(15);
/// A playing recording goes on in steps of this length.
const STEP: Duration = Duration::from_millis(50);
/// Lines that are read before the clock is looked at.
const LINES: u32 = 64;

/// Explores a recording, and returns how that ended.
///
/// # Errors
/// The system's, before it begins.
pub(super) async fn explore_recording(
    app: App,
    player: Player,
    end: Option<Instant>,
    theme: Theme,
    diagnostics: Diagnostics,
) -> io::Result<ExitStatus> {
    let mut interrupts = Interrupts::listen()?;
    let mut stops = Stops::listen()?;
    let mut replay = Replay { app, player, save: None, last: Instant::now(), has_noted: String::new() };
    let ended = replay.run(end, theme, &mut interrupts, &mut stops).await;
    let status = match ended {
        Ok(status) => status,
        Err(error) => diagnostics.failed(format_args!("the terminal cannot be used: {error}"), NO_TERMINAL),
    };
    if status == ExitStatus::TimedOut {
        diagnostics.error("timed out");
    }
    let status = replay.report_faults(status, &diagnostics);
    Ok(interrupts.exit_status(status))
}

struct Replay {
    app: App,
    player: Player,
    save: Option<Save>,
    /// When the recording last went on.
    last: Instant,
    /// What was reported of the file already.
    has_noted: String,
}

impl Replay {
    async fn run(
        &mut self,
        end: Option<Instant>,
        theme: Theme,
        interrupts: &mut Interrupts,
        stops: &mut Stops,
    ) -> io::Result<ExitStatus> {
        let mut screen = Screen::open(theme)?;
        let mut keys = inputs()?;
        loop {
            self.advance();
            if screen.has_failed() {
                return Err(io::Error::other("it takes no output"));
            }
            screen.draw(&mut self.app)?;
            let busy = self.player.is_reading() || self.save.is_some();
            let step = self.player.view.is_playing.then(|| self.last + STEP);
            let wake = if busy { Instant::now() } else { screen.due(&self.app) };
            let wake = [Some(wake), step, end].into_iter().flatten().min().unwrap_or(wake);
            let input = tokio::select! {
                biased;
                signal = interrupts.next() => return Ok(ExitStatus::Interrupted(signal)),
                stopped = stops.next() => {
                    match stopped {
                        StopSignal::Stop => self.stop(&mut screen)?,
                        StopSignal::Continue => screen.enter()?,
                    }
                    continue;
                }
                input = keys.recv() => input.ok_or(io::ErrorKind::UnexpectedEof)?,
                () = tokio::time::sleep_until(wake.into()) => {
                    if end.is_some_and(|end| end <= Instant::now()) {
                        return Ok(ExitStatus::TimedOut);
                    }
                    continue;
                }
            };
            screen.on_input();
            match self.app.take(input) {
                Action::Quit => return Ok(ExitStatus::Done),
                Action::Interrupt => return Ok(ExitStatus::Interrupted(Signal::Interrupt)),
                Action::Suspend => self.stop(&mut screen)?,
                Action::Seek(seek) => {
                    self.player.seek(seek, &mut self.app.model);
                    self.last = Instant::now();
                    self.app.invalidate();
                }
                Action::Save(file) => match Save::begin(&file) {
                    Ok(save) => self.save = Some(save),
                    Err(fault) => self.app.note(fault, true),
                },
                // Nothing can be written to a recording.
                Action::Nothing | Action::Publish(_) | Action::Remove(_) => {}
            }
        }
    }

    fn stop(&mut self, screen: &mut Screen) -> io::Result<()> {
        if !can_stop() {
            self.app.note("there is no shell to go back to", true);
            return Ok(());
        }
        screen.leave();
        stop();
        screen.enter()
    }

    fn advance(&mut self) {
        self.app.wall = Local::now().timestamp_micros();
        let now = Instant::now();
        if self.player.view.is_playing && now >= self.last + STEP {
            let passed = now.saturating_duration_since(self.last).as_micros();
            self.last = now;
            self.player.play(passed.try_into().unwrap_or_default(), &mut self.app.model);
        }
        let was_reading = self.player.is_reading();
        let mut lines = 0;
        self.player.advance(&mut self.app.model, || {
            lines += 1;
            lines % LINES != 0 || now.elapsed() < PART
        });
        if was_reading && !self.player.is_reading() {
            self.app.invalidate();
        }
        if let Some(mut save) = self.save.take() {
            match save.advance(&self.app) {
                Ok(None) => self.save = Some(save),
                Ok(Some(text)) => self.app.note(text, false),
                Err(fault) => self.app.note(fault, true),
            }
        }
        self.note_faults();
        self.app.source = Source::Recording(self.player.view.clone());
    }

    /// What is wrong with the file.
    fn faults(&self) -> Option<String> {
        let view = &self.player.view;
        let faults: Vec<String> = view.fault.iter().cloned().chain(view.skipped_lines()).collect();
        (!faults.is_empty()).then(|| faults.join("; "))
    }

    /// Repeats on the terminal what is wrong with the file; one without a single message is an error.
    fn report_faults(&self, status: ExitStatus, diagnostics: &Diagnostics) -> ExitStatus {
        let Some(faults) = self.faults() else { return status };
        let view = &self.player.view;
        if view.messages == Some(0) && status == ExitStatus::Done {
            let file = &view.file;
            return diagnostics.failed(format_args!("no message could be read from '{file}': {faults}"), None::<&str>);
        }
        diagnostics.warning(faults);
        status
    }

    /// Reports once what is wrong with the file.
    fn note_faults(&mut self) {
        let faults = if self.player.is_reading() { None } else { self.faults() };
        if let Some(faults) = faults.filter(|faults| *faults != self.has_noted) {
            self.has_noted.clone_from(&faults);
            self.app.note(faults, true);
        }
    }
}
