//! The loop.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::net::TcpListener;
#[cfg(unix)]
use mio::net::UnixListener;
use mio::{Events, Interest, Poll, Token, Waker};

use super::Commit;
use super::socket::{ReadStep, Socket};
use super::stream::Stream;
use super::web_socket::{OriginRule, WebSocketStream};
use crate::broker::CertificateName;
use crate::broker::core::{Cause, ConnectionId, Core, Peer, PendingCheck};
use crate::transport::TlsServer;

/// What one read takes at most.
const READ_SIZE: usize = 64 * 1024;
/// Most slices of one write.
const MOST_SLICES: usize = 64;
/// Most connections that one listener accepts per turn.
const ACCEPTS_PER_TURN: usize = 128;
/// How long accepting waits when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that ends may take to read its last bytes.
const LINGER: Duration = Duration::from_secs(1);
/// How long all of them get when the broker ends.
const FAREWELL: Duration = Duration::from_millis(300);

const WAKE: Token = Token(usize::MAX);

/// A listening socket and what is spoken there.
pub(in crate::broker) struct Open {
    pub(in crate::broker) socket: ListeningSocket,
    /// A WebSocket listener, and who may come in by it.
    pub(in crate::broker) web_socket: Option<OriginRule>,
    /// TLS, if it is used.
    pub(in crate::broker) tls: Option<TlsServer>,
    /// What of a client's certificate is its user name.
    pub(in crate::broker) certificate_name: Option<CertificateName>,
    /// Whether small packets are sent at once (TCP_NODELAY).
    pub(in crate::broker) no_delay: bool,
    /// Its number for the access.
    pub(in crate::broker) listener: u32,
    /// Most connections by it (`max_connections`), 0 for any number.
    pub(in crate::broker) max_connections: usize,
}

pub(in crate::broker) enum ListeningSocket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl ListeningSocket {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) => listener,
            #[cfg(unix)]
            Self::Unix(listener) => listener,
        }
    }

    fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                // An IPv4 client of a socket for both families comes as ::ffff:a.b.c.d.
                let peer =
                    Peer { address: address.ip().to_canonical().to_string(), port: address.port(), ..Peer::default() };
                Ok((Socket::Tcp(stream), peer))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                let path = listener
                    .local_addr()
                    .ok()
                    .and_then(|address| address.as_pathname().map(|path| path.to_string_lossy().into_owned()));
                Ok((Socket::Unix(stream), Peer { address: path.unwrap_or_default(), ..Peer::default() }))
            }
        }
    }
}

/// Takes events of the loop.
type Notices = Box<dyn FnMut(Notice<'_>) + Send>;

type Task = Box<dyn FnOnce(&mut Core, Instant) + Send>;

/// Reaches the loop from other threads.
#[derive(Clone)]
pub(in crate::broker) struct Control {
    shared: Arc<Shared>,
}

struct Shared {
    waker: Waker,
    stop: AtomicBool,
    tasks: Mutex<Vec<Task>>,
}

impl Control {
    /// Ends the loop.
    pub(in crate::broker) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = self.shared.waker.wake();
    }

    /// Runs this on the broker's thread, between two turns.
    pub(in crate::broker) fn run(&self, task: Task) {
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        let _ = self.shared.waker.wake();
    }
}

struct Link {
    stream: Stream,
    /// The connection of the core; nothing once the core is done with it.
    id: Option<ConnectionId>,
    /// Index of its listener.
    listener: usize,
    /// Distinguishes a link from an earlier one in the same slot.
    serial: u64,
    /// There may be something to read.
    readable: bool,
    /// The peer has closed its half.
    read_closed: bool,
    writable: bool,
    /// Waits in the list of links that are to be read.
    listed: bool,
    closing: bool,
    /// What of its certificate is to be its user name, until that was read.
    certificate_name: Option<CertificateName>,
}

