//! The mqbroker process: what it prints, how it ends, and that mosquitto's clients can work with it.
//!
//! Every broker runs on a free port in an empty working directory. mosquitto_pub and mosquitto_sub are the clients;
//! where they are missing those tests report it and pass, but in CI they fail.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use crate::support::mqbroker::{MQBROKER, Mqbroker};
use crate::support::ports;
use crate::support::process::{PATIENCE, Running, has, run, text};
use crate::support::tool;

/// A running mqbroker in an empty directory.
struct Broker {
    broker: Mqbroker,
    address: SocketAddr,
    directory: TempDir,
}

impl Broker {
    /// Starts `mqbroker ARGUMENTS` with this configuration, and waits until it logs that it runs.
    fn start(arguments: &[&str], configuration: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = mqbroker(directory.path(), arguments);
        let files = tempfile::tempdir().unwrap();
        if let Some(text) = configuration {
            let file = files.path().join("broker.conf");
            std::fs::write(&file, text).unwrap();
            command.arg("-c").arg(&file);
        }
        let broker = Mqbroker::of(&mut command);
        Self { address: broker.address(), broker, directory }
    }

    /// Waits for a line that holds this text, and returns it.
    fn wait_for(&mut self, text: &str) -> String {
        without_time(&self.broker.wait_for(text))
    }

    /// The lines that were read so far.
    fn lines(&self) -> Vec<String> {
        self.broker.stderr.seen().lines().map(without_time).collect()
    }

    /// The first line so far that holds this text.
    fn seen(&self, text: &str) -> Option<String> {
        self.lines().into_iter().find(|line| line.contains(text))
    }

    /// The addresses of TCP.
    fn addresses(&self) -> Vec<SocketAddr> {
        let lines = self.lines();
        let listening = lines.iter().filter_map(|line| line.strip_prefix("Listening on "));
        listening.filter(|address| !address.starts_with("ws://")).map(|address| address.parse().unwrap()).collect()
    }

    /// A client for it.
    fn client(&self, tool: &str, arguments: &[&str]) -> Command {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        tool::command(tool, &[&["-h", &host, "-p", &port], arguments].concat())
    }

