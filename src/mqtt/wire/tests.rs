//! Bytes and packets by section of the standard.
