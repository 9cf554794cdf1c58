//! One password as a password file keeps it: `$6$` (SHA-512), `$7$` (PBKDF2 with SHA-512) and `$argon2id$`.

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc;
use argon2::{Argon2, Params};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use crate::mqtt::Secret;

/// Bytes of a SHA-512 hash.
const HASH_BYTES: usize = 64;
/// Bytes of salt for new hashes, as mosquitto_passwd takes.
const SALT_BYTES: usize = 12;
/// PBKDF2 iterations for new hashes. mosquitto_passwd 2.0 takes 101, which today is weak; every connection costs this
/// work in the broker, some milliseconds on a thread beside its loop.
const ITERATIONS: u32 = 10_000;
/// Up to here PBKDF2 is done at once: a quarter of a millisecond.
const QUICK_ITERATIONS: u32 = 500;
/// More would take seconds for every connection.
const MOST_ITERATIONS: u32 = 10_000_000;
/// The same for Argon2, in KiB; mosquitto takes 47,104.
const MOST_ARGON2_MEMORY: u32 = 1 << 20;
const MOST_ARGON2_PASSES: u32 = 100;

/// A password's hash.
pub(super) enum PasswordHash {
    /// SHA-512 of the password and the salt.
    Sha512 { salt: Vec<u8>, hash: Vec<u8> },
    /// PBKDF2 with SHA-512 (RFC 8018).
    Pbkdf2 { iterations: u32, salt: Vec<u8>, hash: Vec<u8> },
    /// Argon2id (RFC 9106).
    Argon2(Box<phc::PasswordHash>),
}

impl PasswordHash {
    /// Reads the part of a line behind the user name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("$argon2id$") {
            return parse_argon2(text);
        }
        let fields: Vec<&str> = text.split('$').collect();
        match fields[..] {
            ["", "6", salt, hash] => Ok(Self::Sha512 { salt: decode(salt)?, hash: decode_hash(hash)? }),
            ["", "7", iterations, salt, hash] => {
                let iterations = iterations.parse().ok().filter(|count| (1..=MOST_ITERATIONS).contains(count));
                let iterations = iterations.ok_or("the number of iterations is not from 1 to 10,000,000")?;
                Ok(Self::Pbkdf2 { iterations, salt: decode(salt)?, hash: decode_hash(hash)? })
            }
            _ => Err("the password is not hashed; make the file with \"mqbroker passwd FILE USER\"".to_owned()),
        }
    }

    /// Hashes a password with this salt, as mosquitto 2.0 and 2.1 read it.
    fn with_salt(password: &Secret, salt: &[u8]) -> Self {
        let hash = pbkdf2_sha512(password.expose(), salt, ITERATIONS, HASH_BYTES);
        Self::Pbkdf2 { iterations: ITERATIONS, salt: salt.to_vec(), hash }
    }

    /// Hashes a password with a new salt.
    pub(super) fn new(password: &Secret) -> Result<Self, String> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|error| format!("the system has no random numbers: {error}"))?;
        Ok(Self::with_salt(password, &salt))
    }

    /// Whether [`Self::matches`] takes so little time, well below a millisecond, that no other client notices it.
    pub(super) fn is_quick(&self) -> bool {
        match self {
            Self::Sha512 { .. } => true,
            Self::Pbkdf2 { iterations, .. } => *iterations <= QUICK_ITERATIONS,
            Self::Argon2(_) => false,
        }
    }

    /// Whether this is the password; takes as long for a wrong one.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        match self {
            Self::Sha512 { salt, hash } => {
                let computed = Sha512::new().chain_update(password).chain_update(salt).finalize();
                computed.as_slice().ct_eq(hash).into()
            }
            Self::Pbkdf2 { iterations, salt, hash } => {
                pbkdf2_sha512(password, salt, *iterations, hash.len()).ct_eq(hash).into()
            }
            Self::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
        }
    }
}