    fn publish(&self, arguments: &[&str]) {
        let output = run(&mut self.client("mosquitto_pub", arguments));
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    /// Starts a subscriber named `id` and waits until it has subscribed.
    fn subscribe(&mut self, id: &str, arguments: &[&str]) -> Running {
        let child = Running::start(self.client("mosquitto_sub", &["-i", id, "-W", "60"]).args(arguments));
        self.wait_for(&format!("Sending SUBACK to {id}"));
        child
    }

    #[cfg(unix)]
    fn signal(&mut self, signal: &str) -> ExitStatus {
        self.broker.end_by(signal)
    }
}

/// A line of the log, which begins with its time: "1700000000: text".
fn without_time(line: &str) -> String {
    let (time, text) = line.split_once(": ").unwrap_or(("", line));
    assert!(time.parse::<u64>().is_ok_and(|seconds| seconds > 1_700_000_000), "no time: {line}");
    text.to_owned()
}

fn mqbroker(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(MQBROKER);
    command.args(arguments).current_dir(directory);
    command
}

/// Runs a mqbroker that is to fail.
fn failing(arguments: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let output = run(&mut mqbroker(directory.path(), arguments));
    (output.status.code(), text(&output.stderr))
}

/// Whether mosquitto's clients are here. In CI they must be.
fn mosquitto_clients() -> bool {
    has("mosquitto_pub") && has("mosquitto_sub")
}

fn text_of(child: Running) -> String {
    let output = child.finish();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn messages_of_every_qos_go_through_with_both_versions() {
    if !mosquitto_clients() {
        return;
    }
    let mut broker = Broker::start(&["-p", "0", "-v"], None);
    for version in ["mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let id = format!("sub-{version}-{qos}");
            let subscriber =
                broker.subscribe(&id, &["-V", version, "-t", "room/+", "-q", qos, "-C", "3", "-F", "%t %q %r %p"]);
            for text in ["one", "two", "three"] {
                broker.publish(&["-V", version, "-t", "room/a", "-q", qos, "-m", text]);
            }
            let expected = format!("room/a {qos} 0 one\nroom/a {qos} 0 two\nroom/a {qos} 0 three\n");
            assert_eq!(text_of(subscriber), expected, "{version}");
        }
    }
}

#[test]
fn a_retained_message_waits_for_its_subscriber_and_can_be_cleared() {
    if !mosquitto_clients() {
        return;
    }
    let mut broker = Broker::start(&["-p", "0", "-v"], None);
    broker.publish(&["-t", "state", "-r", "-q", "1", "-m", "on"]);
    let subscriber = broker.subscribe("late", &["-t", "state", "-C", "1", "-F", "%r %p"]);
    assert_eq!(text_of(subscriber), "1 on\n");
    broker.publish(&["-t", "state", "-r", "-q", "1", "-n"]);
    let subscriber = broker.subscribe("later", &["-t", "state", "-t", "other", "-C", "1", "-F", "%t %r %p"]);
    broker.publish(&["-t", "other", "-m", "x"]);
    assert_eq!(text_of(subscriber), "other 0 x\n");
}

#[test]
fn verbose_logs_what_the_clients_do() {
    if !mosquitto_clients() {
        return;
    }
    let mut broker = Broker::start(&["-p", "0", "-v"], None);
    broker.publish(&[
        "-i", "old", "-V", "mqttv311", "-k", "33", "-u", "joe", "-t", "a/b", "-q", "1", "-r", "-m", "hello",
    ]);
    let line = broker.wait_for("New client connected from 127.0.0.1:");
    assert!(line.ends_with(" as old (p4, c1, k33, u'joe')."), "{line}");
    assert_eq!(broker.wait_for("will message"), "No will message specified.");
    assert_eq!(broker.wait_for("CONNACK"), "Sending CONNACK to old (0, 0)");
    let line = broker.wait_for("Received PUBLISH");
    assert_eq!(line, "Received PUBLISH from old (d0, q1, r1, m1, 'a/b', ... (5 bytes))");
    assert_eq!(broker.wait_for("Sending"), "Sending PUBACK to old (m1, rc0)");
    assert_eq!(broker.wait_for("DISCONNECT"), "Received DISCONNECT from old");
    let line = broker.wait_for("Client old");
    assert!(line.starts_with("Client old [127.0.0.1:") && line.ends_with("] disconnected."), "{line}");

    let subscriber = broker.subscribe("new", &["-V", "mqttv5", "-c", "-q", "2", "-t", "a/#", "-U", "b", "-C", "1"]);
    let line = broker.seen(" as new ").unwrap();
    assert!(line.ends_with(" as new (p5, c0, k60)."), "{line}");
    for expected in ["Received SUBSCRIBE from new", "\ta/# (QoS 2)", "new 2 a/#", "Sending SUBACK to new"] {
        assert!(broker.lines().iter().any(|line| line == expected), "{expected}: {:#?}", broker.lines());
    }
    if broker.seen("Received UNSUBSCRIBE from new").is_none() {
        broker.wait_for("Received UNSUBSCRIBE from new");
    }
    assert_eq!(text_of(subscriber), "hello\n");

    let mut killed = broker.subscribe("killed", &["-t", "never"]);
    killed.kill();
    let line = broker.wait_for("Client killed");
    assert!(line.ends_with("] disconnected: connection closed by client."), "{line}");
}

#[test]
fn verbose_logs_why_a_client_was_refused() {
    let mut broker = Broker::start(&["-p", "0", "-v"], None);
    // A CONNECT of 3.1.1 that leaves the client id to the broker and yet wants its session kept.
    let mut stream = TcpStream::connect(broker.address).unwrap();
    stream.write_all(b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00").unwrap();
    let line = broker.wait_for("Protocol error from 127.0.0.1:");
    assert!(line.ends_with(": CONNECT with zero length clientid when forbidden."), "{line}");
    assert_eq!(broker.wait_for("CONNACK"), "Sending CONNACK to 127.0.0.1 (0, 2)");
    let line = broker.wait_for("Client 127.0.0.1 [127.0.0.1:");
    assert!(line.ends_with("] disconnected: protocol error."), "{line}");
}

#[test]
fn very_verbose_logs_the_bytes_of_every_packet_but_no_password() {
    let mut broker = Broker::start(&["-p", "0", "-vv"], None);
    let message = ["-V", "5", "-i", "P1", "-u", "joe", "-P", "geheim", "-q", "1", "-t", "a/b", "-m", "hi"];
    assert!(run(&mut broker.client(env!("CARGO_BIN_EXE_mqpub"), &message)).status.success());
    broker.wait_for("Client P1 [");
    let seen: Vec<String> =
        broker.lines().iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let log = seen.join("\n");
    for expected in [
        "Received CONNECT from 127.0.0.1\n10 CONNECT (type 1), flags 0000\n",
        "00 06 password, 6 bytes, not shown\nNew client connected from 127.0.0.1:",
        "Sending CONNACK to P1 (0, 0)\n20 CONNACK (type 2), flags 0000\n",
        "Received PUBLISH from P1 (d0, q1, r0, m1, 'a/b', ... (2 bytes))\n32 PUBLISH (type 3), flags DUP 0, QoS 1",
        "00 03 61 2f 62 topic 'a/b'\n00 01 packet identifier 1\n00 properties, 0 bytes\n68 69 payload, 2 bytes\n",
        "Sending PUBACK to P1 (m1, rc16)\n40 PUBACK (type 4), flags 0000\n",
        "Received DISCONNECT from P1\ne0 DISCONNECT (type 14), flags 0000\n",
    ] {
        assert!(log.contains(expected), "{expected}\n\n{log}");
    }
    assert!(!log.contains("geheim") && !log.contains("67 65 68 65"), "{log}");
}

/// A program by this name that is mqbroker.
#[cfg(unix)]
fn linked(directory: &Path, name: &str) -> std::path::PathBuf {
    let link = directory.join(name);
    std::os::unix::fs::symlink(MQBROKER, &link).unwrap();
    link
}

#[cfg(unix)]
#[test]
fn under_mosquittos_name_it_starts_and_ends_with_mosquittos_lines() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broker.conf");
    std::fs::write(&file, "listener 0 127.0.0.1\nallow_anonymous true\n").unwrap();
    let path = file.to_str().unwrap();
    let local = [
        "Starting in local only mode. Connections will only be possible from clients running on this machine.",
        "Create a configuration file which defines a listener to allow remote access.",
        "For more details see https://mosquitto.org/documentation/authentication-methods/",
    ];
    let features = ["Bridge support NOT available.", "Websockets support available."];
    for (arguments, source, then) in [
        (&["-p", "0"][..], "Using default config.".to_owned(), &local[..]),
        (&["-c", path], format!("Config loaded from {path}."), &[]),
    ] {
        for program in [linked(&tempfile::tempdir().unwrap().keep(), "mosquitto"), MQBROKER.into()] {
            let mut command = Command::new(&program);
            if program.ends_with("mqbroker") {
                command.arg("--compat");
            }
            let mut child = Running::start(command.args(arguments));
            let next = |child: &mut Running| without_time(text(&child.stderr.next_line().unwrap()).trim_end());
            let mut start: Vec<String> = Vec::new();
            while start.last().is_none_or(|line| !line.ends_with(" running")) {
                start.push(next(&mut child));
            }
            start.retain(|line| !line.starts_with("Info: running mosquitto as user: ") && !line.contains("as root"));
            assert_eq!(start[..2], ["mosquitto version 2.1.2 starting", &source]);
            assert!(features.iter().all(|feature| start.iter().any(|line| line == feature)), "{start:?}");
            assert!(then.is_empty() || start.windows(then.len()).any(|lines| lines == then), "{start:?}");
            assert!(start.iter().any(|line| line.starts_with("Opening ipv4 listen socket on port ")), "{start:?}");
            assert_eq!(start.last().unwrap(), "mosquitto version 2.1.2 running");
            child.signal("TERM");
            assert_eq!(next(&mut child), "mosquitto version 2.1.2 terminating");
            assert_eq!(child.wait().code(), Some(0), "as mosquitto");
        }
    }
    let refused = |arguments: &[&str]| failing(&[&["--compat"], arguments].concat()).0;
    assert_eq!((refused(&["--bogus"]), refused(&["-c", "/none"])), (Some(3), Some(3)));
}

#[test]
fn several_ports_are_served() {
    let broker = Broker::start(&["-p", "0", "-p", "0"], None);
    let ports: Vec<u16> = broker.addresses().iter().map(SocketAddr::port).collect();
    assert!(ports.iter().any(|port| *port != ports[0]), "{ports:?}");
    for address in broker.addresses() {
        assert!(is_let_in(&mut TcpStream::connect(address).unwrap(), "x"));
    }
}

#[test]
fn memory_is_published_under_sys() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let broker = Broker::start(&["-p", "0"], None);
    let arguments = ["-t", "$SYS/broker/heap/+", "-C", "2", "-W", "60"];
    let text = text(&run(&mut broker.client(env!("CARGO_BIN_EXE_mqsub"), &arguments)).stdout);
    let figures: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert!(figures.len() == 2 && figures.iter().all(|bytes| *bytes > 1_000_000), "{text}");
}

