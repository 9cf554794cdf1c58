//! Saying it: result document, terminal summary, gates.
