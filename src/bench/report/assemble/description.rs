//! The target and the plan in words.

use std::time::Duration;

use crate::bench::plan::{BenchPlan, Filling, LoadModel, PayloadPlan, StageName};
use crate::options::{ClientName, Shape};
use crate::terminal::number;
use crate::transport::{Address, TransportPlan};

pub(super) fn transport(plan: &BenchPlan) -> String {
    let TransportPlan { address, tls, web_socket, proxy, .. } = &plan.transport;
    let layer = match (address, tls, web_socket) {
        (Address::Unix(_), _, None) => "unix",
        (Address::Unix(_), _, Some(_)) => "ws+unix",
        (_, None, None) => "tcp",
        (_, Some(_), None) => "tls",
        (_, None, Some(_)) => "ws",
        (_, Some(_), Some(_)) => "wss",
    };
    match proxy {
        Some(proxy) => format!("{layer}+{}-proxy", proxy.kind),
        None => layer.to_owned(),
    }
}

/// Where the plan goes, without user and password.
pub(crate) fn url(plan: &BenchPlan) -> String {
    url_of(plan, &plan.transport.address)
}

pub(super) fn url_of(plan: &BenchPlan, address: &Address) -> String {
    let TransportPlan { tls, web_socket, .. } = &plan.transport;
    match (address, tls, web_socket) {
        (Address::Unix(path), ..) => format!("unix:{}", path.display()),
        (address, None, None) => format!("mqtt://{address}"),
        (address, Some(_), None) => format!("mqtts://{address}"),
        // A query may hold a token.
        (address, tls, Some(web_socket)) => {
            let path = web_socket.path.split('?').next().unwrap_or_default();
            format!("{}://{address}{path}", if tls.is_some() { "wss" } else { "ws" })
        }
    }
}

/// Target and plan in two lines, for before the load.
pub(crate) fn announcement(plan: &BenchPlan) -> String {
    let urls: Vec<String> = plan.targets.addresses().map(|address| url_of(plan, address)).collect();
    let time = |duration: Duration| number::duration(duration.as_nanos() as u64);
    let stages = plan.stages.iter().map(|stage| {
        let rate = match stage.model {
            _ if stage.name == StageName::Receive => "what others publish".to_owned(),
            LoadModel::ClosedLoop => "as fast as the window allows".to_owned(),
            LoadModel::OpenLoop { rate } => format!("{}/s", number::rate(rate)),
            LoadModel::OpenLoopShare { share } => format!("{share} of that rate"),
        };
        let count = stage.count.map(|count| format!("{} messages", number::grouped(count)));
        let length: Vec<String> = stage.duration.map(time).into_iter().chain(count).collect();
        format!("{} {rate}, {}", stage.name.text(), length.join(" or "))
    });
    let stages: Vec<String> = if plan.idlers > 0 { Vec::new() } else { stages.collect() };
    let plan = format!("Plan: {}  {}", description(plan), stages.join("; then "));
    format!("Target: {}\n{}\n", crate::terminal::escape(&urls.join("  ")), crate::terminal::escape(plan.trim_end()))
}

pub(super) fn description(plan: &BenchPlan) -> String {
    let plural = |count: usize, noun: &str| number::counted(count as u64, noun, &format!("{noun}s"));
    let client = match plan.client {
        ClientName::Mqbench => "",
        ClientName::Rumqttc => "  client rumqttc",
    };
    let head = format!("{}  MQTT {}{client}", transport(plan), plan.session.version);
    if plan.idlers > 0 {
        let rate = plan.connect_rate.map_or_else(String::new, |rate| format!(" at {}/s", number::rate(rate)));
        let ping = number::duration(plan.ping_interval.as_nanos() as u64);
        let hold = number::duration(plan.hold.as_nanos() as u64);
        return format!("{head}  {}{rate}, held for {hold}, a ping every {ping}", plural(plan.idlers, "client"));
    }
    if plan.responders > 0 {
        let clients = plural(plan.publishers, "client");
        let (qos, payload) = (plan.qos.number(), payload_text(&plan.payload));
        return format!("{head}  QoS {qos}  {clients} → responder → back  {payload}");
    }
    // The shape matters only where both sides are ours.
    let shape =
        if plan.publishers > 0 && plan.subscribers > 0 { format!("{}  ", plan.routes.shape()) } else { String::new() };
    // Subscribers alone send no payload.
    let payload = if plan.publishers > 0 { format!("  {}", payload_text(&plan.payload)) } else { String::new() };
    format!("{shape}{head}  QoS {}  {}{payload}", plan.qos.number(), crowd(plan))
}

/// Who sends to whom, in words.
fn crowd(plan: &BenchPlan) -> String {
    let plural = |count: usize, noun: &str| number::counted(count as u64, noun, &format!("{noun}s"));
    match (plan.publishers, plan.subscribers) {
        (publishers, 0) => return plural(publishers, "publisher"),
        (0, subscribers) => return plural(subscribers, "subscriber"),
        _ => {}
    }
    let pairs = format!("{} → {}", plural(plan.publishers, "publisher"), plural(plan.subscribers, "subscriber"));
    match (plan.routes.shape(), plan.routes.copies()) {
        (Shape::Shared { groups }, _) => {
            format!("{pairs} in {}, each message once to each group", plural(groups, "shared group"))
        }
        (_, (0, _)) => pairs,
        (Shape::P2p, (1, 1)) => pairs,
        (_, (1, 1)) => format!("{pairs}, which gets every message"),
        (_, (least, _)) if least == plan.subscribers => format!("{pairs}, each message to all of them"),
        (_, (least, most)) if least == most => format!("{pairs}, each message to {most} of them"),
        (_, (least, most)) => format!("{pairs}, each message to {least} or {most} of them"),
    }
}

fn payload_text(payload: &PayloadPlan) -> String {
    match payload {
        PayloadPlan::Filled(filled) => {
            let (least, most) = filled.sizes();
            let size = if least == most { format!("{most} B") } else { format!("{least}..{most} B") };
            match filled.filling() {
                Filling::Zero => size,
                filling => format!("{size} {}", filling_name(filling)),
            }
        }
        PayloadPlan::Fixed(bytes) => format!("{} B as given", bytes.len()),
        PayloadPlan::Text(_) => "text as given".to_owned(),
    }
}

pub(super) const fn filling_name(filling: Filling) -> &'static str {
    match filling {
        Filling::Zero => "zero",
        Filling::Random => "random",
        Filling::Text => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::from_options::tests::plan_of;

    #[test]
    fn a_shape_is_named_only_where_there_are_both_sides() {
        let described = |words: &[&str]| description(&plan_of(words).unwrap());
        assert_eq!(described(&["pub", "--clients", "3"]), "tcp  MQTT 3.1.1  QoS 0  3 publishers  64 B");
        assert_eq!(described(&["sub", "-t", "a", "--clients", "1"]), "tcp  MQTT 3.1.1  QoS 0  1 subscriber");
        assert!(described(&["--clients", "2"]).starts_with("p2p  tcp  "));
        assert!(described(&["--clients", "2"]).contains("2 publishers → 2 subscribers"));
    }
}
