//! Asking for a password: without an echo on a terminal, the first line where there is none.

use std::io::{self, BufRead, IsTerminal};

use crate::mqtt::Secret;

/// A password longer than this is a file in the wrong place.
const MOST: u64 = 65_535;

/// Asks for a password. With `repeat` it is asked for twice on a terminal, and both must be the same.
///
/// # Errors
/// The terminal or stdin cannot be read, holds nothing, or the two differ.
pub fn password(prompt: &str, repeat: bool) -> io::Result<Secret> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return first_line(stdin.lock());
    }
    let password = rpassword::prompt_password(format!("{prompt}: "))?;
    if repeat && rpassword::prompt_password(format!("{prompt} (again): "))? != password {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the two passwords differ"));
    }
    nonempty(password.into_bytes())
}

/// Asks whoever sits at the terminal for a password; `None` in a pipe or a script.
pub fn password_at_terminal(prompt: &str) -> Option<Secret> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return None;
    }
    rpassword::prompt_password(format!("{prompt}: ")).ok().map(Secret::new)
}

/// The password that somebody types at the terminal of this process, whatever stdin is.
///
/// # Errors
/// There is no terminal, it was closed, or nothing was typed.
pub fn typed_password(prompt: &str) -> io::Result<Secret> {
    nonempty(rpassword::prompt_password(format!("{prompt}: "))?.into_bytes())
}

fn first_line(input: impl BufRead) -> io::Result<Secret> {
    let mut line = Vec::new();
    io::Read::take(input, MOST + 1).read_until(b'\n', &mut line)?;
    if line.len() as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the password is longer than 65,535 bytes"));
    }
    let end = line.strip_suffix(b"\n").unwrap_or(&line);
    let end = end.strip_suffix(b"\r").unwrap_or(end).len();
    line.truncate(end);
    nonempty(line)
}

fn nonempty(password: Vec<u8>) -> io::Result<Secret> {
    if password.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the password is empty"));
    }
    Ok(Secret::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password() {
        for (text, password) in
            [("secret\nmore\n", "secret"), ("secret\r\n", "secret"), ("no end", "no end"), (" a \n", " a ")]
        {
            assert_eq!(first_line(text.as_bytes()).unwrap().expose(), password.as_bytes(), "{text:?}");
        }
        for text in ["", "\n", "\r\n"] {
            assert!(first_line(text.as_bytes()).is_err());
        }
        assert!(first_line(&b"x".repeat(70_000)[..]).is_err());
    }
}
