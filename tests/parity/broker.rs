//! A real mosquitto broker of the test's own: one port for everybody, one that asks for a password. Its log shows when
//! a client is subscribed or gone, so that nothing has to wait for a while and hope.

use std::path::PathBuf;
use std::process::Command;

use crate::support::mosquitto::Mosquitto;
use crate::support::ports;
use crate::support::process;

pub struct Broker {
    mosquitto: Mosquitto,
    /// For everybody.
    pub port: String,
    /// For `user` with the password `geheim`, who may not write to `secret/#`.
    pub guarded_port: u16,
    /// A Unix socket for everybody.
    pub socket: PathBuf,
}

/// Where the log was at a time.
#[derive(Clone, Copy)]
pub struct Mark(usize);

impl Broker {
    pub fn start() -> Self {
        let guarded_port = ports::free();
        // The limits are mosquitto's own again.
        let configuration = format!(
            "max_inflight_messages 20\nmax_queued_messages 1000\nper_listener_settings true\nallow_anonymous true\n\
             log_dest stderr\nlog_type all\nuser root\n\
             listener 0 {{folder}}/socket\nallow_anonymous true\n\
             listener {guarded_port} 127.0.0.1\nallow_anonymous false\n\
             password_file {{folder}}/passwords\nacl_file {{folder}}/acl\n",
        );
        let mosquitto = Mosquitto::start_with(&configuration, |folder| {
            let mut command = Command::new("mosquitto_passwd");
            command.args(["-c", "-b"]).arg(folder.join("passwords")).args(["user", "geheim"]);
            assert!(process::run(&mut command).status.success());
            std::fs::write(folder.join("acl"), "user user\ntopic read #\ntopic write open/#\n").unwrap();
        });
        let mosquitto = mosquitto.unwrap();
        let socket = mosquitto.folder.path().join("socket");
        Self { port: mosquitto.port(), mosquitto, guarded_port, socket }
    }

    /// The end of the log as it is now.
    pub fn mark(&self) -> Mark {
        Mark(self.mosquitto.process().stderr.all().len())
    }

    /// Waits for a line that ends with `text` behind the mark, or until `enough` says so.
    pub fn wait_for(&self, mark: Mark, text: &str, mut enough: impl FnMut() -> bool) -> bool {
        let log = &self.mosquitto.process().stderr;
        let line = format!("{text}\n");
        let found =
            |bytes: &[u8]| bytes[mark.0..].windows(line.len()).any(|part| part == line.as_bytes()).then_some(());
        let mut stopped = false;
        let found = log.wait_until(found, || {
            stopped = enough();
            stopped
        });
        let logged = || String::from_utf8_lossy(&log.all()[mark.0..]).into_owned();
        assert!(found.is_some() || stopped, "the broker does not log {text:?}: {}", logged());
        found.is_some()
    }
}
