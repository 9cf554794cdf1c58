//! What a server may send in frames, and what it may not; what our frames look like from the other side.

use std::io::{self, Write};
use std::net::TcpStream;

use mqtools::transport::TransportPlan;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{web_socket_plan, with_connection};
use crate::support::peer::{Peer, hold, write_in_pieces};
use crate::support::web_socket::{BINARY, CLOSE, PING, PONG, TEXT, accept, field, frame, read_frame};

/// A server that accepts and then does this.
fn server(then: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> TransportPlan {
    let peer = Peer::start(move |mut stream| {
        accept(&mut stream)?;
        then(&mut stream)
    });
    web_socket_plan(peer.port())
}

/// What is read of a server that sends these bytes, `chunk` at a time, and closes.
fn read_of(bytes: Vec<u8>, chunk: usize) -> io::Result<Vec<u8>> {
    let plan = server(move |stream| {
        write_in_pieces(stream, &bytes, chunk)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        hold(stream)
    });
    with_connection(&plan, async |connected| {
        let mut read = Vec::new();
        connected.connection.take(1 << 20).read_to_end(&mut read).await.map(|_| read)
    })
    .unwrap()
}

#[test]
fn the_request_has_path_headers_and_sub_protocol() {
    let (sender, heads) = std::sync::mpsc::channel();
    let peer = Peer::start(move |mut stream| {
        let head = accept(&mut stream)?;
        let _ = sender.send(head);
        hold(&mut stream)
    });
    let timings = with_connection(&web_socket_plan(peer.port()), async |connected| {
        assert!(connected.connection.as_plain().is_none());
        assert_eq!(connected.connection.peer().map(|peer| peer.port()), Some(peer.port()));
        connected.timings
    });
    assert!(timings.unwrap().web_socket.is_some());
    let head = heads.recv().unwrap();
    assert!(head.starts_with("GET /mqtt?a=b HTTP/1.1\r\n"), "{head}");
    for (name, value) in [
        ("Host", format!("127.0.0.1:{}", peer.port()).as_str()),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "mqtt"),
        ("X-Token", "hunter2"),
    ] {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
}

#[test]
fn frames_are_a_stream_of_bytes() {
    let pieces = [
        frame(true, BINARY, b"ab"),
        frame(true, BINARY, b""),
        frame(true, PING, b"?"),
        // A message in three frames, with a ping between them.
        frame(false, BINARY, b"c"),
        frame(true, PING, b""),
        frame(false, 0, b""),
        frame(true, 0, b"d"),
        frame(true, PONG, b"unasked"),
        frame(true, BINARY, &[b'e'; 70_000]),
        frame(true, CLOSE, &1000u16.to_be_bytes()),
    ];
    let expected = [b"abcd".to_vec(), vec![b'e'; 70_000]].concat();
    for chunk in [3, 1000, 1 << 20] {
        assert_eq!(read_of(pieces.concat(), chunk).unwrap(), expected);
    }
    assert_eq!(read_of(pieces[..3].concat(), 1).unwrap(), b"ab", "without a Close frame");
    assert_eq!(read_of(Vec::new(), 1).unwrap(), b"");
}

#[test]
fn what_a_server_must_not_send_is_an_error() {
    let masked = vec![0x82, 0x81, 1, 2, 3, 4, b'x'];
    let endless = [vec![0x82, 127], (1u64 << 40).to_be_bytes().to_vec()].concat();
    let close = |code: u16, reason: &[u8]| frame(true, CLOSE, &[&code.to_be_bytes(), reason].concat());
    for (bytes, text) in [
        (frame(true, TEXT, b"hello"), "text frame"),
        (frame(true, TEXT, b"\xff"), "violated the WebSocket protocol"),
        (frame(true, 3, b""), "violated the WebSocket protocol"),
        (frame(true, 0, b""), "violated the WebSocket protocol"),
        (frame(false, PING, b""), "violated the WebSocket protocol"),
        (frame(true, PING, &[0; 126]), "violated the WebSocket protocol"),
        (masked, "violated the WebSocket protocol"),
        (endless, "larger than any MQTT packet"),
        (close(1008, b"go\x1baway"), "closed the WebSocket with code 1008 (policy violation): go\\u{1b}away"),
        (close(1009, b""), "code 1009 (message too big)"),
        (close(4001, b"x"), "code 4001: x"),
    ] {
        let bytes = [frame(true, BINARY, b"before"), bytes].concat();
        let plan = server(move |stream| {
            stream.write_all(&bytes)?;
            hold(stream)
        });
        let (first, error) = with_connection(&plan, async |connected| {
            let mut connection = connected.connection;
            let mut first = [0; 6];
            connection.read_exact(&mut first).await.unwrap();
            (first, connection.read(&mut [0; 10]).await.unwrap_err())
        })
        .unwrap();
        assert_eq!(&first, b"before");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn a_normal_end_is_the_end_of_the_stream() {
    for code in [1000u16, 1001] {
        assert_eq!(read_of(frame(true, CLOSE, &code.to_be_bytes()), 1).unwrap(), b"");
    }
    assert_eq!(read_of(frame(true, CLOSE, b""), 1).unwrap(), b"");
}

#[test]
fn our_frames_are_binary_and_bounded_and_the_end_is_a_close_frame() {
    let (sender, frames) = std::sync::mpsc::channel();
    let plan = server(move |stream| {
        stream.write_all(&[frame(true, PING, b"are you there"), frame(true, BINARY, b"x")].concat())?;
        loop {
            let (opcode, payload) = read_frame(stream)?;
            let _ = sender.send((opcode, payload));
            if opcode == CLOSE {
                // What comes before the server's own Close frame still counts.
                stream
                    .write_all(&[frame(true, BINARY, b"late"), frame(true, CLOSE, &1000u16.to_be_bytes())].concat())?;
                return hold(stream);
            }
        }
    });
    let large = vec![7; 200_000];
    let written = large.clone();
    let late = with_connection(&plan, async |connected| {
        let mut connection = connected.connection;
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        connection.write_all(b"one write").await.unwrap();
        connection.write_all(&written).await.unwrap();
        connection.flush().await.unwrap();
        connection.shutdown().await.unwrap();
        let mut late = Vec::new();
        connection.read_to_end(&mut late).await.map(|_| late)
    });
    assert_eq!(late.unwrap().unwrap(), b"late");
    // The server has seen the Close frame before it answered, and all that came before it.
    let frames: Vec<_> = frames.try_iter().collect();
    let binary: Vec<_> = frames.iter().filter(|(opcode, _)| *opcode == BINARY).map(|(_, payload)| payload).collect();
    assert_eq!(binary[0], b"one write", "a write is a frame");
    assert_eq!(binary[1..].iter().flat_map(|payload| payload.iter()).copied().collect::<Vec<_>>(), large);
    assert!(binary.iter().all(|payload| payload.len() < 65_536));
    assert!(frames.iter().any(|(opcode, payload)| (*opcode, &payload[..]) == (PONG, b"are you there")), "no pong");
    assert_eq!(frames.last().map(|(opcode, _)| *opcode), Some(CLOSE));
}

/// Some brokers read one packet of a frame and leave the others lying.
#[test]
fn each_packet_has_a_frame() {
    let (sender, frames) = std::sync::mpsc::channel();
    let plan = server(move |stream| {
        while let Ok((BINARY, payload)) = read_frame(stream) {
            let _ = sender.send(payload);
        }
        Ok(())
    });
    let packets = [&b"\xC0\x00"[..], b"\x30\x05\x00\x01tab", b"\x30\x83\x00\x00\x01t", b"\xE0\x00"];
    let large = [&b"\x30\xF3\xA3\x04\x00\x01t"[..], &[7; 70_128]].concat();
    let whole = [packets.concat(), large.clone(), packets.concat()].concat();
    with_connection(&plan, async |connected| {
        let mut connection = connected.connection;
        connection.write_all(&whole).await.unwrap();
        connection.shutdown().await.unwrap();
    })
    .unwrap();
    let frames: Vec<_> = frames.iter().take(2 * packets.len() + 2).collect();
    let (first, rest) = frames.split_at(packets.len());
    assert_eq!(first, packets);
    let (middle, last) = rest.split_at(rest.len() - packets.len());
    assert_eq!((middle.len(), middle.concat()), (2, large));
    assert_eq!(last, packets);
}

#[test]
fn the_packets_of_a_flood_share_frames() {
    let (sender, frames) = std::sync::mpsc::channel();
    let plan = server(move |stream| {
        while let Ok((BINARY, payload)) = read_frame(stream) {
            let _ = sender.send(payload);
        }
        Ok(())
    });
    let flood = b"\x30\x05\x00\x01tab".repeat(20_000);
    let sent = flood.clone();
    with_connection(&plan, async |connected| {
        let mut connection = connected.connection;
        connection.write_all(&sent).await.unwrap();
        connection.shutdown().await.unwrap();
    })
    .unwrap();
    let (mut came, mut count) = (Vec::new(), 0);
    while came.len() < flood.len() {
        let frame = frames.recv().unwrap();
        assert_eq!(frame.len() % 7, 0, "whole packets");
        came.extend(frame);
        count += 1;
    }
    assert_eq!(came, flood);
    assert!(count < 50, "{count}");
}

#[test]
fn a_server_that_takes_nothing_holds_the_writer_up() {
    let plan = server(hold_without_reading);
    let taken = with_connection(&plan, async |connected| {
        let mut connection = connected.connection;
        let writing = async {
            let mut taken = 0usize;
            while connection.write_all(&[0; 65_536]).await.is_ok() {
                taken += 65_536;
                assert!(taken < 1 << 30, "nobody reads, and all is taken");
            }
        };
        tokio::time::timeout(std::time::Duration::from_millis(300), writing).await.is_err()
    });
    assert!(taken.unwrap(), "the writer waits");
}

fn hold_without_reading(stream: &mut TcpStream) -> io::Result<()> {
    // Ends when the client does: a peek sees what is there and takes nothing.
    while stream.peek(&mut [0]).is_ok_and(|count| count > 0) {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bytes_come_back_however_they_are_cut(
        writes in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..8),
        size in 1usize..200,
        chunk in 1usize..500,
    ) {
        let plan = server(move |stream| {
            while let Ok((BINARY, payload)) = read_frame(stream) {
                let last = payload.chunks(size).count();
                let frames = payload.chunks(size).enumerate()
                    .map(|(index, piece)| frame(index + 1 == last, if index == 0 { BINARY } else { 0 }, piece));
                write_in_pieces(stream, &frames.collect::<Vec<_>>().concat(), chunk)?;
            }
            Ok(())
        });
        let (sent, came) = with_connection(&plan, async |connected| {
            let mut connection = connected.connection;
            let sent = writes.concat();
            for write in &writes {
                connection.write_all(write).await.unwrap();
            }
            connection.flush().await.unwrap();
            let mut came = vec![0; sent.len()];
            connection.read_exact(&mut came).await.unwrap();
            (sent, came)
        }).unwrap();
        prop_assert_eq!(sent, came);
    }
}
