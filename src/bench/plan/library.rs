//! What `--client rumqttc` cannot do: said before anything connects.

use super::{BenchPlan, WindowRule};
use crate::mqtt::{ProtocolVersion, QoS};
use crate::transport::TransportPlan;

/// rumqttc's MQTT 5 client insists on it.
const SHORTEST_KEEP_ALIVE_S: u64 = 5;

/// Why rumqttc cannot run a plan.
pub(super) fn faults_of_rumqttc(plan: &BenchPlan) -> Vec<String> {
    if !cfg!(feature = "rumqttc") {
        return vec!["--client rumqttc: this mqbench was built without it: build it with --features rumqttc".into()];
    }
    let TransportPlan { tls, web_socket, proxy, .. } = &plan.transport;
    let session = &plan.session;
    let is_v5 = session.version == ProtocolVersion::V5;
    let has_will_properties = session.will.as_ref().is_some_and(|will| !will.properties.is_empty());
    let has_properties = has_will_properties
        || [&session.connect_properties, &plan.publish_properties, &plan.subscribe_properties]
            .iter()
            .any(|properties| !properties.is_empty());
    let keep_alive_s = session.keep_alive.as_secs();
    let password_is_text =
        || plan.session_of(0).password.is_none_or(|secret| std::str::from_utf8(secret.expose()).is_ok());
    let cases = [
        (session.version == ProtocolVersion::V31, "-V mqttv31: rumqttc has no MQTT 3.1: use -V 311 or -V 5"),
        (tls.is_some(), "TLS: it is built without TLS here: leave out --tls and --cafile"),
        (web_socket.is_some(), "WebSocket: it is built without it here: use TCP"),
        (proxy.is_some(), "--proxy: rumqttc has no SOCKS proxy: remove --proxy, or unset ALL_PROXY"),
        (!plan.targets.sources().is_empty(), "-A: rumqttc cannot choose its local address"),
        (
            plan.reconnect.is_some(),
            "--reconnect: rumqttc loses the messages in flight when it reconnects without a session",
        ),
        (!session.clean_start, "-c: a session that outlasts its connection takes --reconnect, which it cannot do"),
        (has_properties, "-D and -x: no properties are passed to rumqttc: remove them"),
        (plan.idlers > 0, "mqbench conn: it measures connecting step by step, which rumqttc does not show"),
        (plan.responders > 0, "mqbench echo: responders run on the engine of mqbench only"),
        (
            plan.qos != QoS::AtMostOnce && plan.window_rule == WindowRule::None,
            "--window none: rumqttc reserves memory for each message in flight: use -M",
        ),
        (is_v5 && keep_alive_s < SHORTEST_KEEP_ALIVE_S, "-k: rumqttc's MQTT 5 client needs 5 seconds or more"),
        (!password_is_text(), "-P: rumqttc sends only passwords that are UTF-8"),
        (
            session.user_name.is_none() && plan.user_name.is_none() && plan.password.is_some(),
            "-P without -u: rumqttc sends no password without a user name",
        ),
    ];
    cases.iter().filter(|(is_so, _)| *is_so).map(|(_, fault)| format!("--client rumqttc: {fault}")).collect()
}

#[cfg(all(test, feature = "rumqttc"))]
mod tests {
    use crate::bench::plan::from_options::tests::plan_of;

    #[test]
    fn what_rumqttc_cannot_do_is_refused_by_name() {
        for (arguments, part) in [
            (&["-V", "mqttv31"][..], "no MQTT 3.1"),
            (&["--tls"], "without TLS"),
            (&["-L", "ws://localhost/mqtt"], "WebSocket"),
            (&["--proxy", "socks5h://localhost:1080"], "--proxy"),
            (&["-A", "127.0.0.2"], "local address"),
            (&["--reconnect"], "loses the messages in flight"),
            (&["-c"], "-c"),
            (&["-V", "5", "-D", "publish", "content-type", "a"], "-D and -x"),
            (&["-V", "5", "-x", "60"], "-D and -x"),
            (&["conn"], "mqbench conn"),
            (&["echo"], "mqbench echo"),
            (&["-q", "1", "--window", "none"], "--window none"),
            (&["-V", "5", "-k", "0"], "5 seconds"),
        ] {
            let words = [arguments, &["--client", "rumqttc"]].concat();
            let error = plan_of(&words).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("--client rumqttc") && error.contains(part), "{arguments:?}: {error}");
        }
        for arguments in [&[][..], &["-V", "5"], &["pub"], &["sub", "-t", "a"], &["--shape", "shared:2"], &["-r"]] {
            assert!(plan_of(&[arguments, &["--client", "rumqttc", "-u", "u"]].concat()).is_ok(), "{arguments:?}");
        }
    }
}
