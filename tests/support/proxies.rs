//! Proxies that do what they should: SOCKS5 (RFC 1928, 1929) and HTTP CONNECT, with or without a login.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::peer::{Peer, join, read_head, write_in_pieces};

/// A proxy on a free loopback port.
pub struct Proxy {
    peer: Peer,
    targets: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A SOCKS5 proxy whose answers come `chunk` bytes at a time; with a login nobody else gets in.
    pub fn socks5(login: Option<(&'static str, &'static str)>, chunk: usize) -> Self {
        Self::start(move |stream, targets| {
            let target = socks5_target(&mut stream.try_clone()?, login, chunk)?;
            targets.lock().unwrap().push(target.clone());
            let Some(server) = connect(&target) else {
                return write_in_pieces(stream, &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0], chunk);
            };
            // A name as bound address is rare and allowed.
            let reply = [&[5, 0, 0, 3, 1][..], b"x", &[0, 0]].concat();
            write_in_pieces(stream, &reply, chunk)?;
            join(stream, &server)
        })
    }

    /// An HTTP proxy that knows CONNECT only.
    pub fn http(login: Option<(&'static str, &'static str)>, chunk: usize) -> Self {
        let wanted = login.map(|(user, password)| STANDARD.encode(format!("{user}:{password}")));
        Self::start(move |stream, targets| {
            let head = read_head(stream)?;
            if wanted.as_ref().is_some_and(|wanted| !head.lines().any(|line| is_basic(line, wanted))) {
                let refusal =
                    "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
                return write_in_pieces(stream, refusal.as_bytes(), chunk);
            }
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            targets.lock().unwrap().push(target.clone());
            match connect(&target) {
                None => write_in_pieces(stream, b"HTTP/1.1 502 Bad Gateway\r\n\r\n", chunk),
                Some(server) => {
                    write_in_pieces(stream, b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n", chunk)?;
                    join(stream, &server)
                }
            }
        })
    }

    fn start(serve: impl Fn(&mut TcpStream, &Mutex<Vec<String>>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let targets = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&targets);
        Self { peer: Peer::start(move |mut stream| serve(&mut stream, &seen)), targets }
    }

    /// `127.0.0.1:PORT`
    pub fn addr(&self) -> String {
        self.peer.addr().to_string()
    }

    /// What its clients asked for, as `host:port`.
    pub fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
}

/// Whether a field of a head is this Basic login. Its name and the scheme may be in any case, the login may not.
fn is_basic(line: &str, login: &str) -> bool {
    let Some((name, value)) = line.split_once(": ") else { return false };
    let Some((scheme, given)) = value.split_once(' ') else { return false };
    name.eq_ignore_ascii_case("proxy-authorization") && scheme.eq_ignore_ascii_case("basic") && given == login
}

/// `.test` is for tests (RFC 6761): the proxy knows such names, and nobody else does.
fn connect(target: &str) -> Option<TcpStream> {
    let target = target.replace("broker.test", "127.0.0.1");
    target.to_socket_addrs().ok()?.find_map(|address| TcpStream::connect(address).ok())
}

fn socks5_target(stream: &mut TcpStream, login: Option<(&str, &str)>, chunk: usize) -> io::Result<String> {
    let [version, count] = read(stream)?;
    let mut methods = vec![0; usize::from(count)];
    stream.read_exact(&mut methods)?;
    let method = if login.is_some() { 2 } else { 0 };
    if version != 5 || !methods.contains(&method) {
        write_in_pieces(stream, &[5, 0xFF], chunk)?;
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    write_in_pieces(stream, &[5, method], chunk)?;
    if let Some((user, password)) = login {
        let [_, length] = read(stream)?;
        let given_user = text(stream, length)?;
        let [length] = read(stream)?;
        let right = (given_user.as_str(), text(stream, length)?.as_str()) == (user, password);
        write_in_pieces(stream, &[1, u8::from(!right)], chunk)?;
        if !right {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    let [_, _command, _, kind] = read(stream)?;
    let host = match kind {
        1 => Ipv4Addr::from(read::<4>(stream)?).to_string(),
        // What `localhost` is first on most machines.
        4 => format!("[{}]", Ipv6Addr::from(read::<16>(stream)?)),
        3 => {
            let [length] = read(stream)?;
            text(stream, length)?
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let port = u16::from_be_bytes(read(stream)?);
    stream.flush()?;
    Ok(format!("{host}:{port}"))
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(stream: &mut TcpStream, length: u8) -> io::Result<String> {
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}