#[cfg(unix)]
#[test]
fn without_verbose_connections_are_logged_and_packets_are_not() {
    if !mosquitto_clients() {
        return;
    }
    let mut broker = Broker::start(&["-p", "0"], None);
    broker.publish(&["-i", "quiet", "-t", "a", "-m", "x"]);
    // A good end writes all lines that wait.
    assert_eq!(broker.signal("TERM").signal(), Some(15));
    broker.broker.stderr.read_to_end();
    assert!(broker.seen(" as quiet (p4, c1, k60).").is_some() && broker.seen("Client quiet [").is_some());
    assert_eq!((broker.seen("PUBLISH"), broker.seen("will message")), (None, None));
}

#[test]
fn without_a_configuration_only_this_machine_is_served() {
    let broker = Broker::start(&["-p", "0"], None);
    assert!(broker.seen("local only").is_some_and(|line| line.contains("listener")), "{:#?}", broker.lines());
    assert!(broker.seen("mqbroker 0.1.0 starting").is_some(), "{:#?}", broker.lines());
    let addresses = broker.addresses();
    assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    assert_eq!(addresses.len(), if has_ipv6 { 2 } else { 1 });
    for address in addresses {
        assert_eq!(address.port(), broker.address.port());
        TcpStream::connect(address).unwrap();
    }
}

