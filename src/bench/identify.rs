//! Which broker is this? Asked after the load, on a connection of its own: it disturbs no figure.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use super::plan::BenchPlan;
use super::report::BrokerName;
use crate::client::{establish, exchange};
use crate::mqtt::wire::{Subscribe, SubscribeFilter};
use crate::mqtt::{Message, Properties, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Session};
use crate::transport::TlsClient;

/// Mosquitto, EMQX and others keep their version as a retained message here.
const VERSION_TOPIC: &str = "$SYS/broker/version";

/// How long a connection is waited for, and an answer: the name is retained, or it never comes.
const PATIENCE: Duration = Duration::from_millis(500);

/// The longest name taken from the network.
const NAME_LIMIT: usize = 80;

/// Asks the broker for its name and version. None when it does not say, for whatever reason.
pub async fn broker_name(plan: &BenchPlan, tls: Option<&TlsClient>) -> Option<BrokerName> {
    let (config, transport) = (plan.session_for_sys(), plan.transport_of(0));
    let mut session: Session<Message> = Session::new(Instant::now());
    let mut ears = Ears::default();
    let established = establish(&transport, tls, &config, &mut session, &mut ears);
    let mut established = tokio::time::timeout(PATIENCE, established).await.ok()?.ok()?;
    let filter = SubscribeFilter { filter: VERSION_TOPIC.to_owned(), ..SubscribeFilter::default() };
    session.subscribe(Subscribe { filters: vec![filter], ..Subscribe::default() }).ok()?;
    let heard = exchange(&mut established.connection, &mut session, &mut ears, "", |_, ears| ears.version.is_some());
    // No answer is an answer too.
    let _ = tokio::time::timeout(PATIENCE, heard).await;
    let mut bye = Vec::new();
    let _ = session.disconnect(ReasonCode::SUCCESS, Properties::new());
    session.take_output(&mut bye);
    let _ = established.connection.write_all(&bye).await;
    let _ = established.connection.shutdown().await;
    Some(split(&ears.version?))
}

/// "mosquitto version 2.0.11" is a name and a version.
fn split(text: &str) -> BrokerName {
    let mut words: Vec<&str> = text.split_whitespace().filter(|word| *word != "version").collect();
    let version = words.pop_if(|word| word.contains(|letter: char| letter.is_ascii_digit())).map(str::to_owned);
    let name = (!words.is_empty()).then(|| words.join(" "));
    BrokerName { name, version, source: Some("$SYS".to_owned()) }
}

#[derive(Default)]
struct Ears {
    version: Option<String>,
}

impl Handler<Message> for Ears {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        if delivery.publish.topic == VERSION_TOPIC && !delivery.publish.payload.is_empty() {
            let text = String::from_utf8_lossy(delivery.publish.payload);
            self.version = Some(text.chars().take(NAME_LIMIT).collect());
        }
        Acknowledge::Now
    }

    fn on_completed(&mut self, _completion: Completion<'_, Message>) {}

    fn on_event(&mut self, _event: Event) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_split_off_the_name() {
        let name = split("mosquitto version 2.0.11");
        assert_eq!((name.name.as_deref(), name.version.as_deref()), (Some("mosquitto"), Some("2.0.11")));
        assert_eq!(split("5.8.1").version.as_deref(), Some("5.8.1"));
        assert_eq!(split("Some Broker").name.as_deref(), Some("Some Broker"));
    }
}
