//! What mqbroker's files do: passwords, access lists, certificates, the database, logs; each file shared with
//! Debian's mosquitto where both read it. Where mosquitto is missing those tests say so and pass, but in CI they fail.
#![cfg(unix)]

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::mosquitto::Mosquitto;
use crate::support::mqbroker::{MQBROKER, Mqbroker};
use crate::support::process::{self, Printed, Running, has, signal};
use crate::support::tool;
use crate::support::whole::assert_whole;

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");

/// A running mqbroker with a configuration file in a folder of the test.
struct Broker(Mqbroker);

impl Broker {
    fn start(folder: &Path, configuration: &str) -> Self {
        Self(Mqbroker::start_in(folder, configuration, &[]))
    }

    fn client(&self, tool: &str, arguments: &[&str]) -> Command {
        tool::command(tool, &[&["-h", "localhost", "-p", &self.port()], arguments].concat())
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> Output {
        process::run(&mut self.client(tool, arguments))
    }

    /// The exit status of a publisher.
    fn publish(&self, arguments: &[&str]) -> Option<i32> {
        self.run(MQPUB, arguments).status.code()
    }
}

impl Deref for Broker {
    type Target = Mqbroker;

    fn deref(&self) -> &Mqbroker {
        &self.0
    }
}

impl DerefMut for Broker {
    fn deref_mut(&mut self) -> &mut Mqbroker {
        &mut self.0
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sets a password as a script does.
fn passwd(file: &Path, user: &str, password: &str) {
    let line = format!("{password}\n");
    let ended = tool::run(MQBROKER, &["passwd", file.to_str().unwrap(), user], line.as_bytes());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

const ALLOW: &str = "listener 0 127.0.0.1\nallow_anonymous true\n";

#[test]
fn a_connection_above_a_limit_is_logged_with_the_name_of_the_limit() {
    for (settings, limit) in [
        (format!("{ALLOW}max_connections 1\n"), "max_connections"),
        (format!("{ALLOW}global_max_connections 1\n"), "global_max_connections"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut broker = Broker::start(folder.path(), &settings);
        let _connections = [(); 2].map(|()| std::net::TcpStream::connect(broker.address()).unwrap());
        broker.wait_for(&format!("Client connection from 127.0.0.1 denied: {limit} exceeded."));
    }
}

#[test]
fn passwords_and_access_lists_decide_and_are_read_again_on_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    passwd(&users, "ann", "secret");
    fs::write(folder.path().join("acl"), "user ann\ntopic write out/#\ntopic read in/#\n").unwrap();
    let mut broker = Broker::start(folder.path(), "listener 0 127.0.0.1\npassword_file users\nacl_file acl\n");
    let ann = ["-u", "ann", "-P", "secret", "-V", "5", "-q", "1", "-m", "x"];
    let to = |topic| [&ann[..], &["-t", topic]].concat();
    assert_eq!(broker.publish(&to("out/a")), Some(0));
    assert_eq!(broker.publish(&to("in/a")), Some(135), "she may only read there");
    assert_eq!(broker.publish(&["-u", "ann", "-P", "wrong", "-t", "out/a", "-m", "x"]), Some(135));
    assert_eq!(broker.publish(&["-t", "out/a", "-m", "x"]), Some(135));
    let seen = broker.run(MQSUB, &["-u", "ann", "-P", "secret", "-t", "#", "-W", "0.3"]);
    assert_eq!(text(&seen), "", "nothing is retained where she may read");

    passwd(&users, "ann", "changed");
    broker.signal("HUP");
    broker.wait_for("Reloading config.");
    // A file with a fault changes nothing.
    assert_eq!(broker.publish(&["-u", "ann", "-P", "changed", "-t", "out/a", "-m", "x"]), Some(0));
    fs::write(&users, "nonsense\n").unwrap();
    broker.signal("HUP");
    let line = broker.wait_for("nothing was reloaded");
    assert!(line.contains("users:1: "), "{line}");
    assert_eq!(broker.publish(&["-u", "ann", "-P", "changed", "-t", "out/a", "-m", "x"]), Some(0));
}

#[test]
fn a_password_that_takes_long_to_hash_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    // 10,000,000 iterations: seconds of work.
    let line = format!("ann:$7$10000000$c2FsdA==${}==\n", "A".repeat(86));
    fs::write(folder.path().join("users"), line).unwrap();
    let broker = Broker::start(folder.path(), &format!("{ALLOW}password_file users\n"));
    let guess = ["-u", "ann", "-P", "wrong", "-t", "a", "-m", "x"];
    let mut guess = Running::start(&mut broker.client(MQPUB, &guess));
    for _ in 0..3 {
        assert_eq!(broker.publish(&["-t", "a", "-m", "x", "-q", "1"]), Some(0));
    }
    assert!(!guess.has_ended(), "its password was hashed while the others were served");
}

#[test]
fn password_files_are_shared_with_mosquitto() {
    if !has("mosquitto_passwd") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (folder.path().join("theirs"), folder.path().join("ours"));
    fs::write(&theirs, "").unwrap();
    let made = tool::run("mosquitto_passwd", &["-b", theirs.to_str().unwrap(), "ann", "secret"], b"");
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    passwd(&ours, "ann", "secret");
    for file in ["theirs", "ours"] {
        let broker = Broker::start(folder.path(), &format!("listener 0 127.0.0.1\npassword_file {file}\n"));
        for (password, status) in [("secret", 0), ("wrong", 135)] {
            let arguments = ["-u", "ann", "-P", password, "-t", "a", "-m", "x", "-q", "1"];
            assert_eq!(broker.publish(&arguments), Some(status), "{file}");
        }
    }
    let configuration = format!("user root\npassword_file {}\n", ours.display());
    let Some(mosquitto) = Mosquitto::start_with(&configuration, |_| {}) else { return };
    let client = |password: &str| {
        let (port, message) = (mosquitto.port(), ["-u", "ann", "-P", password, "-t", "a", "-m", "x", "-q", "1"]);
        tool::run(MQPUB, &[&["-p", &port], &message[..]].concat(), b"").code
    };
    assert_eq!((client("secret"), client("wrong")), (Some(0), Some(135)));
}

/// A CA, a server and a client, made by rcgen: paths of `ca.pem`, `server.pem`, `server.key`, `client.pem`,
/// `client.key`.
fn certificates(folder: &Path) -> impl Fn(&str) -> PathBuf + use<> {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    let folder = folder.to_owned();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "test CA");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    for (name, common_name) in [("server", "localhost"), ("client", "device-7")] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![common_name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let certificate = params.signed_by(&key, &ca).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    move |name| folder.join(name)
}

#[test]
fn tls_listeners_ask_for_certificates_and_name_clients_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = certificates(folder.path());
    fs::write(folder.path().join("acl"), "user device-7\ntopic a/#\n").unwrap();
    let broker = Broker::start(
        folder.path(),
        "listener 0 127.0.0.1\ncertfile server.pem\nkeyfile server.key\ncafile ca.pem\nrequire_certificate true\n\
         use_identity_as_username true\nacl_file acl\n",
    );
    let file = |name| path(name).display().to_string();
    let (ca, certificate, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let shown = ["--cafile", &ca, "--cert", &certificate, "--key", &key, "-V", "5", "-q", "1", "-m", "x"];
    assert_eq!(broker.publish(&[&shown[..], &["-t", "a/b"]].concat()), Some(0));
    assert_eq!(broker.publish(&[&shown[..], &["-t", "other"]].concat()), Some(135));
    let large = file("large");
    fs::write(&large, "x".repeat(300_000)).unwrap();
    let large = [&shown[..10], &["-t", "a/large", "-f", &large]].concat();
    assert_eq!(broker.publish(&large), Some(0), "more than one record");
    assert_eq!(broker.publish(&["--cafile", &ca, "-t", "a/b", "-m", "x"]), Some(1), "no certificate");
    assert_eq!(broker.publish(&["-t", "a/b", "-m", "x", "--connect-timeout", "2"]), Some(1), "no TLS");
}

/// While the broker serves others, the second flight of a client arrives; it is not read by the way and then forgotten.
#[test]
fn many_tls_clients_connect_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = certificates(folder.path());
    let broker = Broker::start(folder.path(), &format!("{ALLOW}certfile server.pem\nkeyfile server.key\n"));
    let ca = path("ca.pem").display().to_string();
    let storm = ["conn", "--cafile", &ca, "--clients", "400", "--hold", "100ms", "--connect-timeout", "60", "--json"];
    let output = broker.run(env!("CARGO_BIN_EXE_mqbench"), &storm);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let clients = &found["clients"];
    assert_eq!((&clients["connected"], &clients["failed"]), (&400.into(), &0.into()), "{clients}");
    assert_eq!(output.status.code(), Some(0));
}

fn durable(folder: &Path, more: &str) -> Broker {
    Broker::start(folder, &format!("{ALLOW}persistence true\npersistence_location data\n{more}"))
}

#[test]
fn retained_messages_sessions_and_queues_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for (sync, signal) in [("always", "KILL"), ("interval", "TERM")] {
        let mut broker = durable(folder.path(), &format!("persistence_sync {sync}\n"));
        let session = ["-i", "durable", "-c", "-t", "q/#", "-q", "2"];
        let taken = broker.run(MQSUB, &[&session[..], &["-E"]].concat());
        assert!(taken.status.success());
        assert_eq!(broker.publish(&["-t", "r/a", "-m", sync, "-r", "-q", "1"]), Some(0));
        for qos in ["0", "1", "2"] {
            assert_eq!(broker.publish(&["-t", &format!("q/{qos}"), "-m", qos, "-q", qos]), Some(0));
        }
        broker.end_by(signal);
        drop(broker);
        let broker = durable(folder.path(), "");
        assert_eq!(text(&broker.run(MQSUB, &["-t", "r/#", "-C", "1", "-W", "20"])), format!("{sync}\n"));
        let queued = broker.run(MQSUB, &[&session[..], &["-C", "2", "-W", "20", "-v"]].concat());
        assert_eq!(text(&queued), "q/1 1\nq/2 2\n");
    }
}

/// Every acknowledged line is there after the broker was killed, whatever it was doing,
/// and none is there twice at QoS 2.
#[test]
fn nothing_acknowledged_is_lost_when_the_broker_is_killed() {
    const KILLS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let session = ["-i", "durable", "-c", "-t", "load", "-q", "2"];
    assert!(durable(folder.path(), "").run(MQSUB, &[&session[..], &["-E"]].concat()).status.success());
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let mut broker = durable(folder.path(), "max_queued_messages 0\nmax_queued_bytes 0\n");
        // Each of these ends with the publisher's word that its message was completed, or with the broker.
        let port = broker.port();
        let publishers: Vec<_> = (0..3)
            .map(|publisher| {
                let port = port.clone();
                std::thread::spawn(move || {
                    let mut done = Vec::new();
                    for number in 0.. {
                        let line = format!("{round}-{publisher}-{number}");
                        let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", "load", "-q", "2", "-m", &line];
                        if tool::run(MQPUB, &arguments, b"").code != Some(0) {
                            return done;
                        }
                        done.push(line);
                    }
                    done
                })
            })
            .collect();
        // Killed once it has acknowledged something, at a moment that nobody has chosen.
        let wait = broker.run(MQSUB, &["-t", "load", "-q", "1", "-C", "2", "-W", "30"]);
        assert!(wait.status.success());
        broker.kill();
        for publisher in publishers {
            acknowledged.extend(publisher.join().unwrap());
        }
    }
    let broker = durable(folder.path(), "max_queued_messages 0\nmax_queued_bytes 0\n");
    let received = text(&broker.run(MQSUB, &[&session[..], &["-W", "3", "--quiet"]].concat()));
    let received: Vec<&str> = received.lines().collect();
    let mut once = received.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), received.len(), "a message came twice");
    let missing: Vec<&String> =
        acknowledged.iter().filter(|line| once.binary_search(&line.as_str()).is_err()).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), acknowledged.len());
    assert!(acknowledged.len() >= KILLS, "{} were acknowledged", acknowledged.len());
}

