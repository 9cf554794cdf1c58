//! Finds the name and version of the broker after the load, over a separate connection: it affects no figure.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use super::plan::BenchPlan;
use super::report::BrokerName;
use crate::client::{establish, exchange};
use crate::mqtt::wire::{Subscribe, SubscribeFilter};
use crate::mqtt::{Message, Properties, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Session};
use crate::transport::TlsClient;

/// Mosquitto, EMQX and others publish their version as a retained message here.
const VERSION_TOPIC: &str = "$SYS/broker/version";

/// How long to wait for a connection, and for the answer: the version is retained, or it never arrives.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The longest name accepted from the network.
const NAME_LIMIT: usize = 80;

/// Asks the broker for its name and version. None when it does not answer, for any reason.
pub(super) async fn broker_name(plan: &BenchPlan, tls: Option<&TlsClient>) -> Option<BrokerName> {
    let (config, transport) = (plan.session_for_sys(), plan.transport_of(0));
    let mut session: Session<Message> = Session::new(Instant::now());
    let mut handler = VersionHandler::default();
    let established = establish(&transport, tls, &config, &mut session, &mut handler);
    let mut established = tokio::time::timeout(TIMEOUT, established).await.ok()?.ok()?;
    let filter = SubscribeFilter { filter: VERSION_TOPIC.to_owned(), ..SubscribeFilter::default() };
    session.subscribe(Subscribe { filters: vec![filter], ..Subscribe::default() }).ok()?;
    let answer =
        exchange(&mut established.connection, &mut session, &mut handler, "", |_, handler| handler.version.is_some());
    // Without an answer there is just no name.
    let _ = tokio::time::timeout(TIMEOUT, answer).await;
    let mut out = Vec::new();
    let _ = session.disconnect(ReasonCode::SUCCESS, Properties::new());
    session.take_output(&mut out);
    let _ = established.connection.write_all(&out).await;
    let _ = established.connection.shutdown().await;
    Some(split(&handler.version?))
}

/// Splits text as "mosquitto version 2.0.11" into name and version.
fn split(text: &str) -> BrokerName {
    let mut words: Vec<&str> = text.split_whitespace().filter(|word| *word != "version").collect();
    let version = words.pop_if(|word| word.contains(|letter: char| letter.is_ascii_digit())).map(str::to_owned);
    let name = (!words.is_empty()).then(|| words.join(" "));
    BrokerName { name, version, source: Some("$SYS".to_owned()) }
}

#[derive(Default)]
struct VersionHandler {
    version: Option<String>,
}

impl Handler<Message> for VersionHandler {
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
