//! What a broker says about its clients, in the words of mosquitto 2.1.

use std::fmt::{self, Display, Formatter};

use super::core::{Cause, Event, PacketEvent};
use super::driver::Notice;
use super::log::Plain;
use crate::mqtt::ProtocolVersion;

/// An event as one line, or a few.
pub(super) struct Words<'a>(pub(super) &'a Event<'a>);

/// What the loop has to say, as a line.
pub(super) fn notice_words(notice: &Notice<'_>) -> String {
    match notice {
        Notice::Accepted { peer, port: 0 } => format!("New connection on {}.", Plain(&peer.address)),
        Notice::Accepted { peer, port } => format!("New connection from {peer} on port {port}."),
        Notice::AcceptFailed(error) => format!("Unable to accept new connection: {error}; trying again"),
    }
}

impl Display for Words<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Connected { peer, client_id, version, clean_start, keep_alive, user_name, will, bridge } => {
                let kind = if *bridge { "bridge" } else { "client" };
                let protocol = match version {
                    ProtocolVersion::V31 => 1,
                    ProtocolVersion::V311 => 2,
                    ProtocolVersion::V5 => 5,
                };
                write!(
                    out,
                    "New {kind} connected from {peer} as {} (p{protocol}, c{}, k{keep_alive}",
                    Plain(client_id),
                    u8::from(*clean_start)
                )?;
                if let Some(name) = user_name {
                    write!(out, ", u'{}'", Plain(name))?;
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
                        Plain(&will.topic)
                    ),
                }
            }
            Event::AlreadyConnected { client_id } => {
                write!(out, "Client {} already connected, closing old connection.", Plain(client_id))
            }
            Event::Received { client, packet } => packet_words(out, "Received", "from", client, packet),
            Event::Sending { client, packet } => packet_words(out, "Sending", "to", client, packet),
            Event::Denied { client, packet, too_large: false } => packet_words(out, "Denied", "from", client, packet),
            Event::Denied { client, packet, .. } => packet_words(out, "Dropped too large", "from", client, packet),
            Event::Subscribed { client, filter, qos } => {
                write!(out, "{} {} {}", Plain(client), qos.number(), Plain(filter))
            }
            Event::Dropping { client } => {
                write!(out, "Outgoing messages are being dropped for client {}.", Plain(client))
            }
            Event::Disconnected { client_id, peer, cause } => {
                // mosquitto calls one without an id by its address.
                match client_id {
                    Some(client_id) => write!(out, "Client {} [{peer}] disconnected", Plain(client_id))?,
                    None => write!(out, "Client <unknown> [{peer}] disconnected")?,
                }
                cause_words(out, cause)
            }
            Event::Refused { peer, client_id, why } => {
                let client_id = client_id.filter(|client_id| !client_id.is_empty()).unwrap_or("<unknown>");
                write!(out, "Client {} [{peer}] refused: {}.", Plain(client_id), Plain(why))
            }
            Event::Expired { client_id } => {
                write!(out, "Expiring client {} due to timeout.", Plain(client_id))
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
    let client = Plain(client);
    let name = |out: &mut Formatter<'_>, name: &str| write!(out, "{verb} {name} {preposition} {client}");
    // Of acknowledgements mosquitto gives the ones it sends and the ones it receives in two forms.
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
                Plain(topic)
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
        PacketEvent::SubscribeFilter(filter, qos) => write!(out, "\t{} (QoS {})", Plain(filter), qos.number()),
        PacketEvent::Suback => name(out, "SUBACK"),
        PacketEvent::Unsubscribe => name(out, "UNSUBSCRIBE"),
        PacketEvent::UnsubscribeFilter(filter) => write!(out, "\t{}", Plain(filter)),
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
        Cause::Disconnect => return out.write_str("."),
        Cause::Closed => "connection closed by client",
        Cause::Transport(why) => return write!(out, ": {}.", Plain(why)),
        Cause::KeepAlive => "exceeded timeout",
        Cause::ConnectTimeout => "no CONNECT came in time",
        Cause::TakenOver => "session taken over",
        Cause::Malformed(why) => return write!(out, ": malformed packet ({}).", Plain(why)),
        Cause::Protocol(why) => return write!(out, ": protocol error ({}).", Plain(why)),
        Cause::Oversize => "oversize packet",
        Cause::ReceiveMaximum => "receive maximum exceeded",
        Cause::TopicAlias => "topic alias invalid",
        Cause::Refused => "not authorised",
        Cause::Shutdown => "server shutting down",
        Cause::NotSupported => "using a feature that is not allowed (QoS too high, or retain not supported)",
    };
    write!(out, ": {text}.")
}