#[test]
fn a_database_that_cannot_be_used_ends_it_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let broker = durable(folder.path(), "");
    let again = |file: &str| -> Output {
        let text = format!("{ALLOW}persistence true\npersistence_location data\npersistence_file {file}\n");
        fs::write(folder.path().join("second.conf"), text).unwrap();
        process::run(Command::new(MQBROKER).args(["-c", "second.conf"]).current_dir(folder.path()))
    };
    let errors = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let second = again("mqbroker.db");
    assert_eq!(second.status.code(), Some(1));
    assert!(errors(&second).contains("is in use by another broker"), "{}", errors(&second));
    drop(broker);
    fs::write(folder.path().join("data/foreign"), "not a database").unwrap();
    let foreign = again("foreign");
    assert_eq!(foreign.status.code(), Some(1));
    assert!(errors(&foreign).contains("move it away to start with an empty one"), "{}", errors(&foreign));
}

#[test]
fn test_config_reads_every_file_and_opens_nothing() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let check = |text: &str| -> (Option<i32>, String) {
        fs::write(folder.path().join("c.conf"), text).unwrap();
        let mut command = Command::new(MQBROKER);
        let output = process::run(command.args(["-c", "c.conf", "--test-config"]).current_dir(folder.path()));
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(check(ALLOW), (Some(0), "The configuration is valid.\n".to_owned()));
    let (code, text) = check("listener 1\ncertfile none.pem\nkeyfile none.key\npassword_file nobody\n");
    assert_eq!(code, Some(2));
    let expected = "\
        Error: TLS: none.pem: No such file or directory\n\
        \x20      cannot read the password_file nobody: No such file or directory (os error 2)\n";
    assert_whole(&text, expected);
}

