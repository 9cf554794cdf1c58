//! What limited a stage, as far as its figures show it.

use super::document::ResultDocument;
use super::stage::Stage;
use crate::bench::measure::Verdict as Health;
use crate::terminal::number::{duration, grouped, percent};

/// A broker with one thread is at its limit above this share of a core.
const BROKER_BUSY_PCT: f64 = 85.0;
/// Share of all cores above which a machine has none to spare.
const MACHINE_BUSY_SHARE: f64 = 0.9;
/// A message that took less than this many times the shortest handshake did not wait.
const ROUND_TRIPS: u64 = 2;

/// What the limit was, as `limit: the broker, 97 % of a core`.
pub(super) fn limit(document: &ResultDocument, stage: &Stage) -> String {
    let generator = &stage.generator;
    let own_pct = generator.cpu_user_pct.zip(generator.cpu_sys_pct).map(|(user, system)| user + system);
    let broker_pct = stage.broker.as_ref().and_then(|process| process.cpu_pct);
    let is_embedded =
        document.target.broker.as_ref().is_some_and(|broker| broker.source.as_deref() == Some("embedded"));
    let broker = if is_embedded { "the embedded broker" } else { "the broker" };
    let is_broker = broker_pct.filter(|busy| *busy >= BROKER_BUSY_PCT);
    if generator.verdict == Some(Health::Bottleneck) {
        let both = is_broker.map(|busy| format!(", and {broker}, {} of a core", percent(busy))).unwrap_or_default();
        return format!("limit: mqbench itself{both}");
    }
    if let Some(busy) = is_broker {
        return format!("limit: {broker}, {} of a core", percent(busy));
    }
    if let Some((broker_pct, own_pct)) = broker_pct.zip(own_pct)
        && let Some(cores) = document.env.cores
        && broker_pct + own_pct >= MACHINE_BUSY_SHARE * 100.0 * cores as f64
    {
        let (broker_pct, own_pct) = (percent(broker_pct), percent(own_pct));
        return format!(
            "limit: this machine's CPU, of which {broker} used {broker_pct} of a core and mqbench {own_pct}"
        );
    }
    if let Some(window) = limit_of_window(document, stage) {
        return window;
    }
    if generator.verdict == Some(Health::Suspect) {
        return "limit: perhaps mqbench itself".to_owned();
    }
    let same_host = document.target.same_host == Some(true);
    match (broker_pct, own_pct) {
        // Other programs may have had the rest of the machine.
        (Some(broker_pct), own_pct) => {
            let own = own_pct.map(|own_pct| format!(", mqbench {}", percent(own_pct))).unwrap_or_default();
            format!("limit: unclear; {broker} used {} of a core{own}", percent(broker_pct))
        }
        (None, _) if is_embedded => "limit: the embedded broker, which shares this machine's CPU".to_owned(),
        (None, _) if same_host => "limit: probably the broker; --broker-pid shows its CPU".to_owned(),
        (None, Some(own_pct)) => format!("limit: the broker or the path; mqbench used {} of a core", percent(own_pct)),
        (None, None) => "limit: unknown".to_owned(),
    }
}

/// The window, where messages took no longer than the path alone: then more of them could be in flight.
fn limit_of_window(document: &ResultDocument, stage: &Stage) -> Option<String> {
    let window = document.plan["window"].as_u64()?;
    let in_flight = window * document.plan["publishers"].as_u64()?;
    let latency = &stage.latency;
    let time = [&latency.e2e, &latency.rtt, &latency.ack].into_iter().find_map(Option::as_ref)?.p.p50?;
    // Connecting belongs to the first stage.
    let handshake = document.stages.iter().find_map(|stage| stage.latency.connect_tcp.as_ref())?.min;
    (time <= ROUND_TRIPS * handshake).then(|| {
        format!("limit: the window, {} in flight for {} each; try a larger -M", grouped(in_flight), duration(time))
    })
}