#[test]
fn a_listener_of_the_configuration_serves_all_interfaces_and_can_let_everyone_in() {
    let mut broker = Broker::start(&["-v"], Some("# for the test\nlistener 0\nallow_anonymous true\n"));
    assert_eq!(broker.seen("local only"), None);
    assert_eq!(broker.seen("Warning"), None);
    assert!(broker.addresses().iter().all(|address| address.ip().is_unspecified()), "{:?}", broker.addresses());
    broker.address.set_ip([127, 0, 0, 1].into());
    TcpStream::connect(broker.address).unwrap();
    if mosquitto_clients() {
        broker.publish(&["-i", "x", "-t", "a", "-m", "x"]);
        // Not ::ffff:127.0.0.1, whichever socket took it.
        broker.wait_for("New client connected from 127.0.0.1:");
    }
}

/// A raw client asks for a WebSocket at this path: the status line of the answer.
fn web_socket_status(url: &str) -> String {
    use std::io::{Read, Write};
    let (address, path) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: \
         13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    .unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    String::from_utf8(status.to_vec()).unwrap()
}

#[test]
fn web_sockets_are_served_beside_tcp() {
    for (arguments, configuration) in [
        (&["-p", "0", "--ws-port", "0"][..], None),
        (&[], Some("listener 0 127.0.0.1\nlistener 0 127.0.0.1\nprotocol websockets\nallow_anonymous true")),
    ] {
        let broker = Broker::start(arguments, configuration);
        let url = broker.seen("Listening on ws://").unwrap().strip_prefix("Listening on ").unwrap().to_owned();
        assert_eq!(web_socket_status(&url), "HTTP/1.1 101");
        assert_eq!(web_socket_status(&format!("{url}/other")), "HTTP/1.1 404");
    }
}

