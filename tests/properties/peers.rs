//! The bodies of the fuzz targets `proxy` and `web_socket` as property tests.

#![cfg(unix)]

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{bodies, cases};

/// Parts of HTTP answers.
fn head_like() -> impl Strategy<Value = Vec<u8>> {
    const PARTS: &[&str] = &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 299\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "HTTP/1.1 407 No\r\n",
        "HTTP/2 200\r\n",
        "Upgrade: websocket\r\n",
        "Connection: keep-alive, Upgrade\r\n",
        "Sec-WebSocket-Accept: {KEY}\r\n",
        "Sec-WebSocket-Protocol: mqtt\r\n",
        "Proxy-Authenticate: Basic realm=\"x\u{1b}[2J\"\r\n",
        "Location: \u{85}\r\n",
        "\r\n",
        "\n",
        ": ",
        "é",
        "\0",
    ];
    crate::pieces(PARTS, 10)
}

/// Answers of a SOCKS5 proxy, whole and broken.
fn socks_like() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![8 => 0..6u8, 1 => any::<u8>()];
    let method = prop_oneof![4 => Just(vec![5, 0]), 3 => Just(vec![5, 2, 1, 0]), 1 => vec(byte.clone(), 0..5)];
    let reply = prop_oneof![
        3 => Just(vec![5, 0, 0, 1, 127, 0, 0, 1, 7, 91]),
        2 => Just([&[5, 0, 0, 4][..], &[0; 16], &[7, 91]].concat()),
        2 => vec(any::<u8>(), 0..9).prop_map(|name| [&[5, 0, 0, 3, name.len() as u8][..], &name, &[7, 91]].concat()),
        2 => vec(byte, 0..12),
    ];
    (method, reply, vec(any::<u8>(), 0..4)).prop_map(|(method, reply, rest)| [method, reply, rest].concat())
}

/// A frame, mostly one that a server may send.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => Just(0x82u8),
        2 => prop::sample::select(vec![0x02u8, 0x00, 0x80, 0x89, 0x8A, 0x81, 0x88]),
        1 => any::<u8>(),
    ];
    let length = prop_oneof![6 => 0..20usize, 1 => 120..140usize, 1 => 65_530..65_540usize];
    let cut = prop_oneof![12 => Just(0usize), 1 => 1..9usize];
    (first, length, any::<u8>(), 0..3u8, cut).prop_map(|(first, length, byte, form, cut)| {
        let mut frame = vec![first];
        match (length, form) {
            (126.., _) | (_, 2) if length > 65_535 || form == 2 => {
                frame.push(127);
                frame.extend((length as u64).to_be_bytes());
            }
            (126.., _) | (_, 1) => {
                frame.push(126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => frame.push(length as u8),
        }
        frame.extend(vec![byte; length]);
        frame.truncate(frame.len() - cut.min(frame.len()));
        frame
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn http_proxies(choice in any::<u8>(), answer in prop_oneof![4 => head_like(), 1 => vec(any::<u8>(), 0..200)]) {
        bodies::peers::proxy(&[vec![choice & 0xFE], answer].concat());
    }

    #[test]
    fn socks_proxies(choice in any::<u8>(), answer in prop_oneof![6 => socks_like(), 1 => vec(any::<u8>(), 0..200)]) {
        bodies::peers::proxy(&[vec![choice | 1], answer].concat());
    }

    #[test]
    fn web_socket_answers(choice in any::<u8>(), answer in head_like()) {
        bodies::peers::web_socket(&[vec![choice | 1], answer].concat());
    }

    #[test]
    fn web_socket_frames(choice in any::<u8>(), frames in vec(frame(), 0..8)) {
        bodies::peers::web_socket(&[vec![choice & 0xFE], frames.concat()].concat());
    }

    #[test]
    fn web_socket_bytes(bytes in vec(any::<u8>(), 0..200)) {
        bodies::peers::web_socket(&bytes);
    }
}
