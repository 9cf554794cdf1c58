//! What the fuzz target `trace` does with its bytes: the log of `-d` and `-dd` of them.
//! `tests/properties/trace.rs` runs the same body on a stable compiler.

use mqtools::client::{LogStream, Trace};
use mqtools::mqtt::wire::{MAX_PACKET_SIZE, Scan, scan};

/// CONNECT of MQTT 5 and 3.1.1 with the client id `c`, user `u` and password `hunter2`.
const CONNECTS: [&[u8]; 2] = [
    b"\x10\x1a\x00\x04MQTT\x05\xc2\x00\x3c\x00\x00\x01c\x00\x01u\x00\x07hunter2",
    b"\x10\x19\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01c\x00\x01u\x00\x07hunter2",
];

/// Packets of a broker behind our CONNECT. The first byte says how: `-d` or `-dd`, and the version. One packet after
/// the other is logged as all together are; nothing in the lines acts on a terminal; each packet has its line; a
/// password has none.
pub fn trace(data: &[u8]) {
    let [choice, data @ ..] = data else { return };
    let level = 1 + (choice & 1);
    let mut packets = Vec::new();
    let mut rest = data;
    while let Ok(Scan::Frame(frame)) = scan(rest, MAX_PACKET_SIZE) {
        packets.push(&rest[..frame.size]);
        rest = &rest[frame.size..];
    }
    let lines = |pieces: &[&[u8]]| {
        let mut trace = Trace::of_level(level, LogStream::Stderr).unwrap_or_else(|| panic!("no log of level {level}"));
        let sent = trace.lines_of(true, CONNECTS[usize::from(choice >> 1 & 1)]);
        assert!(sent.contains("sending CONNECT"), "{sent}");
        assert!(!sent.contains("hunter2") && !sent.contains("68 75 6e 74"), "{sent}");
        let received: String = pieces.iter().map(|piece| trace.lines_of(false, piece)).collect();
        received
    };
    let whole = lines(&[packets.concat().as_slice()]);
    assert_eq!(whole, lines(&packets), "{data:?}");
    assert!(!whole.chars().any(|c| c.is_control() && c != '\n'), "{whole:?}");
    // A byte takes three columns and its share of a line.
    assert!(whole.len() <= 400 * data.len() + 2000, "{} of {} bytes", whole.len(), data.len());
    if level == 1 {
        let received = whole.lines().filter(|line| line.contains(" received ")).count();
        assert!(received <= packets.len(), "{received} lines of {} packets: {whole}", packets.len());
    }
}
