//! The plan as the result document has it.

use super::description::{filling_name, transport};
use crate::bench::plan::{BenchPlan, LoadModel, PayloadPlan, Stage, StageName, WindowRule};
use crate::bench::report::plan::{PayloadFacts, PlanFacts, StagePlan, WillFacts, hex};
use crate::mqtt::Properties;
use crate::options::{Behind, Shape};

fn payload_facts(payload: &PayloadPlan) -> PayloadFacts {
    let stamped = payload.is_stamped();
    let facts = |sizes: Option<(usize, usize)>, filling: Option<&str>, sha256: Option<String>| PayloadFacts {
        stamped,
        bytes: sizes.filter(|(least, most)| least == most).map(|(least, _)| least),
        least_bytes: sizes.map(|(least, _)| least),
        most_bytes: sizes.map(|(_, most)| most),
        filling: filling.map(str::to_owned),
        sha256,
    };
    match payload {
        PayloadPlan::Filled(filled) => facts(Some(filled.sizes()), Some(filling_name(filled.filling())), None),
        PayloadPlan::Fixed(bytes) => facts(Some((bytes.len(), bytes.len())), None, Some(hex(bytes))),
        PayloadPlan::Text(template) => facts(None, None, Some(hex(template.to_string().as_bytes()))),
    }
}

fn stage_plan(stage: &Stage) -> StagePlan {
    let (model, rate_per_s, share_of_stage_before) = match stage.model {
        // Others send.
        _ if stage.name == StageName::Receive => (None, None, None),
        LoadModel::ClosedLoop => (Some("closed"), None, None),
        LoadModel::OpenLoop { rate } => (Some("open"), Some(rate), None),
        LoadModel::OpenLoopShare { share } => (Some("open"), None, Some(share)),
    };
    StagePlan {
        name: stage.name.text().to_owned(),
        model: model.map(str::to_owned),
        rate_per_s,
        share_of_stage_before,
        warmup_ns: stage.warmup.as_nanos() as u64,
        duration_ns: stage.duration.map(|duration| duration.as_nanos() as u64),
        count: stage.count,
    }
}

/// The plan with every default written out.
pub(super) fn plan_facts(plan: &BenchPlan) -> PlanFacts {
    let copies = plan.routes.copies();
    let publishes = plan.publishers > 0;
    let names = |packet: &'static str, properties: &Properties| -> Vec<String> {
        properties.iter().map(|property| format!("{packet} {}", property.name().text())).collect()
    };
    let client_id = plan.client_id.to_string();
    let window_rule = match plan.window_rule {
        WindowRule::Delivery => "delivery",
        WindowRule::Acknowledged => "ack",
        WindowRule::None => "none",
    };
    let behind = match plan.behind {
        Behind::Queue => "queue",
        Behind::Skip => "skip",
    };
    PlanFacts {
        client: plan.client.name().to_owned(),
        protocol: plan.session.version.to_string(),
        transport: transport(plan),
        shape: plan.routes.shape().to_string(),
        publishers: plan.publishers,
        subscribers: plan.subscribers,
        responders: plan.responders,
        holding: plan.idlers,
        groups: match plan.routes.shape() {
            Shape::Shared { groups } => Some(groups),
            Shape::P2p | Shape::FanIn | Shape::FanOut => None,
        },
        copies_per_message: Some(copies.0).filter(|least| *least == copies.1),
        topics: plan.routes.topics().map(ToString::to_string).collect(),
        wildcard_filters: plan.routes.wildcards().map(<[String]>::to_vec),
        client_id: (client_id != format!("mqb-{}-%i", plan.run)).then_some(client_id),
        user_name: plan.user_name.as_ref().map(ToString::to_string),
        qos: plan.qos.number(),
        retain: plan.retain,
        payload: publishes.then(|| payload_facts(&plan.payload)),
        window: (publishes && plan.window_rule != WindowRule::None).then_some(plan.window),
        window_rule: publishes.then(|| window_rule.to_owned()),
        keep_alive_s: plan.session.keep_alive.as_secs(),
        clean_start: plan.session.clean_start,
        will: plan.session.will.as_ref().map(|will| WillFacts {
            topic: will.topic.clone(),
            qos: will.qos.number(),
            retain: will.retain,
            payload_bytes: will.payload.len(),
        }),
        properties: [
            names("connect", &plan.session.connect_properties),
            names("publish", &plan.publish_properties),
            names("subscribe", &plan.subscribe_properties),
            plan.session.will.as_ref().map(|will| names("will", &will.properties)).unwrap_or_default(),
        ]
        .concat(),
        threads: Some(plan.threads),
        latency: plan.latency,
        busy_poll: Some(plan.busy_poll),
        arrival: plan.arrival.to_string(),
        behind: behind.to_owned(),
        seed: Some(plan.seed),
        connect_per_s: plan.connect_rate,
        hold_ns: (plan.idlers > 0).then_some(plan.hold.as_nanos() as u64),
        ping_interval_ns: (plan.idlers > 0).then_some(plan.ping_interval.as_nanos() as u64),
        reconnect_ns: plan.reconnect.map(|interval| interval.as_nanos() as u64),
        pair: (plan.targets.count() > 1).then(|| if plan.targets.is_cross() { "cross" } else { "same" }.to_owned()),
        local_addresses: Some(plan.targets.sources().iter().map(ToString::to_string).collect()),
        drain_ns: plan.drain.as_nanos() as u64,
        asks_sys: Some(plan.asks_sys),
        stages: plan.stages.iter().map(stage_plan).collect(),
    }
}