/// A thread that works out what the core hands over; it ends with the loop.
fn start_hasher(control: Control) -> Option<mpsc::Sender<PendingCheck>> {
    let (sender, checks) = mpsc::channel::<PendingCheck>();
    let work = move || {
        for check in checks {
            if let Some(finished) = check.run() {
                control.run(Box::new(move |core, now| core.finish_check(finished, now)));
            }
        }
    };
    std::thread::Builder::new().name("passwords".to_owned()).spawn(work).ok().map(|_| sender)
}

/// The loop with all that it drives.
pub(in crate::broker) struct EventLoop {
    poll: Poll,
    core: Core,
    listeners: Vec<Listening>,
    links: Vec<Option<Link>>,
    free: Vec<usize>,
    /// The link of each connection.
    link_of: Vec<usize>,
    ready: Vec<usize>,
    output: Vec<ConnectionId>,
    buffer: Vec<u8>,
    /// Links that end, by the time they are cut off.
    ending: VecDeque<(Instant, usize, u64)>,
    serial: u64,
    connections: usize,
    accept_again: Option<Instant>,
    commit: Option<Box<dyn Commit>>,
    shared: Arc<Shared>,
    /// The thread that hashes passwords, started with the first one.
    hasher: Option<mpsc::Sender<PendingCheck>>,
    on_notice: Option<Notices>,
}

/// An event of the loop itself.
pub(in crate::broker) enum Notice<'a> {
    /// A connection was accepted.
    Accepted {
        /// Where it comes from.
        peer: &'a Peer,
        /// The port it came to.
        port: u16,
    },
    /// A connection was closed at once.
    Denied {
        /// Where it comes from.
        peer: &'a Peer,
        /// The setting that allows no more.
        limit: &'static str,
    },
    /// A connection cannot be accepted for now.
    AcceptFailed(&'a io::Error),
}

struct Listening {
    open: Open,
    port: u16,
    connections: usize,
    ready: bool,
}

impl EventLoop {
    pub(in crate::broker) fn new(mut core: Core, open: Vec<Open>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let shared = Arc::new(Shared {
            waker: Waker::new(poll.registry(), WAKE)?,
            stop: AtomicBool::new(false),
            tasks: Mutex::default(),
        });
        let mut listeners = Vec::new();
        for mut open in open {
            // Tokens from the top are listeners.
            let token = Token(usize::MAX - 1 - listeners.len());
            poll.registry().register(open.socket.source(), token, Interest::READABLE)?;
            let port = match &open.socket {
                ListeningSocket::Tcp(listener) => listener.local_addr().map_or(0, |address| address.port()),
                #[cfg(unix)]
                ListeningSocket::Unix(_) => 0,
            };
            listeners.push(Listening { open, port, connections: 0, ready: false });
        }
        core.handle_timeout(Instant::now());
        Ok(Self {
            poll,
            core,
            listeners,
            links: Vec::new(),
            free: Vec::new(),
            link_of: Vec::new(),
            ready: Vec::new(),
            output: Vec::new(),
            buffer: vec![0; READ_SIZE],
            ending: VecDeque::new(),
            serial: 0,
            connections: 0,
            accept_again: None,
            commit: None,
            shared,
            hasher: None,
            on_notice: None,
        })
    }

    pub(in crate::broker) fn control(&self) -> Control {
        Control { shared: Arc::clone(&self.shared) }
    }

    /// Reports events of the loop itself to this.
    pub(in crate::broker) fn set_notices(&mut self, notices: Notices) {
        self.on_notice = Some(notices);
    }

    /// Makes changes durable with this before output is written.
    pub(in crate::broker) fn set_commit(&mut self, commit: Box<dyn Commit>) {
        self.commit = Some(commit);
    }

