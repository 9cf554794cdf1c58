//! Ports for servers that go away and come back, and for what must not be there.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// A port that nobody listens on, below those that the system gives to connections and to listeners of port 0: one of
/// these would be taken while the broker is away between two starts, be it by the client that calls for it (which then
/// is connected to itself).
pub fn free() -> u16 {
    listener().local_addr().unwrap().port()
}

/// A listener on such a port.
pub fn listener() -> TcpListener {
    const LOWEST: u32 = 10_000;
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let first_given = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse::<u32>().ok())
        .unwrap_or(32_768);
    let ports = first_given.saturating_sub(LOWEST).max(1);
    // Processes that run beside each other begin far apart.
    let start = std::process::id().wrapping_mul(7919);
    let mut candidates = std::iter::repeat_with(|| start.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % ports);
    let bind = |number| TcpListener::bind((Ipv4Addr::LOCALHOST, u16::try_from(LOWEST + number).ok()?)).ok();
    candidates.find_map(bind).unwrap()
}