#[test]
fn logs_go_where_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(
        folder.path(),
        &format!("{ALLOW}log_dest stderr\nlog_dest file broker.log\nlog_dest topic\nlog_timestamp_format %Y at\n"),
    );
    let log_topic = ["-t", "$SYS/broker/log/N", "-C", "1", "-W", "30", "-d"];
    let mut subscriber = Running::start(&mut broker.client(MQSUB, &log_topic));
    subscriber.stderr.wait_for("received SUBACK");
    assert_eq!(broker.publish(&["-i", "noticed", "-t", "a", "-m", "x"]), Some(0));
    let published = text(&subscriber.finish());
    assert!(published.contains(" at: New c"), "{published}");
    drop(broker);
    let file = fs::read_to_string(folder.path().join("broker.log")).unwrap();
    assert!(file.lines().all(|line| line.starts_with("20") && line.contains(" at: ")), "{file}");
    assert!(file.contains(" as noticed (p4, c1, k60)."), "{file}");
}

/// A broker in the background. Its log goes to a pipe that is read here, so that there is something to wait for.
struct Daemon {
    log: Printed,
    pid: u32,
}

impl Daemon {
    fn start(folder: &Path, configuration: &str) -> Self {
        let (pipe, pid_file, file) = (folder.join("log"), folder.join("pid"), folder.join("daemon.conf"));
        assert!(process::run(Command::new("mkfifo").arg(&pipe)).status.success());
        let paths = format!("log_dest file {}\npid_file {}\n", pipe.display(), pid_file.display());
        fs::write(&file, format!("{configuration}{paths}")).unwrap();
        let mut command = Command::new(MQBROKER);
        let mut starter = Running::start(command.args(["-v", "-d", "-c"]).arg(&file).current_dir(folder));
        let log = Printed::of(fs::File::open(&pipe).unwrap());
        assert!(starter.wait().success(), "the shell gets its prompt back");
        let mut daemon = Self { log, pid: 0 };
        daemon.log.wait_for("mqbroker running");
        daemon.pid = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        assert_ne!(daemon.pid, starter.id());
        daemon
    }

    fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
        line.unwrap().split('\t').next().unwrap().to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only while the pipe is open it is this process.
        if !self.log.has_ended() {
            signal(self.pid, "KILL");
        }
    }
}

#[test]
fn in_the_background_it_has_no_terminal_and_a_pid_file_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), ALLOW);
    signal(daemon.pid, "TERM");
    daemon.log.wait_for("mqbroker terminating");
    // The end of the log is the end of the process.
    daemon.log.read_to_end();
    assert!(!folder.path().join("pid").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn root_gives_up_its_rights_for_the_user_of_the_configuration() {
    if !fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t") {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The database is made by root and goes on being written by the user.
    let data = "persistence true\npersistence_location data\n";
    let daemon = Daemon::start(folder.path(), &format!("{ALLOW}user nobody\n{data}"));
    let nobody = process::run(Command::new("id").args(["-u", "nobody"]));
    assert_eq!(daemon.status("Uid"), text(&nobody).trim());
    assert_ne!(daemon.status("Gid"), "0");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder.path().join("data/mqbroker.db")).unwrap());
    assert_eq!(owner.to_string(), text(&nobody).trim());

    fs::write(folder.path().join("none.conf"), format!("{ALLOW}user no-such-user\n")).unwrap();
    let output = process::run(Command::new(MQBROKER).args(["-c", "none.conf"]).current_dir(folder.path()));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot run as user no-such-user"));
}

#[test]
fn sigusr1_saves_and_sigusr2_prints_the_subscriptions() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = durable(folder.path(), "persistence_sync interval\n");
    assert!(broker.run(MQSUB, &["-i", "s", "-c", "-t", "a/+", "-q", "1", "-E"]).status.success());
    assert_eq!(broker.publish(&["-t", "r", "-m", "saved", "-r", "-q", "1"]), Some(0));
    broker.signal("USR1");
    let line = broker.wait_for("Saving in-memory database to ");
    assert!(line.trim_end().ends_with("data/mqbroker.db."), "{line}");
    // Signals are handled one after the other: what this one prints comes when the other is done.
    broker.signal("USR2");
    broker.wait_for("Subscriptions");
    assert!(broker.wait_for("a/+").ends_with(": \ta/+ s 1"));
    broker.end_by("KILL");
    drop(broker);
    let broker = durable(folder.path(), "");
    assert_eq!(text(&broker.run(MQSUB, &["-t", "r", "-C", "1", "-W", "20"])), "saved\n");
}

