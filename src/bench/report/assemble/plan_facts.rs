//! The plan in the result document, with every default written out.

use serde_json::{Value, json};

use super::description::filling_name;
use crate::bench::plan::{BenchPlan, LoadModel, PayloadPlan, StageName, WindowRule};
use crate::options::{Behind, Shape};

fn payload_facts(payload: &PayloadPlan) -> Value {
    let stamped = payload.is_stamped();
    let facts = |least: Option<usize>, most: Option<usize>, filling: Option<&str>| {
        let bytes = most.filter(|_| least == most);
        json!({ "stamped": stamped, "bytes": bytes, "least_bytes": least, "most_bytes": most, "filling": filling })
    };
    match payload {
        PayloadPlan::Filled(filled) => {
            let (least, most) = filled.sizes();
            facts(Some(least), Some(most), Some(filling_name(filled.filling())))
        }
        PayloadPlan::Fixed(bytes) => facts(Some(bytes.len()), Some(bytes.len()), None),
        PayloadPlan::Text(_) => facts(None, None, None),
    }
}

/// The plan with every default written out.
pub(super) fn plan_facts(plan: &BenchPlan) -> Value {
    let stages: Vec<Value> = plan
        .stages
        .iter()
        .map(|stage| {
            let rate = match stage.model {
                // Others send.
                _ if stage.name == StageName::Receive => Value::Null,
                LoadModel::ClosedLoop => json!("closed loop"),
                LoadModel::OpenLoop { rate } => json!(rate),
                LoadModel::OpenLoopShare { share } => json!(format!("{share} of the stage before")),
            };
            json!({
                "name": stage.name.text(),
                "rate": rate,
                "warmup_ns": stage.warmup.as_nanos() as u64,
                "duration_ns": stage.duration.map(|duration| duration.as_nanos() as u64),
                "count": stage.count,
            })
        })
        .collect();
    let copies = plan.routes.copies();
    let publishes = plan.publishers > 0;
    json!({
        "client": plan.client.name(),
        "shape": plan.routes.shape().to_string(),
        "publishers": plan.publishers,
        "subscribers": plan.subscribers,
        "groups": match plan.routes.shape() {
            Shape::Shared { groups } => Some(groups),
            Shape::P2p | Shape::FanIn | Shape::FanOut => None,
        },
        // Null where it is not the same for all.
        "copies_per_message": Some(copies.0).filter(|least| *least == copies.1),
        "wildcard_filters": plan.routes.wildcards(),
        "qos": plan.qos.number(),
        "retain": plan.retain,
        // Of what is published; null where nothing is.
        "payload": publishes.then(|| payload_facts(&plan.payload)),
        "window": (publishes && plan.window_rule != WindowRule::None).then_some(plan.window),
        "window_rule": publishes.then_some(match plan.window_rule {
            WindowRule::Delivery => "delivery",
            WindowRule::Acknowledged => "ack",
            WindowRule::None => "none",
        }),
        "keep_alive_s": plan.session.keep_alive.as_secs(),
        "clean_start": plan.session.clean_start,
        "threads": plan.threads,
        "latency": plan.latency,
        "busy_poll": plan.busy_poll,
        "arrival": plan.arrival.to_string(),
        "behind": match plan.behind {
            Behind::Queue => "queue",
            Behind::Skip => "skip",
        },
        "seed": plan.seed,
        "connect_per_s": plan.connect_rate,
        "responders": plan.responders,
        "holding": plan.idlers,
        "hold_ns": (plan.idlers > 0).then_some(plan.hold.as_nanos() as u64),
        "ping_interval_ns": (plan.idlers > 0).then_some(plan.ping_interval.as_nanos() as u64),
        "reconnect_ns": plan.reconnect.map(|interval| interval.as_nanos() as u64),
        "pair": (plan.targets.count() > 1).then_some(if plan.targets.is_cross() { "cross" } else { "same" }),
        "local_addresses": plan.targets.sources(),
        "drain_ns": plan.drain.as_nanos() as u64,
        "stages": stages,
    })
}
