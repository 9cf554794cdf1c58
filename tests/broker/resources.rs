//! What one client may cost the others: slow readers, slow handshakes, very many connections, and an end under load.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mqtools::mqtt::wire::{AckKind, Packet, Publish};
use mqtools::mqtt::{ProtocolVersion, QoS};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::mqbroker::Mqbroker;
use crate::support::process::PATIENCE;
use crate::support::raw_client::{RawClient, message};

const OPEN: &str = "listener 0 127.0.0.1\nallow_anonymous true\n";
const V311: ProtocolVersion = ProtocolVersion::V311;

/// Twenty subscribers that take nothing, at QoS 0 and QoS 1: each costs its limit, which is far below what was sent,
/// and the publisher and a subscriber that reads are served meanwhile.
#[test]
fn readers_that_do_not_read_cost_their_limit() {
    let broker = Mqbroker::start(&format!("{OPEN}max_queued_bytes 1000000\n"));
    let before = broker.resident_kb();
    let slow: Vec<RawClient> = (0..20)
        .map(|number| {
            let mut client = RawClient::connect(broker.address(), V311, &format!("slow{number}"));
            client.subscribe("flood", [QoS::AtMostOnce, QoS::AtLeastOnce][number % 2]);
            client
        })
        .collect();
    let mut reader = RawClient::connect(broker.address(), V311, "reader");
    reader.subscribe("flood", QoS::AtMostOnce);
    let mut publisher = RawClient::connect(broker.address(), V311, "publisher");
    let sent = message("flood", vec![b'x'; 100_000], QoS::AtLeastOnce);
    for identifier in 1..=1000u16 {
        publisher.publish(&sent, identifier, false);
        assert_eq!(publisher.receive_ack().kind, AckKind::Puback);
        assert_eq!(reader.receive_publish().0.payload.len(), sent.payload.len());
    }
    // 100 MB for each of twenty. What waits to be written is 8 MiB at most for each of the ten of QoS 0, but their
    // payloads are stored once; what sockets hold is the kernel's.
    let grown = broker.resident_kb() - before;
    assert!(grown < 60_000, "{grown} KB more");
    drop(slow);
}

/// One byte now and then, as far as a handshake goes.
fn dribble(address: SocketAddr, bytes: &'static [u8], stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<Duration> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let start = Instant::now();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        for byte in bytes.iter().cycle() {
            let mut answer = [0; 64];
            match stream.read(&mut answer) {
                Ok(0) => break,
                Err(error) if ![ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => break,
                _ => {}
            }
            assert!(start.elapsed() < PATIENCE, "it may dribble for ever");
            if stream.write_all(&[*byte]).is_err() {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        start.elapsed()
    })
}

/// Handshakes that dribble hold up nobody, and end after the ten seconds in which a CONNECT must come.
#[test]
fn slow_handshakes_hold_up_nobody_and_are_ended() {
    let broker = Mqbroker::start_with(
        "listener 0 127.0.0.1\nlistener 0 127.0.0.1\nprotocol websockets\nlistener 0 127.0.0.1\ncertfile server.pem\n\
         keyfile server.key\nallow_anonymous true\n",
        |folder| {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            std::fs::write(folder.join("server.pem"), made.cert.pem()).unwrap();
            std::fs::write(folder.join("server.key"), made.signing_key.serialize_pem()).unwrap();
        },
    );
    let addresses = broker.addresses();
    // A CONNECT of 16 KiB, a ClientHello of 16 KiB, a request whose head does not end.
    const CONNECT: &[u8] =
        b"\x10\x80\x80\x01\x00\x04MQTT\x04\x02\x00\x3c\x3f\x00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const REQUEST: &[u8] =
        b"GET /mqtt HTTP/1.1\r\nHost: x\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const HELLO: &[u8] =
        b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    // Some that say nothing at all, beside one that dribbles.
    let silent: Vec<TcpStream> =
        addresses.iter().flat_map(|address| (0..5).map(|_| TcpStream::connect(*address).unwrap())).collect();
    let slow: Vec<_> = addresses
        .iter()
        .zip([CONNECT, HELLO, REQUEST])
        .map(|(address, bytes)| dribble(*address, bytes, &stop))
        .collect();
    assert_eq!(slow.len(), 3);
    let mut served = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut client = RawClient::connect(broker.address(), V311, "served");
        client.publish(&message("t", "x", QoS::AtLeastOnce), 1, false);
        assert_eq!(client.receive_ack().kind, AckKind::Puback);
        served += 1;
    }
    assert!(served > 10, "{served}");
    for thread in slow {
        let lasted = thread.join().unwrap();
        assert!(lasted >= Duration::from_secs(9), "ended after {lasted:?}");
    }
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
}