#[test]
fn a_listener_without_allow_anonymous_refuses_everyone_and_warns() {
    let mut broker = Broker::start(&["-v", "-p", "1999"], Some("listener 0 127.0.0.1\nport 0\n"));
    assert!(broker.seen("Warning: -p 1999 is not used").is_some());
    let warning = broker.seen("refuses all clients").unwrap();
    assert!(warning.contains("allow_anonymous true"), "{warning}");
    assert!(broker.addresses().len() >= 2, "{:?}", broker.addresses());
    if mosquitto_clients() {
        for (version, text) in [("mqttv311", "not authorised"), ("mqttv5", "Not authorized")] {
            let arguments = ["-i", "x", "-V", version, "-t", "a", "-m", "x"];
            let output = run(&mut broker.client("mosquitto_pub", &arguments));
            assert!(!output.status.success());
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(error.contains(text), "{error}");
            let line = broker.wait_for("disconnected: not authorised.");
            assert!(line.starts_with("Client x [127.0.0.1:"), "{line}");
        }
    }
}

#[test]
fn a_taken_port_ends_it_with_1_and_the_next_step() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (code, text) = failing(&["-p", &port.to_string()]);
    assert_eq!(code, Some(1));
    let error = text.lines().last().unwrap_or_default();
    assert_eq!(
        error,
        format!(
            "Error: cannot listen on 127.0.0.1:{port}: address already in use: is another broker running there? \
             choose another port with -p"
        )
    );
    assert!(!text.contains("running\n"), "{text}");

    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("m.conf");
    std::fs::write(&file, format!("listener {port} 127.0.0.1\n")).unwrap();
    let name = file.display().to_string();
    let (code, text) = failing(&["-c", &name]);
    assert_eq!(code, Some(1));
    assert!(text.ends_with(&format!("choose another port with listener in {name}\n")), "{text}");
}

