//! A password file: one `USER:HASH` per line, as mosquitto_passwd writes it.

use std::collections::HashMap;
use std::sync::Arc;

use super::AccessFault;
use super::password_hash::PasswordHash;
use crate::mqtt::Secret;

/// Users and the hashes of their passwords.
#[derive(Default)]
pub struct PasswordFile {
    users: HashMap<String, Arc<PasswordHash>>,
}

impl PasswordFile {
    /// Reads a file's text; empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// Every line that cannot be read. A user that stands there twice is a fault too: one of the two would not count.
    pub fn parse(text: &str) -> Result<Self, Vec<AccessFault>> {
        let mut users = HashMap::new();
        let mut faults = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = split(line).and_then(|(user, hash)| Ok((user, PasswordHash::parse(hash)?)));
            let message = match read {
                Ok((user, hash)) => match users.insert(user.to_owned(), Arc::new(hash)) {
                    None => continue,
                    Some(_) => format!("user {user:?} is listed twice"),
                },
                Err(message) => message,
            };
            faults.push(AccessFault { line: index + 1, message });
        }
        if faults.is_empty() { Ok(Self { users }) } else { Err(faults) }
    }

    /// Whether there is such a user.
    pub fn has_user(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// The hash of this user's password.
    pub(super) fn hash(&self, user: &str) -> Option<&Arc<PasswordHash>> {
        self.users.get(user)
    }

    /// Whether this user has this password.
    #[cfg(test)]
    pub(in crate::broker) fn accepts(&self, user: &str, password: &[u8]) -> bool {
        self.hash(user).is_some_and(|hash| hash.matches(password))
    }
}

/// A file's text with a new password for `user`: the user's line is replaced, or added at the end; all others stay as
/// they are.
///
/// # Errors
/// The user name cannot stand in a file, or the system has no random numbers.
pub(crate) fn set_password(text: &str, user: &str, password: &Secret) -> Result<String, String> {
    check_user(user)?;
    let line = format!("{user}:{}", PasswordHash::new(password)?);
    let mut written = String::new();
    let mut is_written = false;
    for old in text.lines() {
        let is_users = split(old.trim()).is_ok_and(|(name, _)| name == user);
        if is_users && std::mem::replace(&mut is_written, true) {
            continue;
        }
        written.push_str(if is_users { &line } else { old });
        written.push('\n');
    }
    if !is_written {
        written.push_str(&line);
        written.push('\n');
    }
    Ok(written)
}

fn split(line: &str) -> Result<(&str, &str), String> {
    match line.split_once(':') {
        Some((user, hash)) if !user.is_empty() => Ok((user, hash)),
        _ => Err("a line is USER:HASH; make the file with \"mqbroker passwd FILE USER\"".to_owned()),
    }
}

fn check_user(user: &str) -> Result<(), String> {
    if user.is_empty() {
        return Err("the user name is empty".to_owned());
    }
    if user.starts_with('#') || user.trim() != user || user.contains([':', '\n', '\r', '\0']) {
        return Err(
            "a user name in a password file must not contain : or a line break, nor begin with # or a space".to_owned()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn passwords_are_set_and_replaced_and_other_lines_stay() {
        let one = set_password("# mine\n\nold:$6$x$y\n", "ann", &secret("a")).unwrap();
        assert!(one.starts_with("# mine\n\nold:$6$x$y\nann:$7$"), "{one}");
        let one = one.replace("old:$6$x$y\n", "");
        let two = set_password(&one, "bob", &secret("b")).unwrap();
        let three = set_password(&two, "ann", &secret("c")).unwrap();
        let file = PasswordFile::parse(&three).unwrap();
        assert!(file.accepts("ann", b"c") && !file.accepts("ann", b"a") && file.accepts("bob", b"b"));
        assert!(!file.accepts("eve", b"") && !file.accepts("", b""));
        assert_eq!(three.lines().count(), 4);
    }

    #[test]
    fn names_that_would_break_the_file_are_refused() {
        for user in ["", "a:b", "a\nb", "#a", " a"] {
            assert!(set_password("", user, &secret("x")).is_err(), "{user:?}");
        }
    }

    #[test]
    fn every_fault_is_reported_with_its_line() {
        let good = set_password("", "ann", &secret("a")).unwrap();
        let faults = PasswordFile::parse(&format!("nohash\n{good}{good}bob:plain\n")).err().unwrap();
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 3, 4]);
        assert!(faults.iter().all(|fault| !fault.message.contains("plain")));
    }
}
