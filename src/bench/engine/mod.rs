//! Doing it: threads, connections, the hot path over session and wire.
