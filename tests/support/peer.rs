//! A listener whose connections are each served by a closure on a thread: for peers that answer by the letter, or
//! wrong. They work below MQTT or send bytes that no broker core would; other faults are for
//! [`super::scripted_broker`].

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// A peer; it listens for as long as the test runs.
pub struct Peer {
    address: SocketAddr,
}

impl Peer {
    /// Serves every connection with `serve`; its errors are those of a client that went away.
    pub fn start(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Self { address }
    }

    /// Reads one HTTP request and answers with these bytes, `chunk` at a time; then holds the connection open.
    pub fn answering(answer: impl Into<Vec<u8>>, chunk: usize) -> Self {
        let answer = answer.into();
        Self::start(move |mut stream| {
            read_head(&mut stream)?;
            write_in_pieces(&mut stream, &answer, chunk)?;
            hold(&mut stream)
        })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

/// Reads up to an empty line and no further.
pub fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// Writes `chunk` bytes at a time, each in its own segment as far as the system lets us.
pub fn write_in_pieces(stream: &mut TcpStream, bytes: &[u8], chunk: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    bytes.chunks(chunk).try_for_each(|piece| stream.write_all(piece))
}

/// Reads until the client closes.
pub fn hold(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(|_| ())
}

/// Carries bytes both ways until both sides have closed.
pub fn relay(client: &TcpStream, target: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    join(client, &server)
}

/// As [`relay`], between two connections.
pub fn join(one: &TcpStream, other: &TcpStream) -> io::Result<()> {
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    thread::scope(|scope| {
        for (from, to) in [(one, other), (other, one)] {
            scope.spawn(move || {
                let (mut from, mut to) = (from, to);
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
    Ok(())
}
