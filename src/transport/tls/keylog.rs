//! Keys for a network analyser, appended to the file that the user named (the NSS key log format; `SSLKEYLOGFILE` of
//! the environment is not read).

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;

use rustls::KeyLog;

/// Appends a line per secret, each by a single write so that several programs can share the file.
#[derive(Debug)]
pub(super) struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    /// Opens the file, or makes it, readable by its owner only.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map(|file| Self(Mutex::new(file)))
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = String::from(label);
        for field in [client_random, secret] {
            line.push(' ');
            for byte in field {
                // Writing to a String cannot fail.
                let _ = write!(line, "{byte:02x}");
            }
        }
        self.write_line(line);
    }
}

impl KeyLogFile {
    /// Appends a line.
    pub(super) fn write_line(&self, mut line: String) {
        line.push('\n');
        let mut file = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // A full disk is no reason to lose the connection, and no library takes an error here.
        let _ = file.write_all(line.as_bytes());
    }
}
