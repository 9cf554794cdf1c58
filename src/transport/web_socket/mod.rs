//! MQTT over WebSocket (MQTT 5.0 §6): the handshake ([`handshake`]), and the stream of bytes that the frames carry
//! ([`stream`]). tungstenite is named here only; the handshake's few lines are our own, so that its errors report what
//! the server answered.

mod handshake;
mod stream;

pub(super) use handshake::open;
pub(super) use stream::WebSocket;
