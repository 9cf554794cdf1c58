//! Who may connect and what clients may read and write: password files and access control lists, as mosquitto's.
//! `FileAccess` reads the files, everything else is pure.

mod acl;
mod file_access;
mod password_file;
mod password_hash;

pub use acl::{AccessControlList, TopicAccess};
pub(crate) use file_access::{AccessFiles, FileAccess};
pub use password_file::PasswordFile;
pub(crate) use password_file::set_password;

/// A fault of a password file or an access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFault {
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong; never holds a password or its hash.
    pub message: String,
}
