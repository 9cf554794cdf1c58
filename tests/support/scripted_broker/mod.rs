//! A broker that does wrong on demand, for tests: delays, refuses, drops, repeats, reorders, cuts, stalls.
//!
//! It is the broker core with a script of faults in front of it ([`super::faulty_broker`]), on a free port of
//! 127.0.0.1, on a separate thread; everything by plan, counted from 1, nothing by chance. It logs what it received and
//! acknowledged.
//!
//! ```ignore
//! let broker = ScriptedBroker::start(Script::default().drop_deliveries([3, 8]).delay(PacketType::Puback, MS_50));
//! // … a client at broker.addr() …
//! broker.wait_for("the end", |log| log.ended() == 1);
//! assert_eq!(broker.log().acknowledged.len(), 10);
//! ```

// A test takes what it needs of it, so something is always unused somewhere.
#![allow(dead_code, unused_imports)]

mod log;
mod plan;
mod script;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mqtools::broker::core::Settings;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet, spawn_local};

pub use log::{Counts, Log, Received};
pub use script::{Action, Connections, Fault, Ordinals, Repeat, Script, Trigger};

use super::faulty_broker::{FaultyBroker, SharedBroker, run_timers, serve};
use super::ports;
use plan::{ScriptedFaults, Violations};

/// How long a test waits for the broker to see something before it fails: a guard, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the broker and the test share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    script: Script,
    log: Log,
    /// Answers by kind, those omitted included.
    answers: BTreeMap<u8, u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a test wants of the broker's thread.
enum Command {
    Listen(TcpListener),
    GoAway(mpsc::Sender<()>),
    Act(Action),
}

/// The broker; it stops when it is dropped.
pub struct ScriptedBroker {
    addr: SocketAddr,
    shared: Arc<Shared>,
    commands: Option<UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedBroker {
    /// Starts one that does what the script says.
    ///
    /// # Panics
    /// When the machine gives no port.
    pub fn start(script: Script) -> Self {
        let listener = ports::listener();
        let addr = listener.local_addr().unwrap();
        let settings = script.settings();
        let shared = Arc::new(Shared { state: Mutex::new(State { script, ..State::default() }), ..Shared::default() });
        let (commands, received) = unbounded_channel();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || run(of_thread, settings, received));
        let broker = Self { addr, shared, commands: Some(commands), thread: Some(thread) };
        broker.command(Command::Listen(listener));
        broker
    }

    fn command(&self, command: Command) {
        let commands = self.commands.as_ref();
        assert!(commands.is_some_and(|commands| commands.send(command).is_ok()), "the broker's thread has ended");
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its port, as an argument for a tool.
    pub fn port(&self) -> String {
        self.addr.port().to_string()
    }

    /// The log so far.
    pub fn log(&self) -> Log {
        self.shared.lock().log.clone()
    }

    /// The counters alone.
    pub fn counts(&self) -> Counts {
        self.shared.lock().log.counts.clone()
    }

    /// Payloads whose last acknowledgement was sent.
    pub fn acknowledged(&self) -> Vec<Bytes> {
        self.shared.lock().log.acknowledged.clone()
    }

    /// What clients did that they must not do.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().log.violations.clone()
    }

    /// Waits until this is true of the log.
    ///
    /// # Panics
    /// When it does not become true within 60 s.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Log) -> bool) {
        let state = self.shared.lock();
        let waiting = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !is_so(&state.log));
        let (state, timeout) = waiting.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "the broker waited for {what} in vain; it has {:?}", state.log.counts);
    }

    /// Puts another script in place of the old one, for what happens from now on. Limits that CONNACK states stay as
    /// they were, and so do faults of connections that exist.
    pub fn set_script(&self, script: Script) {
        self.shared.lock().script = script;
    }

    /// Does this to every client that is connected, now: for what a test decides while it runs.
    pub fn act_on_all(&self, action: &Action) {
        self.command(Command::Act(action.clone()));
    }

    /// Ends all connections and listens no more, as a broker that was killed. Sessions are kept.
    pub fn go_away(&mut self) {
        let (done, gone) = mpsc::channel();
        self.command(Command::GoAway(done));
        gone.recv().unwrap();
    }

    /// Listens again on the same port. A process that looks for a free port may hold it for a moment.
    pub fn come_back(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(self.addr) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                    // Nothing reports that a port is free again.
                    std::thread::sleep(Duration::from_millis(10));
                }
                bound => break bound?,
            }
        };
        self.command(Command::Listen(listener));
        Ok(())
    }

    /// Stops and hands over the log.
    pub fn stop(mut self) -> Log {
        self.go_away();
        self.log()
    }
}

impl Drop for ScriptedBroker {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The broker's thread. It ends when no more commands can come.
fn run(shared: Arc<Shared>, settings: Settings, mut commands: UnboundedReceiver<Command>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async move {
        let violations = Violations(Arc::clone(&shared));
        let broker = FaultyBroker::new(ScriptedFaults::new(shared), settings).with_log(Box::new(violations)).observed();
        let broker = Rc::new(RefCell::new(broker));
        spawn_local(run_timers(Rc::clone(&broker)));
        let mut listening = None;
        while let Some(command) = commands.recv().await {
            match command {
                Command::Listen(listener) => {
                    listener.set_nonblocking(true).unwrap();
                    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                    let (stop, stopped) = oneshot::channel();
                    listening = Some((stop, spawn_local(listen(listener, Rc::clone(&broker), stopped))));
                }
                Command::GoAway(done) => {
                    if let Some((stop, task)) = listening.take() {
                        drop(stop);
                        let _ = task.await;
                    }
                    broker.borrow_mut().close_all();
                    let _ = done.send(());
                }
                Command::Act(action) => broker.borrow_mut().act_on_all(|link| {
                    action.perform(link);
                }),
            }
        }
    });
}

/// Accepts and serves connections until it is stopped, which ends them.
async fn listen(
    listener: tokio::net::TcpListener,
    broker: SharedBroker<ScriptedFaults>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                connections.spawn_local(serve(Rc::clone(&broker), stream));
            }
        }
    }
    connections.shutdown().await;
}
