//! What the log prints about clients, in the words of mosquitto 2.1.

use std::fmt::{self, Display, Formatter};

use super::core::{Cause, Event, PacketEvent};
use super::driver::Notice;
use crate::dissect::dissect;
use crate::mqtt::ProtocolVersion;
use crate::mqtt::wire::PacketType;
use crate::terminal::escape;

/// An event as one line, or a few.
pub(super) struct Words<'a>(pub(super) &'a Event<'a>);

/// An event of the loop, as a line.
pub(super) fn notice_words(notice: &Notice<'_>) -> String {
    match notice {
        Notice::Accepted { peer, port: 0 } => format!("New connection on {}.", escape(&peer.address)),
        Notice::Accepted { peer, port } => format!("New connection from {peer} on port {port}."),
        Notice::Denied { peer, limit } => {
            format!("Client connection from {} denied: {limit} exceeded.", escape(&peer.address))
        }
        Notice::AcceptFailed(error) => format!("Unable to accept new connection: {error}; trying again"),
    }
}

impl Display for Words<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Connected { peer, client_id, version, clean_start, keep_alive, user_name, will, bridge } => {
                let kind = if *bridge { "bridge" } else { "client" };
                // The protocol level.
                let protocol = match version {
                    ProtocolVersion::V31 => 3,
                    ProtocolVersion::V311 => 4,
                    ProtocolVersion::V5 => 5,
                };
                write!(
                    out,
                    "New {kind} connected from {peer} as {} (p{protocol}, c{}, k{keep_alive}",
                    escape(client_id),
                    u8::from(*clean_start)
                )?;
                if let Some(name) = user_name {
                    write!(out, ", u'{}'", escape(name))?;
                }
                out.write_str(").\n")?;
                match will {
                    None => out.write_str("No will message specified."),
                    Some(will) => write!(
                        out,
                        "Will message specified ({} bytes) (r{}, q{}).\n\t{}",
                        will.payload.len(),
                        u8::from(will.retain),
                        will.qos.number(),
                        escape(&will.topic)
                    ),
                }
            }
            Event::AlreadyConnected { client_id } => {
                write!(out, "Client {} already connected, closing old connection.", escape(client_id))
            }
            Event::Received { client, packet } => packet_words(out, "Received", "from", client, packet),
            Event::Sending { client, packet } => packet_words(out, "Sending", "to", client, packet),
            Event::Bytes { client, version, packet, .. } => {
                // mosquitto has no line for it.
                if packet.first().is_some_and(|first| first >> 4 == PacketType::Connect as u8) {
                    writeln!(out, "Received CONNECT from {}", escape(client))?;
                }
                let mut lines = String::new();
                dissect(packet, *version, &mut lines);
                out.write_str(&lines)
            }
            Event::Denied { client, packet, too_large: false } => packet_words(out, "Denied", "from", client, packet),
            Event::Denied { client, packet, .. } => packet_words(out, "Dropped too large", "from", client, packet),
            Event::Subscribed { client, filter, qos } => {
                write!(out, "{} {} {}", escape(client), qos.number(), escape(filter))
            }
            Event::Unsubscribed { client, filter } => write!(out, "{} {}", escape(client), escape(filter)),
            Event::Dropping { client } => {
                write!(out, "Outgoing messages are being dropped for client {}.", escape(client))
            }
            Event::Disconnected { client_id, peer, cause } => {
                // mosquitto calls a client without an id by its address.
                let name = client_id.unwrap_or(&peer.address);
                write!(out, "Client {} [{peer}] disconnected", escape(name))?;
                cause_words(out, cause)
            }
            Event::ProtocolError { client_id: Some(client_id), what, .. } => {
                write!(out, "Protocol error from {}: {}.", escape(client_id), escape(what))
            }
            Event::ProtocolError { peer, what, .. } => {
                write!(out, "Protocol error from {peer}: {}.", escape(what))
            }
            Event::TlsWithoutTls { peer } => {
                write!(out, "Client from {peer} appears to be using TLS to connect to a non-TLS listener.")
            }
            Event::Expired { client_id } => {
                write!(out, "Expiring client {} due to timeout.", escape(client_id))
            }
        }
    }
}