    /// Runs until [`Control::stop`].
    pub(in crate::broker) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.shared.stop.load(Ordering::Acquire) {
            self.wait(&mut events)?;
            self.turn(&events);
        }
        self.say_good_bye(&mut events)
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let busy = !self.ready.is_empty() || self.core.has_work() || self.listeners.iter().any(|own| own.ready);
        let timeout = if busy && self.accept_again.is_none() || !self.ready.is_empty() || self.core.has_work() {
            Some(Duration::ZERO)
        } else {
            let times = self.core.poll_timeout().into_iter();
            let times = times.chain(self.accept_again).chain(self.ending.front().map(|(at, ..)| *at));
            times.min().map(|at| {
                let left = at.saturating_duration_since(Instant::now());
                // epoll counts milliseconds; waking just before the time would be useless.
                left + Duration::from_millis(u64::from(!left.is_zero()))
            })
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            other => other,
        }
    }

    fn turn(&mut self, events: &Events) {
        let now = Instant::now();
        for event in events {
            let token = event.token();
            if token == WAKE {
                self.run_tasks(now);
            } else if token.0 >= self.first_listener() {
                self.listeners[usize::MAX - 1 - token.0].ready = true;
            } else if let Some(link) = self.links.get_mut(token.0).and_then(Option::as_mut) {
                link.read_closed |= event.is_read_closed() || event.is_error();
                if event.is_readable() || link.read_closed {
                    link.readable = true;
                    if !link.listed {
                        link.listed = true;
                        self.ready.push(token.0);
                    }
                }
                if event.is_writable() {
                    link.writable = true;
                    if let Some(id) = link.id {
                        self.output.push(id);
                    }
                }
            }
        }
        self.accept(now);
        for index in std::mem::take(&mut self.ready) {
            self.read(index, now);
        }
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            self.core.handle_timeout(now);
        }
        if self.core.has_work() {
            self.core.work(now);
        }
        self.hash_passwords(now);
        if let Some(commit) = &mut self.commit {
            commit.commit();
        }
        self.write_all(now);
        self.unblock();
        self.cut_off(now);
    }

    fn first_listener(&self) -> usize {
        usize::MAX - self.listeners.len()
    }

    /// Hands passwords to the thread that hashes them. It takes one at a time: a flood of wrong passwords takes one
    /// core and delays others that log in, and nobody who is connected.
    fn hash_passwords(&mut self, now: Instant) {
        for check in self.core.take_checks() {
            if self.hasher.is_none() {
                self.hasher = start_hasher(self.control());
            }
            let unsent = match &self.hasher {
                Some(hasher) => hasher.send(check).err().map(|mpsc::SendError(check)| check),
                None => Some(check), // no thread to be had: better late than refused
            };
            if let Some(finished) = unsent.and_then(PendingCheck::run) {
                self.core.finish_check(finished, now);
            }
        }
    }

    fn run_tasks(&mut self, now: Instant) {
        let tasks = std::mem::take(&mut *self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task(&mut self.core, now);
        }
    }

    fn accept(&mut self, now: Instant) {
        if self.accept_again.is_some_and(|at| at > now) {
            return;
        }
        self.accept_again = None;
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.listeners[index].ready {
                    break;
                }
                match self.listeners[index].open.socket.accept() {
                    Ok((socket, peer)) => self.begin(index, socket, peer, now),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.listeners[index].ready = false,
                    Err(error) if is_of_the_connection(&error) => {}
                    Err(error) => {
                        // Out of descriptors or memory: what waits is taken when some are free again.
                        if let Some(notice) = &mut self.on_notice {
                            notice(Notice::AcceptFailed(&error));
                        }
                        self.accept_again = Some(now + ACCEPT_PAUSE);
                        return;
                    }
                }
            }
        }
    }

    /// A connection was accepted.
    fn begin(&mut self, listener: usize, socket: Socket, mut peer: Peer, now: Instant) {
        let own = &mut self.listeners[listener];
        peer.listener = own.open.listener;
        let most = self.core.settings().global_max_connections;
        let limits = [
            (own.connections, own.open.max_connections, "max_connections"),
            (self.connections, most, "global_max_connections"),
        ];
        if let Some((.., limit)) = limits.into_iter().find(|(count, most, _)| *most > 0 && count >= most) {
            if let Some(notice) = &mut self.on_notice {
                notice(Notice::Denied { peer: &peer, limit });
            }
            return; // and closed
        }
        if let Some(notice) = &mut self.on_notice {
            notice(Notice::Accepted { peer: &peer, port: own.port });
        }
        if let (true, Socket::Tcp(stream)) = (own.open.no_delay, &socket) {
            let _ = stream.set_nodelay(true);
        }
        let socket = match &own.open.tls {
            None => socket,
            Some(tls) => match tls.accept(socket) {
                Ok(stream) => Socket::Tls(Box::new(stream)),
                Err(_) => return, // no random numbers: closed, and the next one may do better
            },
        };
        let mut stream = match &own.open.web_socket {
            None => Stream::Plain(socket),
            Some(rule) => Stream::WebSocket(Box::new(WebSocketStream::new(socket, rule.clone()))),
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.links.push(None);
            self.links.len() - 1
        });
        if stream.register(self.poll.registry(), Token(index)).is_err() {
            self.free.push(index);
            return;
        }
        own.connections += 1;
        self.connections += 1;
        self.serial += 1;
        let id = self.core.open(peer, now);
        let place = id as usize;
        if self.link_of.len() <= place {
            self.link_of.resize(place + 1, usize::MAX);
        }
        self.link_of[place] = index;
        self.links[index] = Some(Link {
            stream,
            id: Some(id),
            listener,
            serial: self.serial,
            readable: true,
            read_closed: false,
            writable: true,
            listed: true,
            closing: false,
            certificate_name: own.open.certificate_name,
        });
        // What has come already needs no event.
        self.ready.push(index);
    }

    fn read(&mut self, index: usize, now: Instant) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_mut) else { return };
        link.listed = false;
        if !link.readable {
            return;
        }
        let Some(id) = link.id else {
            // Its last bytes are on their way; what comes is of no use any more.
            if link.stream.drain(&mut self.buffer) {
                self.end(index);
            } else if let Some(link) = self.links[index].as_mut() {
                link.readable = false;
            }
            return;
        };
        if link.closing || !self.core.may_read(id) {
            return; // listed again when it may
        }
        let limit = self.core.packet_limit(id);
        let step = link.stream.read(&mut self.buffer, limit);
        if matches!(step, Ok(ReadStep::Some(_) | ReadStep::Last(_)))
            && let Some(name) = link.certificate_name.take()
        {
            // The first bytes behind the handshake: the certificate is known by now.
            self.core.set_certificate_user(id, link.stream.certificate_name(name));
        }
        match step {
            Ok(ReadStep::Some(count)) => self.core.handle_input(id, &self.buffer[..count], now),
            Ok(ReadStep::Last(count)) => {
                // With the peer's end in sight there is one read more to make.
                link.readable = link.read_closed;
                self.core.handle_input(id, &self.buffer[..count], now);
            }
            Ok(ReadStep::Blocked) => link.readable = false,
            Ok(ReadStep::Closed) => return self.lost(index, id, Cause::Closed, now),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return self.lost(index, id, Cause::Closed, now);
            }
            Err(error) => return self.lost(index, id, Cause::Transport(error.to_string()), now),
        }
        if link.readable && !link.listed {
            link.listed = true;
            self.ready.push(index);
        }
    }

    /// The peer is gone.
    fn lost(&mut self, index: usize, id: ConnectionId, cause: Cause, now: Instant) {
        self.core.handle_closed(id, cause, now);
        self.end(index);
    }

    /// Closes a socket.
    fn end(&mut self, index: usize) {
        if let Some(mut link) = self.links[index].take() {
            link.stream.deregister(self.poll.registry());
            self.listeners[link.listener].connections -= 1;
            self.connections -= 1;
            self.free.push(index);
            // A connection that waits for a descriptor gets this one.
            if self.accept_again.is_some() {
                self.accept_again = Some(Instant::now());
            }
        }
    }

    fn write_all(&mut self, now: Instant) {
        self.core.take_output_list(&mut self.output);
        let mut list = std::mem::take(&mut self.output);
        for id in list.drain(..) {
            self.write(id, now);
        }
        self.output = list;
    }

    fn write(&mut self, id: ConnectionId, now: Instant) {
        let Some(index) = self.link_of.get(id as usize).copied() else { return };
        let Some(link) = self.links.get_mut(index).and_then(Option::as_mut).filter(|link| link.id == Some(id)) else {
            return;
        };
        let mut failure = None;
        while link.writable {
            let mut slices: Vec<IoSlice<'_>> = Vec::new();
            let length = self.core.output_len(id);
            if length == 0 {
                match link.stream.flush() {
                    Ok(flushed) => link.writable = flushed,
                    Err(error) => failure = Some(error),
                }
                break;
            }
            self.core.output(id, &mut slices, MOST_SLICES);
            match link.stream.write(&slices) {
                Ok(count) => {
                    drop(slices);
                    self.core.written(id, count);
                    if count == length {
                        // All is written: whether more would fit need not be known.
                        continue;
                    }
                    if count == 0 {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => link.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = failure {
            let cause = match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Cause::Closed,
                _ => Cause::Transport(error.to_string()),
            };
            return self.lost(index, id, cause, now);
        }
        if self.core.is_closing(id) {
            self.finish(index, id, now);
        }
    }

    /// The core is done with a connection: its last bytes are written, then it is closed. To close a socket that has
    /// unread input would reset it, and the peer might not see those bytes.
    fn finish(&mut self, index: usize, id: ConnectionId, now: Instant) {
        let Some(link) = self.links[index].as_mut() else { return };
        if !link.closing {
            link.closing = true;
            self.ending.push_back((now + LINGER, index, link.serial));
        }
        if self.core.output_len(id) > 0 || !link.writable {
            return;
        }
        link.stream.finish();
        link.id = None;
        self.core.handle_closed(id, Cause::Closed, now);
        // A peer that closes first has nothing more to read.
        link.readable = true;
        if !link.listed {
            link.listed = true;
            self.ready.push(index);
        }
    }

    fn unblock(&mut self) {
        let mut unblocked = Vec::new();
        self.core.take_unblocked(&mut unblocked);
        for id in unblocked {
            let Some(index) = self.link_of.get(id as usize).copied() else { continue };
            if let Some(link) = self.links.get_mut(index).and_then(Option::as_mut)
                && link.id == Some(id)
                && !link.listed
            {
                link.listed = true;
                link.readable = true;
                self.ready.push(index);
            }
        }
    }

    /// Closes what had its time to end.
    fn cut_off(&mut self, now: Instant) {
        while let Some((at, index, serial)) = self.ending.front().copied() {
            if at > now {
                return;
            }
            self.ending.pop_front();
            if let Some(link) = self.links[index].as_ref()
                && link.serial == serial
            {
                if let Some(id) = link.id {
                    self.core.handle_closed(id, Cause::Closed, now);
                }
                self.end(index);
            }
        }
    }

    /// Clients get their DISCONNECT, as far as they take it in a moment.
    fn say_good_bye(&mut self, events: &mut Events) -> io::Result<()> {
        let now = Instant::now();
        for own in &mut self.listeners {
            let _ = self.poll.registry().deregister(own.open.socket.source());
        }
        self.core.shut_down(now);
        if let Some(commit) = &mut self.commit {
            commit.commit();
        }
        self.write_all(now);
        let end = now + FAREWELL;
        while self.connections > 0 {
            let now = Instant::now();
            let left = end.saturating_duration_since(now);
            if left.is_zero() {
                break;
            }
            for index in std::mem::take(&mut self.ready) {
                self.read(index, now);
            }
            if self.connections == 0 {
                break;
            }
            match self.poll.poll(events, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &*events {
                let Some(link) = self.links.get_mut(event.token().0).and_then(Option::as_mut) else { continue };
                link.readable = true;
                link.writable |= event.is_writable();
                if !link.listed {
                    link.listed = true;
                    self.ready.push(event.token().0);
                }
                if let Some(id) = link.id {
                    self.output.push(id);
                }
            }
            self.write_all(now);
        }
        Ok(())
    }
}

/// Whether accepting failed for the connection alone, which is gone with it.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