#[test]
fn faults_of_the_configuration_are_all_reported_with_file_and_line() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("m.conf");
    std::fs::write(&file, "listener 1883\n\npasword_file /etc/passwords\nallow_anonymous maybe\n").unwrap();
    let name = file.display().to_string();
    assert_eq!(
        failing(&["-c", &name]),
        (
            Some(2),
            format!(
                "Error: {name}:3: unknown directive \"pasword_file\"; did you mean password_file?\n       {name}:4: \
                 allow_anonymous: \"maybe\" is not true or false\n"
            )
        )
    );

    let missing = files.path().join("missing.conf").display().to_string();
    let (code, text) = failing(&["-c", &missing]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with(&format!("Error: cannot read the configuration file {missing}: ")), "{text}");

    std::fs::write(&file, b"listener \xff\n").unwrap();
    let (code, text) = failing(&["-c", &name]);
    assert_eq!(code, Some(2));
    assert!(text.ends_with(": it is not valid UTF-8\n"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_and_the_port_is_free_at_once() {
    for (signal, number) in [("TERM", 15), ("INT", 2)] {
        let mut broker = Broker::start(&["-p", &ports::free().to_string()], None);
        let addresses = broker.addresses();
        // Neither a client nor one that never says a word may hold it up for long.
        let silent = TcpStream::connect(broker.address).unwrap();
        let status = broker.signal(signal);
        assert_eq!(status.signal(), Some(number), "{signal}");
        for address in addresses {
            TcpListener::bind(address).unwrap();
        }
        broker.wait_for("mqbroker terminating");
        drop(silent);
    }
}

#[cfg(unix)]
#[test]
fn it_leaves_no_file_behind() {
    if !mosquitto_clients() {
        return;
    }
    let mut broker = Broker::start(&["-p", "0", "-v"], None);
    // What a broker would keep: a session, a message for it while it is away, a retained message.
    let subscriber = broker.subscribe("away", &["-c", "-q", "1", "-t", "kept", "-E"]);
    text_of(subscriber);
    broker.wait_for("Client away [");
    broker.publish(&["-t", "kept", "-q", "1", "-r", "-m", "x"]);
    let subscriber = broker.subscribe("away", &["-c", "-q", "1", "-t", "kept", "-C", "1"]);
    assert_eq!(text_of(subscriber), "x\n");
    assert_eq!(broker.signal("TERM").signal(), Some(15));
    assert_eq!(std::fs::read_dir(broker.directory.path()).unwrap().count(), 0);
}

/// Whether a CONNECT of this client is answered with yes.
fn is_let_in(stream: &mut TcpStream, client_id: &str) -> bool {
    use std::io::Read;
    let mut connect = vec![0x10, 12 + client_id.len() as u8];
    connect.extend(b"\x00\x04MQTT\x04\x02\x00\x00\x00");
    connect.push(client_id.len() as u8);
    connect.extend(client_id.as_bytes());
    let mut connack = [0; 4];
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&connect).is_ok() && stream.read_exact(&mut connack).is_ok() && connack == [0x20, 2, 0, 0]
}

#[test]
fn a_foreign_web_page_may_not_connect_and_a_silent_handshake_holds_up_nobody() {
    use std::io::Read;
    let broker = Broker::start(&["-p", "0", "--ws-port", "0"], None);
    let url = broker.seen("Listening on ws://").unwrap().strip_prefix("Listening on ").unwrap().to_owned();
    let (address, _) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    for (origin, status) in [("http://localhost:3000", "101"), ("https://evil.example", "403")] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET /mqtt HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: \
             {origin}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(std::str::from_utf8(&answer[9..]).unwrap(), status, "{origin}");
    }
    drop(silent);
}

/// Accepting stops while there are no descriptors, costs nothing meanwhile, and goes on by itself.
#[cfg(target_os = "linux")]
#[test]
fn without_descriptors_it_waits_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let limited = format!("ulimit -n 60; exec {MQBROKER} -p 0 -v");
    let mut broker = Mqbroker::of(Command::new("sh").args(["-c", &limited]).current_dir(directory.path()));
    let address = broker.address();
    let mut streams: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    broker.wait_for("Unable to accept new connection");
    assert!(is_let_in(&mut streams[0], "first"));
    let ticks = |id: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks(broker.id());
    for _ in 0..3 {
        broker.wait_for("Unable to accept new connection");
    }
    // Three pauses of a tenth of a second: a broker that spins would have used them up.
    assert!(ticks(broker.id()) - before < 10);
    let mut last = streams.pop().unwrap();
    drop(streams);
    assert!(is_let_in(&mut last, "last"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_does_not_read_does_not_fill_the_memory() {
    let broker = Broker::start(&["-p", "0"], None);
    let mut slow = TcpStream::connect(broker.address).unwrap();
    assert!(is_let_in(&mut slow, "slow"));
    slow.write_all(b"\x82\x06\x00\x01\x00\x01a\x00").unwrap();
    let mut fast = TcpStream::connect(broker.address).unwrap();
    assert!(is_let_in(&mut fast, "fast"));
    let mut publish = vec![0x30, 0x80 | (10_003 & 0x7F) as u8, (10_003 >> 7) as u8, 0, 1, b'a'];
    publish.extend(vec![b'x'; 10_000]);
    for _ in 0..20_000 {
        fast.write_all(&publish).unwrap();
    }
    let kilobytes = broker.broker.resident_kb();
    // Of 200 MB.
    assert!(kilobytes < 60_000, "{kilobytes} KB");
}