/// The part of a line behind the user name.
impl std::fmt::Display for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sha512 { salt, hash } => write!(formatter, "$6${}${}", BASE64.encode(salt), BASE64.encode(hash)),
            Self::Pbkdf2 { iterations, salt, hash } => {
                write!(formatter, "$7${iterations}${}${}", BASE64.encode(salt), BASE64.encode(hash))
            }
            Self::Argon2(hash) => hash.fmt(formatter),
        }
    }
}

fn parse_argon2(text: &str) -> Result<PasswordHash, String> {
    let fault = || "the Argon2 hash cannot be read".to_owned();
    let hash = phc::PasswordHash::new(text).map_err(|_| fault())?;
    let params = Params::try_from(&hash).map_err(|_| fault())?;
    if params.m_cost() > MOST_ARGON2_MEMORY || params.t_cost() > MOST_ARGON2_PASSES {
        return Err("the Argon2 hash requires more than 1 GiB or 100 passes".to_owned());
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(fault());
    }
    Ok(PasswordHash::Argon2(Box::new(hash)))
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(text).map_err(|_| "the salt or the hash is not valid base64".to_owned())
}

fn decode_hash(text: &str) -> Result<Vec<u8>, String> {
    let hash = decode(text)?;
    if hash.len() == HASH_BYTES { Ok(hash) } else { Err("the hash is not 64 bytes long".to_owned()) }
}

fn pbkdf2_sha512(password: &[u8], salt: &[u8], iterations: u32, length: usize) -> Vec<u8> {
    let mut hash = vec![0; length];
    pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut hash);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by mosquitto_passwd 2.0.11 for the password "secret": with its default, and with -H sha512.
    const SEVEN: &str = "$7$101$xGgdHXUWS0DTQDiB$bMlmv13/DOO6JrJuI/ESGJ3CO50mgf8+EKlXpQnjdoHrVLaItzugXjWK7Cm0ROF9wyVFbq+hksLrTtStuLGShA==";
    const SIX: &str =
        "$6$KM2iQPowoqXi81SG$5BG26bNLaTkCOgRrJM+xS/G0aG4YbgJ8IVUNgR7x4OSkXTO8EcQQpTu/IQHhhUHKB6hIvoR6rLwxkOuEXPhnKA==";
    // Made by the reference implementation: argon2 somesalt -id -m 12 -t 2 -p 1
    const ARGON2: &str = "$argon2id$v=19$m=4096,t=2,p=1$c29tZXNhbHQ$TLXwQYTTzWKDFfWHDyPKbh8ksZXGxatok7fsfJt7L+o";

    #[test]
    fn hashes_of_mosquitto_passwd_are_read_and_written_back() {
        for text in [SEVEN, SIX, ARGON2] {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(hash.matches(b"secret"), "{text}");
            assert!(!hash.matches(b"Secret") && !hash.matches(b""), "{text}");
            assert_eq!(hash.to_string(), text);
        }
    }

    #[test]
    fn a_new_hash_matches_its_password_and_no_other() {
        let hash = PasswordHash::new(&Secret::new("päss")).unwrap();
        let read = PasswordHash::parse(&hash.to_string()).unwrap();
        assert!(read.matches("päss".as_bytes()) && !read.matches(b"pass"));
        assert_ne!(hash.to_string(), PasswordHash::new(&Secret::new("päss")).unwrap().to_string());
    }

    #[test]
    fn what_is_no_hash_is_refused_without_repeating_it() {
        let table = [
            "secret",
            "",
            "$7$0$c2FsdA==$aGFzaA==",
            "$7$99999999$c2FsdA==$aGFzaA==",
            "$7$101$c2FsdA==$aGFzaA==",
            "$7$101$!$!",
            "$6$c2FsdA==",
            "$5$x$y",
            "$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQ$JR8hw4LdfUe8Ly5Brv3HxQ",
            "$argon2id$nonsense",
        ];
        for text in table {
            let message = PasswordHash::parse(text).err().unwrap();
            assert!(text.is_empty() || !message.contains(text), "{message}");
        }
    }
}
