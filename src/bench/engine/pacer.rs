//! Waking publishers when their next slot is due, finer than the millisecond of the runtime's timers.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::clock::Clock;

/// The due times of a shard's publishers.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    due: RefCell<BinaryHeap<Reverse<(u64, usize)>>>,
    /// The time that the timer is set to.
    armed_ns: Cell<u64>,
    earlier: Notify,
}

impl Pacer {
    /// Requests a wake-up of client `index` at `due_ns`.
    pub(super) fn schedule(&self, due_ns: u64, index: usize) {
        self.due.borrow_mut().push(Reverse((due_ns, index)));
        if due_ns < self.armed_ns.get() {
            self.earlier.notify_one();
        }
    }

    /// Wakes publishers when they are due, forever. Where `busy`, the thread never sleeps while a wake-up is scheduled:
    /// it polls clock and sockets alternately.
    ///
    /// # Errors
    /// Those of the system, where it has no timer.
    pub(super) async fn run(&self, clock: Clock, busy: bool, wake: impl Fn(usize)) -> io::Result<()> {
        let timer = PreciseTimer::new()?;
        // The thread stays awake until this moment.
        let mut awake_until_ns = if busy { u64::MAX } else { 0 };
        loop {
            let now_ns = clock.now_ns();
            let next = loop {
                let mut due = self.due.borrow_mut();
                match due.peek() {
                    Some(Reverse((due_ns, _))) if *due_ns <= now_ns => {
                        if let Some(Reverse((_, index))) = due.pop() {
                            wake(index);
                        }
                    }
                    other => break other.map(|Reverse((due_ns, _))| *due_ns),
                }
            };
            self.armed_ns.set(next.unwrap_or(u64::MAX));
            match next {
                None => self.earlier.notified().await,
                Some(due_ns) if due_ns <= awake_until_ns => tokio::task::yield_now().await,
                Some(due_ns) => {
                    let wait_ns = due_ns.saturating_sub(clock.now_ns());
                    let asleep_ns = wait_ns - PreciseTimer::awake_ns(wait_ns);
                    tokio::select! {
                        slept = timer.sleep(Duration::from_nanos(asleep_ns.max(1))) => {
                            slept?;
                            awake_until_ns = due_ns;
                        }
                        () = self.earlier.notified() => {}
                    }
                }
            }
        }
    }
}

/// How late the timer of the pacer wakes after each of this many sleeps, nanoseconds.
///
/// # Errors
/// Those of the system, where it has no timer.
pub(crate) async fn sleep_lateness(wait: Duration, sleeps: usize) -> io::Result<Vec<u64>> {
    let timer = PreciseTimer::new()?;
    let mut late = Vec::with_capacity(sleeps);
    for _ in 0..sleeps {
        let started = Instant::now();
        timer.sleep(wait).await?;
        late.push(started.elapsed().saturating_sub(wait).as_nanos() as u64);
    }
    Ok(late)
}

#[cfg(all(target_os = "linux", not(test)))]
pub(super) use precise::PreciseTimer;

/// Linux: a timerfd in the runtime's epoll, accurate to some tens of microseconds.
#[cfg(all(target_os = "linux", not(test)))]
mod precise {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    struct Descriptor(TimerFd);

    impl AsRawFd for Descriptor {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    pub(crate) struct PreciseTimer(AsyncFd<Descriptor>);

    /// The end of a wait is spent awake, because a sleeping core wakes late: this part of the wait, and at most this
    /// long.
    const AWAKE_PART: u64 = 20;
    const AWAKE_NS: u64 = 50_000;

    impl PreciseTimer {
        pub(crate) fn new() -> io::Result<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
            // Deprecated for types that do not own their descriptor; this one does, and the replacement is unsafe.
            #[expect(deprecated)]
            let timer = AsyncFd::with_interest(Descriptor(timer), Interest::READABLE)?;
            Ok(Self(timer))
        }

        /// The part of a wait that is spent awake.
        pub(crate) fn awake_ns(wait_ns: u64) -> u64 {
            (wait_ns / AWAKE_PART).min(AWAKE_NS)
        }

        pub(crate) async fn sleep(&self, wait: Duration) -> io::Result<()> {
            let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
            self.0.get_ref().0.set(expiration, TimerSetTimeFlags::empty())?;
            loop {
                let mut ready = self.0.readable().await?;
                match self.0.get_ref().0.wait() {
                    Ok(()) => {
                        ready.clear_ready();
                        return Ok(());
                    }
                    // Left over from a timer that was set again.
                    Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// Elsewhere: the runtime's timer, accurate to a millisecond, which `sched_lag` shows. Also in tests, where it follows
/// the virtual clock.
#[cfg(any(not(target_os = "linux"), test))]
pub(super) struct PreciseTimer;

#[cfg(any(not(target_os = "linux"), test))]
impl PreciseTimer {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// None: it would not gain a millisecond, and a virtual clock stands still while any task is awake.
    pub(super) const fn awake_ns(_wait_ns: u64) -> u64 {
        0
    }

    pub(super) async fn sleep(&self, wait: Duration) -> io::Result<()> {
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
