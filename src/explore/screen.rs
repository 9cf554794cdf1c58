//! The screen: what is drawn is written by its own thread.

use std::cell::RefCell;
use std::io::{self, Write, stdout};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::app::App;
use super::draw::{Theme, draw};
use super::terminal_state::{ENTER, LEAVE, change, restore};

/// A terminal that takes nothing for this long is left as it is.
const PATIENCE: Duration = Duration::from_millis(500);
/// Changes are drawn at most this often.
const FASTEST: Duration = Duration::from_millis(100);
/// Ages go on, and highlights go out, this often.
const SLOWEST: Duration = Duration::from_millis(500);
/// Drawing takes at most this part of the time.
const PART: u32 = 8;
/// A terminal that is busy is looked at again after this time.
const BUSY: Duration = Duration::from_millis(20);

/// What the backend writes, until a frame is whole.
#[derive(Clone, Debug, Default)]
struct FrameBuffer(Rc<RefCell<Vec<u8>>>);

impl Write for FrameBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread that writes, as its owner sees it.
struct Writer {
    frames: SyncSender<Vec<u8>>,
    state: Arc<WriterState>,
}

#[derive(Default)]
struct WriterState {
    is_busy: Mutex<bool>,
    is_done: Condvar,
    has_failed: AtomicBool,
}

impl Writer {
    fn start() -> io::Result<Self> {
        let (frames, waiting) = sync_channel(1);
        let state = Arc::<WriterState>::default();
        let shared = Arc::clone(&state);
        thread::Builder::new().name("screen".into()).spawn(move || write_all(&waiting, &shared))?;
        Ok(Self { frames, state })
    }

    fn is_busy(&self) -> bool {
        *self.state.is_busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_failed(&self) -> bool {
        self.state.has_failed.load(Ordering::Relaxed)
    }

    /// Gives the thread something to write; it must not be busy.
    fn write(&self, bytes: Vec<u8>) {
        *self.state.is_busy.lock().unwrap_or_else(PoisonError::into_inner) = true;
        if self.frames.try_send(bytes).is_err() {
            self.state.has_failed.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written, but not long.
    fn wait(&self) {
        let busy = self.state.is_busy.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.state.is_done.wait_timeout_while(busy, PATIENCE, |busy| *busy);
    }
}

fn write_all(frames: &Receiver<Vec<u8>>, state: &WriterState) {
    while let Ok(bytes) = frames.recv() {
        let mut out = stdout();
        if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
            state.has_failed.store(true, Ordering::Relaxed);
        }
        *state.is_busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        state.is_done.notify_all();
    }
}

/// The screen. The terminal is restored when it goes.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<FrameBuffer>>,
    bytes: Rc<RefCell<Vec<u8>>>,
    writer: Writer,
    theme: Theme,
    is_open: bool,
    /// When the next frame is due: earlier where something was typed.
    next: Instant,
    /// The state of the model, and whether something was typed since.
    drawn: u64,
    has_input: bool,
    last: Instant,
    cost: Duration,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// There is none that can be drawn on and read from.
    pub(super) fn open(theme: Theme) -> io::Result<Self> {
        let buffer = FrameBuffer::default();
        let bytes = Rc::clone(&buffer.0);
        let terminal = Terminal::new(CrosstermBackend::new(buffer))?;
        let now = Instant::now();
        let mut screen = Self {
            terminal,
            bytes,
            writer: Writer::start()?,
            theme,
            is_open: false,
            next: now,
            drawn: 0,
            has_input: true,
            last: now,
            cost: Duration::ZERO,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// Changes the terminal, again after it was given back or after another process has used it, and draws everything
    /// anew.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        restore();
        change()?;
        self.is_open = true;
        self.writer.wait();
        if !self.writer.is_busy() {
            self.writer.write(ENTER.to_vec());
        }
        self.writer.wait();
        // Everything is drawn anew, as what is there is not known.
        self.terminal.resize(self.terminal.size()?.into())?;
        self.bytes.borrow_mut().clear();
        self.on_input();
        Ok(())
    }

    /// Gives the terminal back.
    pub(super) fn leave(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.writer.wait();
            if !self.writer.is_busy() {
                self.writer.write(LEAVE.to_vec());
                self.writer.wait();
            }
            restore();
        }
    }

    /// The terminal is gone.
    pub(super) fn has_failed(&self) -> bool {
        self.writer.has_failed()
    }

    /// Something was typed, and is to be seen at once.
    pub(super) const fn on_input(&mut self) {
        self.has_input = true;
    }

    /// When [`Screen::draw`] has something to do.
    pub(super) fn due(&self, app: &App) -> Instant {
        if self.has_input {
            return self.next;
        }
        let changed = app.model.version() != self.drawn;
        let interval = if changed { FASTEST.max(self.cost * PART) } else { SLOWEST };
        self.next.max(self.last + interval)
    }

    /// Draws, if it is time and the terminal has taken what was drawn before. What cannot be drawn is left out, and the
    /// next frame shows what holds then.
    ///
    /// # Errors
    /// The size of the terminal cannot be found out.
    pub(super) fn draw(&mut self, app: &mut App) -> io::Result<()> {
        let now = Instant::now();
        if now < self.due(app) {
            return Ok(());
        }
        if self.writer.is_busy() {
            self.next = now + BUSY;
            return Ok(());
        }
        self.drawn = app.model.version();
        self.has_input = false;
        let theme = self.theme;
        self.terminal.draw(|frame| {
            if let Some(cursor) = draw(app, theme, frame.buffer_mut()) {
                frame.set_cursor_position(cursor);
            }
        })?;
        let bytes = std::mem::take(&mut *self.bytes.borrow_mut());
        if !bytes.is_empty() {
            self.writer.write(bytes);
        }
        self.last = Instant::now();
        self.cost = self.last - now;
        self.next = self.last;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}