#[test]
fn a_client_without_tls_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let _ = certificates(folder.path());
    let mut broker = Broker::start(folder.path(), &format!("{ALLOW}certfile server.pem\nkeyfile server.key\n"));
    let _ = broker.publish(&["-t", "a", "-m", "x"]);
    broker.wait_for("disconnected: it does not use TLS, which this listener requires.");
}

#[test]
fn what_stops_the_start_stands_in_the_log_file() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let file = folder.path().join("broker.conf");
    fs::write(&file, format!("listener {port} 127.0.0.1\nlog_dest file log\n")).unwrap();
    let ended =
        Command::new(env!("CARGO_BIN_EXE_mqbroker")).arg("-c").arg(&file).current_dir(folder.path()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("Error: cannot listen on 127.0.0.1:"), "{log}");
}

#[test]
fn sighup_reads_certificates_again_and_keeps_the_old_ones_when_they_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = certificates(folder.path());
    let listeners = [
        format!("{ALLOW}certfile server.pem\nkeyfile server.key\n"),
        format!("listener 0 {}\ncertfile client.pem\nkeyfile client.key\n", folder.path().join("socket").display()),
    ];
    let mut broker = Broker::start(folder.path(), &listeners.concat());
    let old = folder.path().join("old.pem");
    fs::copy(path("ca.pem"), &old).unwrap();
    let reload = |broker: &mut Broker| {
        broker.signal("HUP");
        broker.wait_for("Reloading config.");
        broker.signal("USR2");
        broker.wait_for("Subscriptions");
    };
    let trusted = |broker: &Broker, ca: &Path| {
        broker.publish(&["--cafile", ca.to_str().unwrap(), "-t", "a", "-m", "x", "-q", "1"]) == Some(0)
    };
    assert!(trusted(&broker, &old));
    // A key that does not fit changes nothing.
    let key = fs::read(path("server.key")).unwrap();
    fs::copy(path("client.key"), path("server.key")).unwrap();
    broker.signal("HUP");
    broker.wait_for("nothing was reloaded");
    assert!(trusted(&broker, &old));
    fs::write(path("server.key"), key).unwrap();
    // Nor does the fault of another listener, or half of a new set would be in use.
    let path = certificates(folder.path());
    let key = fs::read(path("client.key")).unwrap();
    fs::write(path("client.key"), "nonsense").unwrap();
    broker.signal("HUP");
    broker.wait_for("nothing was reloaded");
    assert!(trusted(&broker, &old));
    fs::write(path("client.key"), key).unwrap();
    reload(&mut broker);
    assert_eq!((trusted(&broker, &path("ca.pem")), trusted(&broker, &old)), (true, false));
}

/// The size of files is limited as a full disk limits it, and room is made again.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_nobody_is_reported_and_what_was_not_saved_is_saved_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.conf");
    fs::write(&file, format!("{ALLOW}persistence true\npersistence_location data\nsys_interval 1\n")).unwrap();
    // Without this trap the system would end a process that writes more.
    let script = format!("trap '' XFSZ; exec {MQBROKER} -c {}", file.display());
    let mut broker = Broker(Mqbroker::of(Command::new("sh").args(["-c", &script]).current_dir(folder.path())));
    let limit = |broker: &Broker, size: &str| {
        let (pid, limit) = (broker.id().to_string(), format!("--fsize={size}:unlimited"));
        assert!(process::run(Command::new("prlimit").args(["--pid", &pid, &limit])).status.success());
    };
    limit(&broker, "65536");
    let payload = "x".repeat(100_000);
    for number in 0..20 {
        let topic = format!("kept/{number}");
        assert_eq!(broker.publish(&["-t", &topic, "-r", "-q", "1", "-m", &payload]), Some(0), "{number}");
    }
    let line = broker.wait_for("Error: cannot write to the database");
    assert!(line.contains("Clients are still served"), "{line}");
    limit(&broker, "unlimited");
    broker.wait_for("The database can be written again");
    broker.end_by("KILL");
    drop(broker);
    let broker = durable(folder.path(), "");
    let kept = text(&broker.run(MQSUB, &["-t", "kept/+", "-C", "20", "-W", "20", "-F", "%l"]));
    assert_eq!(kept.lines().filter(|line| *line == "100000").count(), 20);
}