/// 5,000 clients at once: all are let in, hear a message and answer a PINGREQ.
#[test]
fn five_thousand_connections_at_once() {
    const CLIENTS: usize = 5000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let needed = CLIENTS as u64 + 200;
    if hard < needed {
        println!("skipped: {needed} open files are needed, and the limit is {hard} (ulimit -Hn)");
        return;
    }
    // The broker inherits it.
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(needed), hard).unwrap();
    let broker = Mqbroker::start(OPEN);
    let mut clients: Vec<RawClient> = (0..CLIENTS)
        .map(|number| {
            let mut client = RawClient::connect(broker.address(), V311, &format!("many{number}"));
            client.send(&Packet::Subscribe(subscribe("all")));
            client
        })
        .collect();
    for client in &mut clients {
        let suback = client.receive_bytes().unwrap();
        assert_eq!(suback[0], 0x90);
    }
    let mut publisher = RawClient::connect(broker.address(), V311, "publisher");
    publisher.publish(&message("all", "x", QoS::AtLeastOnce), 1, false);
    assert_eq!(publisher.receive_ack().kind, AckKind::Puback);
    for client in &mut clients {
        assert_eq!(client.receive_publish().0.payload, "x");
        client.send(&Packet::Pingreq);
    }
    for client in &mut clients {
        assert_eq!(client.receive_bytes().unwrap(), [0xD0, 0]);
    }
}

fn subscribe(filter: &str) -> mqtools::mqtt::wire::Subscribe {
    use mqtools::mqtt::wire::{Subscribe, SubscribeFilter};
    let filters = vec![SubscribeFilter { filter: filter.to_owned(), ..SubscribeFilter::default() }];
    Subscribe { packet_identifier: 1, filters, ..Subscribe::default() }
}

/// SIGTERM ends it while publishers flood it, a reader does not read and retained messages are on their way.
#[test]
fn sigterm_ends_it_whatever_is_going_on() {
    let mut broker = Mqbroker::start(OPEN);
    let address = broker.address();
    let mut slow = RawClient::connect(address, V311, "slow");
    slow.subscribe("#", QoS::AtLeastOnce);
    let mut packet = Vec::new();
    let sent = message("flood", vec![b'x'; 1000], QoS::AtMostOnce);
    Packet::Publish(Publish::of(&sent, 0, false)).encode(V311, &mut packet).unwrap();
    let packets = Arc::new(packet.repeat(100));
    let publishers: Vec<_> = (0..4)
        .map(|number| {
            let packets = Arc::clone(&packets);
            let (started, ready) = std::sync::mpsc::channel();
            let thread = std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                let hello = [b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01", &[b'a' + number][..]].concat();
                stream.write_all(&hello).unwrap();
                while stream.write_all(&packets).is_ok() {
                    let _ = started.send(());
                }
            });
            ready.recv_timeout(PATIENCE).unwrap();
            thread
        })
        .collect();
    let start = Instant::now();
    let status = broker.end_by("TERM");
    assert_eq!(status.signal(), Some(15));
    // It promises a second; the guard is for a machine that does ten other things.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
}
