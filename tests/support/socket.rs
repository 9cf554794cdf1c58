//! Reading from blocking sockets.

use std::io::{self, ErrorKind, Read};

/// Reads once. A read with a time limit is cut off where the process was stopped and goes on (a debugger, a machine
/// that is moved), which is nothing to end a test for.
pub fn read_some(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
