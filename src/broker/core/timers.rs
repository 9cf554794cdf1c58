//! What is due when. A deadline that moved is looked up when its old time comes, so moving it costs nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::connection::Phase;
use super::{Cause, ConnectionId, Core, Event};
use crate::mqtt::ReasonCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// CONNECT, or Keep Alive: number and serial of a connection.
    Connection(ConnectionId, u64),
    /// Will, or the end of a session: its number and serial.
    Session(u32, u64),
    Sys,
}

/// The deadlines.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Timer)>>);

impl Timers {
    pub(super) fn connection(&mut self, at: Instant, id: ConnectionId, serial: u64) {
        self.0.push(Reverse((at, Timer::Connection(id, serial))));
    }

    pub(super) fn session(&mut self, at: Instant, id: u32, serial: u64) {
        self.0.push(Reverse((at, Timer::Session(id, serial))));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn sys(&mut self, at: Instant) {
        self.0.push(Reverse((at, Timer::Sys)));
    }
}

/// Deadlines of what is gone are swept out when there are this many, and more than twice as many as are of use.
const SWEPT_FROM: usize = 4096;

impl Core {
    /// When [`Core::handle_timeout`] must be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sweep();
        while let Some(Reverse((at, timer))) = self.timers.0.peek().copied() {
            if at > now {
                return;
            }
            self.timers.0.pop();
            match timer {
                Timer::Connection(id, serial) => self.check_connection(id, serial, now),
                Timer::Session(id, serial) => self.check_session(id, serial, now),
                Timer::Sys => self.publish_sys(now),
            }
        }
    }

    fn sweep(&mut self) {
        let used = 2 * self.connections.len() + 2 * self.sessions.len();
        if self.timers.0.len() > SWEPT_FROM.max(2 * used) {
            let timers = std::mem::take(&mut self.timers.0).into_vec();
            let of_use = |timer: &Timer| match *timer {
                Timer::Connection(id, serial) => self.connections.get(id).is_some_and(|found| found.serial == serial),
                Timer::Session(id, serial) => self.sessions.get(id).is_some_and(|found| found.serial == serial),
                Timer::Sys => true,
            };
            let mut timers: Vec<_> = timers.into_iter().filter(|Reverse((_, timer))| of_use(timer)).collect();
            // A client that comes and goes leaves a deadline each time; one of each is enough.
            timers.sort_unstable_by_key(|Reverse((at, timer))| (*timer, *at));
            timers.dedup_by_key(|Reverse((_, timer))| *timer);
            self.timers.0 = timers.into();
        }
    }

    fn check_connection(&mut self, id: ConnectionId, serial: u64, now: Instant) {
        let Some(connection) = self.connections.get(id).filter(|found| found.serial == serial) else { return };
        let deadline = match &connection.phase {
            Phase::AwaitingConnect | Phase::Authenticating(_) => {
                connection.last_received + self.settings.connect_timeout
            }
            Phase::Open if connection.keep_alive == 0 => return,
            // One that is not read from cannot be blamed for its silence.
            Phase::Open if connection.blocked => now + grace(connection.keep_alive),
            // One and a half times the Keep Alive (MQTT-3.1.2-22).
            Phase::Open => connection.last_received + grace(connection.keep_alive),
            Phase::Closing => return,
        };
        if deadline > now {
            self.timers.connection(deadline, id, serial);
        } else {
            self.end_with(id, ReasonCode(0x8D), Cause::Timeout, now);
        }
    }

    fn check_session(&mut self, id: u32, serial: u64, now: Instant) {
        let Some(session) = self.sessions.get(id).filter(|found| found.serial == serial) else { return };
        if session.will_due().is_some_and(|due| due <= now) {
            self.publish_will(id, now);
        }
        let Some(session) = self.sessions.get(id) else { return };
        if session.expires.is_some_and(|expires| expires <= now) {
            if let Some(log) = &mut self.log {
                log.event(&Event::Expired { client_id: &session.who.client_id });
            }
            self.statistics.expired_clients += 1;
            self.remove_session(id, now);
        } else if let Some(next) = session.next_due() {
            self.timers.session(next, id, serial);
        }
    }
}

/// How long a client may be silent.
pub(super) fn grace(keep_alive: u16) -> Duration {
    Duration::from_secs(u64::from(keep_alive)) * 3 / 2
}
