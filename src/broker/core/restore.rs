//! What a store kept, taken back before anybody connects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::session::{Delivery, Session};
use super::subscribe::subscriber;
use super::{Change, Core, Identity};
use crate::mqtt::QoS;
use crate::session::outbound::Slot;

impl Core {
    /// Takes a change back. Changes come in the order in which they were recorded, or per session in an equivalent
    /// order: a session, its subscriptions, its messages by number, those sent by number, what it holds. A message of a
    /// session that is not there is ignored.
    pub fn restore(&mut self, change: &Change<'_>, now: Instant) {
        match *change {
            Change::Session { client_id, expiry, user_name } => {
                let id = self.restored_session(client_id);
                let Some(session) = self.sessions.get_mut(id) else { return };
                session.expiry = expiry;
                session.who.user_name = user_name.map(Into::into);
                if expiry != u32::MAX {
                    let expires = now + Duration::from_secs(u64::from(expiry));
                    session.expires = Some(expires);
                    self.timers.session(expires, id, session.serial);
                }
            }
            Change::SessionRemoved { client_id } => {
                if let Some(id) = self.by_client_id.get(client_id).copied() {
                    self.remove_session(id, now);
                }
            }
            Change::Subscribed { client_id, filter, identifier } => {
                let Some(id) = self.by_client_id.get(client_id).copied() else { return };
                let (node, _) = self.subscriptions.add(&filter.filter, subscriber(id, filter, identifier));
                if let Some(session) = self.sessions.get_mut(id) {
                    session.subscriptions.get_or_insert_default().insert(node);
                }
            }
            Change::Unsubscribed { client_id, filter } => {
                if let Some(id) = self.by_client_id.get(client_id).copied() {
                    self.remove_subscription(id, filter);
                }
            }
            Change::Retained { message } => self.retained.set(Arc::clone(message)),
            Change::RetainedCleared { topic } => {
                self.retained.clear(topic);
            }
            Change::Queued { client_id, .. }
            | Change::Sent { client_id, .. }
            | Change::Received { client_id, .. }
            | Change::Done { client_id, .. }
            | Change::Held { client_id, .. }
            | Change::Released { client_id, .. } => {
                if let Some(id) = self.by_client_id.get(client_id).copied() {
                    self.restore_message(id, change);
                }
            }
        }
    }

    fn restored_session(&mut self, client_id: &str) -> u32 {
        if let Some(id) = self.by_client_id.get(client_id) {
            return *id;
        }
        let client_id: Arc<str> = client_id.into();
        let serial = self.next_serial();
        let who = Identity { client_id: Arc::clone(&client_id), user_name: None };
        let id = self.sessions.insert(Session::new(who, serial));
        self.by_client_id.insert(client_id, id);
        id
    }

    fn restore_message(&mut self, id: u32, change: &Change<'_>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        match *change {
            Change::Queued { number, message, delivery, .. } => {
                let size = message.size();
                session.next_number = session.next_number.max(number + 1);
                session.queued_bytes += size;
                session.queue.push_back(Delivery {
                    message: Arc::clone(message),
                    number,
                    identifier: delivery.identifier,
                    qos: delivery.qos,
                    retain: delivery.retain,
                });
                self.statistics.stored_bytes += size as u64;
                self.statistics.stored_messages += 1;
            }
            Change::Sent { number, packet_identifier, .. } => {
                let Some(position) = session.queue.iter().position(|delivery| delivery.number == number) else {
                    return;
                };
                let Some(delivery) = session.queue.remove(position) else { return };
                let size = delivery.message.size();
                session.queued_bytes -= size;
                session.bytes_in_flight += size;
                let place =
                    if delivery.qos == QoS::ExactlyOnce { Slot::Pubrec(delivery) } else { Slot::Puback(delivery) };
                session.outbound.begin_at(packet_identifier);
                session.outbound.insert_as(packet_identifier, place);
            }
            Change::Received { number, .. } => {
                if let Some(identifier) = in_flight(session, number)
                    && let Some(place) = session.outbound.get_mut(identifier)
                    && let Slot::Pubrec(delivery) = std::mem::replace(place, Slot::Free)
                {
                    *place = Slot::Pubcomp(delivery);
                }
            }
            Change::Done { number, .. } => {
                if let Some(identifier) = in_flight(session, number) {
                    self.finish(id, identifier);
                } else if let Some(position) = session.queue.iter().position(|delivery| delivery.number == number)
                    && let Some(delivery) = session.queue.remove(position)
                {
                    session.queued_bytes -= delivery.message.size();
                    self.statistics.stored_bytes -= delivery.message.size() as u64;
                    self.statistics.stored_messages -= 1;
                }
            }
            Change::Held { packet_identifier, message, .. } => {
                session.held.get_or_insert_default().insert(packet_identifier, Arc::clone(message));
            }
            Change::Released { packet_identifier, .. } => {
                if let Some(held) = &mut session.held {
                    held.release(packet_identifier);
                }
            }
            _ => {}
        }
    }
}

fn in_flight(session: &Session, number: u64) -> Option<u16> {
    session.outbound.iter().find_map(|(identifier, place)| match place {
        Slot::Puback(delivery) | Slot::Pubrec(delivery) | Slot::Pubcomp(delivery) if delivery.number == number => {
            Some(identifier)
        }
        _ => None,
    })
}
