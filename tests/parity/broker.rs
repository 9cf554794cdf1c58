//! A real mosquitto broker of the test's own: one port for everybody, one that asks for a password. Its log tells when
//! a client is subscribed or gone, so that nothing has to wait for a while and hope.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Debian keeps it where not every user's PATH leads.
pub fn program() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join("mosquitto"))
        .find(|path| path.is_file());
    in_path.or_else(|| Some(PathBuf::from("/usr/sbin/mosquitto")).filter(|path| path.is_file()))
}

pub struct Broker {
    child: Child,
    /// For everybody.
    pub port: u16,
    /// For `user` with the password `geheim`, who may not write to `secret/#`.
    pub guarded_port: u16,
    /// A Unix socket for everybody.
    pub socket: PathBuf,
    log: Arc<Log>,
    _folder: tempfile::TempDir,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

/// Where the log was at a time.
#[derive(Clone, Copy)]
pub struct Mark(usize);

/// Two ports that are free, and not the same.
fn free_ports() -> (u16, u16) {
    let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    (one.local_addr().unwrap().port(), other.local_addr().unwrap().port())
}

impl Broker {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, guarded_port) = free_ports();
        let path = |name: &str| folder.path().join(name);
        let passwords = path("passwords");
        let made =
            Command::new("mosquitto_passwd").arg("-c").arg("-b").arg(&passwords).args(["user", "geheim"]).status();
        assert!(made.unwrap().success());
        std::fs::write(path("acl"), "user user\ntopic read #\ntopic write open/#\n").unwrap();
        let socket = path("socket");
        let configuration = format!(
            "per_listener_settings true\nlog_dest stderr\nlog_type all\nuser root\n\
             listener {port} 127.0.0.1\nallow_anonymous true\n\
             listener 0 {}\nallow_anonymous true\n\
             listener {guarded_port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nacl_file {}\n",
            socket.display(),
            passwords.display(),
            path("acl").display(),
        );
        std::fs::write(path("conf"), configuration).unwrap();
        let mut child = Command::new(program().unwrap())
            .arg("-c")
            .arg(path("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Not stdout, which mosquitto writes in blocks where it is a pipe.
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let (stderr, shared) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            // Topics need not be UTF-8 where a line cuts them off.
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                shared.lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
                shared.grown.notify_all();
            }
        });
        let broker = Self { child, port, guarded_port, socket, log, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", guarded_port)).is_err() {
            assert!(Instant::now() < deadline, "the broker does not start: {:?}", broker.log.lines.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
        broker
    }

    /// The end of the log as it is now.
    pub fn mark(&self) -> Mark {
        Mark(self.log.lines.lock().unwrap().len())
    }

    /// Waits for a line that ends with `text` behind the mark, or until `enough` says so.
    pub fn wait_for(&self, mark: Mark, text: &str, mut enough: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            if lines[mark.0..].iter().any(|line| line.ends_with(text)) {
                return true;
            }
            if enough() {
                return false;
            }
            if Instant::now() > deadline {
                let said = lines[mark.0..].to_vec();
                drop(lines);
                panic!("the broker's log does not say {text:?}: {said:#?}");
            }
            lines = self.log.grown.wait_timeout(lines, Duration::from_millis(20)).unwrap().0;
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
