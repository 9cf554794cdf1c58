//! What the options need besides argv: variables, files, the process number, random numbers. A value, so that a test
//! can provide it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::hash::BuildHasher;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use super::permissions::everybody_can_read;
use super::process_list::hide_arguments;
use super::usage_error::HINT;
use crate::mqtt::Secret;
use crate::terminal::prompt;

/// The variable with the password.
pub(super) const PASSWORD_VARIABLE: &str = "MQTT_PASSWORD";

/// Longest password file: the longest password that MQTT can send, and its newline.
const PASSWORD_FILE_LIMIT: u64 = 65_535 + 2;

type FileReader = dyn Fn(&Path) -> io::Result<Box<dyn Read>> + Send + Sync;

/// Variables, files, process number and random numbers.
pub struct Environment {
    variables: HashMap<OsString, OsString>,
    open: Box<FileReader>,
    everybody_can_read: fn(&Path) -> bool,
    ask: fn(&str) -> io::Result<Secret>,
    hide: fn(&[&Secret]),
    check_file: fn(&Path) -> io::Result<()>,
    stdin_is_empty: fn() -> bool,
    resolve: fn(&str) -> Option<IpAddr>,
    process_id: u32,
    random: fn() -> u64,
}

impl Environment {
    /// The world of this process.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            open: Box::new(|path| Ok(Box::new(std::fs::File::open(path)?))),
            everybody_can_read,
            ask: prompt::typed_password,
            hide: hide_arguments,
            check_file: |path| match std::fs::metadata(path)?.is_file() {
                true => std::fs::File::open(path).map(drop),
                false => Ok(()),
            },
            stdin_is_empty: || matches!(io::stdin().read(&mut [0]), Ok(0)),
            resolve,
            process_id: std::process::id(),
            // The keys of a RandomState come from the system and differ from call to call; ids need no more.
            random: || RandomState::new().hash_one(std::time::SystemTime::now()),
        }
    }

    /// A world with these variables and files and nothing else, the same at every run. Everybody can read what is in
    /// `/public`.
    pub fn fixed<V, F>(variables: V, files: F) -> Self
    where
        V: IntoIterator<Item = (&'static str, &'static str)>,
        F: IntoIterator<Item = (&'static str, Vec<u8>)>,
    {
        let files: HashMap<PathBuf, Vec<u8>> =
            files.into_iter().map(|(path, content)| (PathBuf::from(path), content)).collect();
        Self {
            variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            open: Box::new(move |path| match files.get(path) {
                Some(content) => Ok(Box::new(io::Cursor::new(content.clone()))),
                None => Err(io::Error::from(io::ErrorKind::NotFound)),
            }),
            everybody_can_read: |path| path.starts_with("/public"),
            ask: |_| Ok(Secret::new("typed")),
            hide: |_| {},
            check_file: |_| Ok(()),
            stdin_is_empty: || false,
            resolve: |name| (name == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            process_id: 4242,
            random: || 0x0123_4567_89ab_cdef,
        }
    }

    /// The password in a file, without the newline at its end.
    pub(super) fn read_password(&self, file: &Path, faults: &mut Vec<String>) -> Option<Secret> {
        match self.read_file(file, PASSWORD_FILE_LIMIT) {
            Ok(mut content) => {
                if content.last() == Some(&b'\n') {
                    content.pop();
                    if content.last() == Some(&b'\r') {
                        content.pop();
                    }
                }
                Some(Secret::new(content))
            }
            Err(error) => {
                faults.push(format!("cannot read the password file '{}': {error}", file.display()));
                None
            }
        }
    }

    /// The password that a descriptor of this process gives, without the newline at its end.
    pub(super) fn read_password_of_descriptor(&self, descriptor: u32, faults: &mut Vec<String>) -> Option<Secret> {
        let mut wrong = Vec::new();
        let password = self.read_password(Path::new(&format!("/dev/fd/{descriptor}")), &mut wrong);
        if !wrong.is_empty() {
            faults.push(format!(
                "--pw-fd {descriptor}: nothing can be read there: open it, as in --pw-fd {descriptor} {descriptor}<FILE"
            ));
        }
        password
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Where the user's programs keep what they can make again: `$XDG_CACHE_HOME`, or `$HOME/.cache`.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let named = self.variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        named.or_else(|| self.variable("HOME").map(|home| Path::new(home).join(".cache")))
    }

    /// The address that a text is or that a host of this name has.
    pub(super) fn address_of(&self, text: &str) -> Option<IpAddr> {
        text.parse().ok().or_else(|| (self.resolve)(text))
    }

    /// The number of this process.
    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        (self.random)()
    }

    /// A unique name: 18 letters and digits, of 90 random bits.
    pub fn random_letters(&self) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let bits = u128::from(self.random()) << 64 | u128::from(self.random());
        (0..18).map(|place| char::from(LETTERS[(bits >> (5 * place)) as usize & 31])).collect()
    }

    /// Whether a regular file can be read. Pipes and devices are not opened for that: somebody may wait at their other
    /// end.
    pub(super) fn check_file(&self, path: &Path) -> io::Result<()> {
        (self.check_file)(path)
    }

    /// Whether stdin ends without a byte; one that has more loses a byte.
    pub(super) fn stdin_is_empty(&self) -> bool {
        (self.stdin_is_empty)()
    }

    /// The password that somebody types at the terminal.
    ///
    /// # Errors
    /// There is no terminal, or it was closed.
    pub(super) fn ask_password(&self, prompt: &str) -> io::Result<Secret> {
        (self.ask)(prompt)
    }

    /// Makes these secrets, which were typed on the command line, unreadable in the process list, where the system lets
    /// a process do so.
    pub(super) fn hide_arguments(&self, secrets: &[&Secret]) {
        if !secrets.is_empty() {
            (self.hide)(secrets);
        }
    }

    /// Refuses a file with a secret that every user of this machine can read.
    pub(super) fn check_exposed_file(&self, what: &str, path: &Path) -> Result<(), String> {
        if !(self.everybody_can_read)(path) {
            return Ok(());
        }
        let path = path.display();
        Err(format!("{what} '{path}' is readable by every user of this machine{HINT}run chmod 600 '{path}'"))
    }

    /// The whole of a file of at most `limit` bytes; longer is an error. Pipes work too.
    pub(super) fn read_file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        (self.open)(path)?.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {limit} bytes")));
        }
        Ok(content)
    }
}

/// The first address of a name, of IPv4 where it has one.
fn resolve(name: &str) -> Option<IpAddr> {
    let found: Vec<IpAddr> = (name, 0).to_socket_addrs().ok()?.map(|address| address.ip()).collect();
    found.iter().find(|address| address.is_ipv4()).or(found.first()).copied()
}

/// Names only: a value may be a password.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("variables", &self.variables.keys()).finish_non_exhaustive()
    }
}