fn packet_words(
    out: &mut Formatter<'_>,
    verb: &str,
    preposition: &str,
    client: &str,
    packet: &PacketEvent<'_>,
) -> fmt::Result {
    let client = escape(client);
    let name = |out: &mut Formatter<'_>, name: &str| write!(out, "{verb} {name} {preposition} {client}");
    // mosquitto has two forms for acknowledgements: sent and received.
    let sending = preposition == "to";
    match *packet {
        PacketEvent::Connack { session_present, code } => {
            name(out, "CONNACK")?;
            write!(out, " ({}, {code})", u8::from(session_present))
        }
        PacketEvent::Publish { dup, qos, retain, packet_identifier, topic, size } => {
            name(out, "PUBLISH")?;
            write!(
                out,
                " (d{}, q{}, r{}, m{packet_identifier}, '{}', ... ({size} bytes))",
                u8::from(dup),
                qos.number(),
                u8::from(retain),
                escape(topic)
            )
        }
        PacketEvent::Puback(identifier, code) if sending => {
            name(out, "PUBACK")?;
            write!(out, " (m{identifier}, rc{code})")
        }
        PacketEvent::Pubrec(identifier, code) if sending => {
            name(out, "PUBREC")?;
            write!(out, " (m{identifier}, rc{code})")
        }
        PacketEvent::Pubrel(identifier) if sending => {
            name(out, "PUBREL")?;
            write!(out, " (m{identifier})")
        }
        PacketEvent::Pubcomp(identifier, _) if sending => {
            name(out, "PUBCOMP")?;
            write!(out, " (m{identifier})")
        }
        PacketEvent::Puback(identifier, code) => {
            name(out, "PUBACK")?;
            write!(out, " (Mid: {identifier}, RC:{code})")
        }
        PacketEvent::Pubrec(identifier, _) => {
            name(out, "PUBREC")?;
            write!(out, " (Mid: {identifier})")
        }
        PacketEvent::Pubrel(identifier) => {
            name(out, "PUBREL")?;
            write!(out, " (Mid: {identifier})")
        }
        PacketEvent::Pubcomp(identifier, code) => {
            name(out, "PUBCOMP")?;
            write!(out, " (Mid: {identifier}, RC:{code})")
        }
        PacketEvent::Subscribe => name(out, "SUBSCRIBE"),
        PacketEvent::SubscribeFilter(filter, qos) => write!(out, "\t{} (QoS {})", escape(filter), qos.number()),
        PacketEvent::Suback => name(out, "SUBACK"),
        PacketEvent::Unsubscribe => name(out, "UNSUBSCRIBE"),
        PacketEvent::UnsubscribeFilter(filter) => write!(out, "\t{}", escape(filter)),
        PacketEvent::Unsuback => name(out, "UNSUBACK"),
        PacketEvent::Pingreq => name(out, "PINGREQ"),
        PacketEvent::Pingresp => name(out, "PINGRESP"),
        PacketEvent::Disconnect(code) if sending => {
            name(out, "DISCONNECT")?;
            write!(out, " (rc{code})")
        }
        PacketEvent::Disconnect(_) => name(out, "DISCONNECT"),
        PacketEvent::Auth(code) => {
            name(out, "AUTH")?;
            write!(out, " (rc{code})")
        }
    }
}

fn cause_words(out: &mut Formatter<'_>, cause: &Cause) -> fmt::Result {
    let text = match cause {
        // At the end of the broker mosquitto prints nothing about its clients; the log leaves this event out.
        Cause::Disconnect | Cause::Shutdown => return out.write_str("."),
        Cause::Closed => "connection closed by client",
        Cause::Transport(why) => return write!(out, ": {}.", escape(why)),
        Cause::Timeout => "exceeded timeout",
        Cause::TakenOver => "session taken over",
        Cause::Malformed => "malformed packet",
        Cause::Protocol => "protocol error",
        Cause::Oversize => "oversize packet",
        Cause::OversizePayload => "oversize payload",
        Cause::ReceiveMaximum => "receive maximum exceeded",
        Cause::TopicAlias => "topic alias invalid",
        Cause::NotAuthorized => "not authorised",
        Cause::BadAuthenticationMethod => "bad authentication method",
        Cause::QosNotSupported => "QoS not supported",
        Cause::RetainNotSupported => "retain not supported",
        Cause::ServerBusy => "server busy",
    };
    write!(out, ": {text}.")
}
