//! What the broker reports about itself under `$SYS`, of several brokers.

use crate::explore::model::Model;
use crate::terminal::escape_bytes;

use super::text::fitted;

/// Label and unit, and the topics that hold the figure; the first that exists is used.
const FIGURES: &[(&str, &[&str])] = &[
    ("", &["$SYS/broker/version", "$SYS/brokers/+/version"]),
    ("up ", &["$SYS/broker/uptime", "$SYS/brokers/+/uptime"]),
    ("clients ", &["$SYS/broker/clients/connected", "$SYS/brokers/+/stats/connections.count"]),
    ("subscriptions ", &["$SYS/broker/subscriptions/count", "$SYS/brokers/+/stats/subscriptions.count"]),
    ("retained ", &["$SYS/broker/retained messages/count", "$SYS/brokers/+/stats/retained.count"]),
    ("in/min ", &["$SYS/broker/load/publish/received/1min", "$SYS/broker/load/messages/received/1min"]),
    ("out/min ", &["$SYS/broker/load/publish/sent/1min", "$SYS/broker/load/messages/sent/1min"]),
    ("dropped ", &["$SYS/broker/publish/messages/dropped", "$SYS/brokers/+/metrics/messages/dropped"]),
];
/// A figure is no longer, columns.
const LONGEST: usize = 24;

/// The figures that there are.
pub(super) fn figures(model: &Model) -> Vec<String> {
    let figure = |(label, topics): &(&str, &[&str])| {
        let topic = topics.iter().find_map(|topic| model.view(model.find(topic)?).topic)?;
        let value = escape_bytes(topic.last.payload.trim_ascii());
        (!value.is_empty()).then(|| format!("{label}{}", fitted(&value, LONGEST)))
    };
    FIGURES.iter().filter_map(figure).collect()
}
