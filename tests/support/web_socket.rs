//! The server's side of a WebSocket: a handshake by hand, so that it can be wrong, and frames byte for byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::peer::{Peer, read_head};
use super::socket::read_some;

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The value of a field of a request.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The right answer to a request, without its sub-protocol and the empty line at its end.
pub fn upgrade(head: &str) -> String {
    let key = derive_accept_key(field(head, "Sec-WebSocket-Key").unwrap_or_default().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n\
         sec-websocket-accept: {key}\r\n"
    )
}

/// Reads the request and upgrades; returns the request.
pub fn accept(stream: &mut TcpStream) -> io::Result<String> {
    let head = read_head(stream)?;
    let answer = upgrade(&head) + "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    stream.write_all(answer.as_bytes())?;
    Ok(head)
}

/// A frame as a server sends it.
pub fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![if last { 0x80 } else { 0 } | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(short as u8),
        long @ 126..65_536 => {
            frame.push(126);
            frame.extend_from_slice(&(long as u16).to_be_bytes());
        }
        longer => {
            frame.push(127);
            frame.extend_from_slice(&(longer as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Reads a frame of a client: its opcode and its payload. Panics when it is not masked (RFC 6455 §5.1).
pub fn read_frame(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let [first, second] = read(stream)?;
    assert!(second & 0x80 != 0, "a client's frame is not masked");
    let length = match second & 0x7F {
        126 => u64::from(u16::from_be_bytes(read(stream)?)),
        127 => u64::from_be_bytes(read(stream)?),
        short => u64::from(short),
    };
    let mask: [u8; 4] = read(stream)?;
    let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut payload)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first & 0x0F, payload))
}

fn read<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A WebSocket in front of a broker on TCP that sends `size` bytes a frame and a ping before each, and asserts that the
/// client sends binary frames only.
pub fn front(broker: SocketAddr, size: usize) -> Peer {
    Peer::start(move |mut client| {
        client.set_nodelay(true)?;
        accept(&mut client)?;
        let mut server = TcpStream::connect(broker)?;
        server.set_nodelay(true)?;
        let (mut to_client, mut from_server) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || -> io::Result<()> {
            let mut buffer = [0; 4096];
            loop {
                let count = read_some(&mut from_server, &mut buffer)?;
                if count == 0 {
                    return to_client.write_all(&frame(true, CLOSE, &1000u16.to_be_bytes()));
                }
                for piece in buffer[..count].chunks(size) {
                    to_client.write_all(&[frame(true, PING, b"?"), frame(true, BINARY, piece)].concat())?;
                }
            }
        });
        loop {
            match read_frame(&mut client)? {
                (BINARY, payload) => server.write_all(&payload)?,
                (PONG, payload) => assert_eq!(payload, b"?"),
                (CLOSE, _) => return server.shutdown(std::net::Shutdown::Write),
                (opcode, _) => panic!("a frame with opcode {opcode}"),
            }
        }
    })
}
