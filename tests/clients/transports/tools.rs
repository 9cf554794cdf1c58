//! mqpub, mqsub and mqbench through every transport: what one sends the other gets, and the errors say what to do.

use std::path::Path;

use serde_json::Value;

use crate::support::mosquitto::Mosquitto;
use crate::support::peer::Peer;
use crate::support::process::{run, text};
use crate::support::proxies::Proxy;
use crate::support::scripted_broker::{Script, ScriptedBroker};
use crate::support::tool::{self, Tool};
use crate::support::web_socket::front;

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");
const MQBENCH: &str = env!("CARGO_BIN_EXE_mqbench");

/// Sends a message of every QoS by this way, and wants each once.
fn assert_delivery(way: &[&str]) {
    let with = |more: &[&str]| way.iter().chain(more).map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let words = |arguments: &[String]| arguments.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let subscribing = with(&["-t", "way/#", "-q", "2", "-C", "3", "-v", "-d"]);
    let mut mqsub = Tool::start(MQSUB, &words(&subscribing).split('\n').collect::<Vec<_>>());
    mqsub.wait_for_stderr("SUBACK");
    for qos in ["0", "1", "2"] {
        let publishing = with(&["-t", &format!("way/{qos}"), "-m", &format!("message {qos}"), "-q", qos]);
        let ended = tool::run(MQPUB, &words(&publishing).split('\n').collect::<Vec<_>>(), b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{way:?}");
    }
    let ended = mqsub.end();
    assert_eq!(ended.lines(), ["way/0 message 0", "way/1 message 1", "way/2 message 2"], "{way:?}: {}", ended.stderr);
    assert_eq!(ended.code, Some(0), "{way:?}");
}

#[test]
fn messages_go_through_web_sockets_and_proxies() {
    let broker = ScriptedBroker::start(Script::default());
    // Frames of three bytes: hardly a packet is whole in one.
    let web_socket = front(broker.addr(), 3).addr();
    let (socks5, http) = (Proxy::socks5(Some(("us@er", "p:ss")), 1), Proxy::http(Some(("us@er", "p:ss")), 1));
    let url = format!("ws://{web_socket}/any?token=x");
    let (host, port) = (web_socket.ip().to_string(), web_socket.port().to_string());
    let through_socks5 = format!("socks5h://us%40er:p%3Ass@{}", socks5.addr());
    let through_http = format!("http://us%40er:p%3Ass@{}/", http.addr());
    assert_delivery(&["-L", &url]);
    assert_delivery(&["-h", &host, "-p", &port, "--ws", "--ws-header", "Authorization: x", "-V", "5"]);
    assert_delivery(&["-h", "broker.test", "-p", &broker.port(), "--proxy", &through_socks5]);
    assert_delivery(&["-h", "broker.test", "-p", &broker.port(), "--proxy", &through_http, "-V", "5"]);
    assert_delivery(&["-L", &url, "--proxy", &through_http]);
    assert_eq!(http.targets().pop(), Some(web_socket.to_string()));
    assert_eq!(socks5.targets(), vec![format!("broker.test:{}", broker.port()); 4]);
    assert_eq!(broker.violations(), [""; 0]);
}

#[test]
fn the_environment_is_asked_when_it_is_named() {
    let broker = ScriptedBroker::start(Script::default());
    let proxy = Proxy::http(None, 100);
    let ask = |more: &[&str], exceptions: &str| {
        let port = broker.port();
        let arguments = [&["-h", "127.0.0.1", "-p", &port, "-t", "t", "-m", "x", "-q", "1"], more].concat();
        let mut command = tool::command(MQPUB, &arguments);
        command.env("https_proxy", proxy.addr()).env("no_proxy", exceptions);
        assert_eq!(run(&mut command).status.code(), Some(0), "{more:?}");
        proxy.targets().len()
    };
    assert_eq!(ask(&[], ""), 0);
    assert_eq!(ask(&["--proxy", "env"], "10.0.0.0/8,127.0.0.0/8"), 0);
    assert_eq!(ask(&["--proxy", "env"], "10.0.0.0/8,x.test"), 1);
}

#[test]
fn an_error_names_step_cause_and_next_step_and_no_secret() {
    let not_found = Peer::answering("HTTP/1.1 404 Not Found\r\n\r\n", 100).port();
    let forbidden = Peer::answering("HTTP/1.1 403 Forbidden\r\n\r\n", 100).addr();
    let url = format!("ws://u:hunter2@127.0.0.1:{not_found}/chat?token=hunter2");
    let proxy = format!("http://u:hunter2@{forbidden}");
    for (way, lines) in [
        (
            &["-L", &url][..],
            format!(
                "Error: cannot connect to 127.0.0.1:{not_found}: WebSocket: the server answered 404 Not Found\nHint: is \
                 the path right? set it with --ws-path or in the URL; most brokers use /mqtt\n"
            ),
        ),
        (
            &["-h", "h", "--proxy", &proxy],
            "Error: cannot connect to h:1883: proxy: the proxy's rules do not allow a connection to h:1883 (403 \
             Forbidden)\nHint: many proxies allow CONNECT to port 443 only: a broker that serves MQTT or WebSocket over \
             TLS there can be reached\n"
                .to_owned(),
        ),
    ] {
        let ended = tool::run(MQPUB, &[way, &["-t", "t", "-m", "x"]].concat(), b"");
        assert_eq!((ended.code, ended.stderr), (Some(1), lines));
    }
}

/// mqbench's document for a run by this way.
fn measure(way: &[&str]) -> Value {
    let load = ["--flood", "-C", "2000", "--pubs", "2", "--subs", "2", "--json", "--drain", "20s"];
    let output = run(&mut tool::command(MQBENCH, &[way, &load].concat()));
    assert_eq!(output.status.code(), Some(0), "{way:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A mosquitto that speaks MQTT, the same over WebSocket with and without TLS, and on a Unix socket.
struct EveryListener {
    broker: Mosquitto,
    ws: u16,
    wss: u16,
}

impl EveryListener {
    fn start() -> Option<Self> {
        let [ws, wss] = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let [ws, wss] = [ws, wss].map(|listener| listener.local_addr().unwrap().port());
        let configuration = format!(
            "allow_anonymous true\nlistener {ws} 127.0.0.1\nprotocol websockets\nlistener {wss} 127.0.0.1\nprotocol \
             websockets\ncertfile {{folder}}/cert.pem\nkeyfile {{folder}}/key.pem\nlistener 0 {{folder}}/mqtt.sock\n"
        );
        let prepare = |folder: &Path| {
            let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
            std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
            std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
            // mosquitto lets go of being root before it opens the socket.
            #[cfg(unix)]
            for (name, mode) in [("", 0o777), ("cert.pem", 0o644), ("key.pem", 0o644)] {
                let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
                std::fs::set_permissions(folder.join(name), permissions).unwrap();
            }
        };
        Mosquitto::start_with(&configuration, prepare).map(|broker| Self { broker, ws, wss })
    }

    fn file(&self, name: &str) -> String {
        self.broker.folder.path().join(name).display().to_string()
    }
}

#[test]
fn mosquitto_is_reached_by_every_way() {
    let Some(every) = EveryListener::start() else { return };
    let (ws, wss) = (format!("ws://127.0.0.1:{}/mqtt", every.ws), format!("wss://127.0.0.1:{}", every.wss));
    let (certificate, unix) = (every.file("cert.pem"), every.file("mqtt.sock"));
    let (socks5, http) = (Proxy::socks5(None, 100), Proxy::http(Some(("u", "p")), 100));
    let (socks5, http) = (format!("socks5://{}", socks5.addr()), format!("http://u:p@{}", http.addr()));
    assert_delivery(&["-L", &ws]);
    assert_delivery(&["-L", &wss, "--cafile", &certificate]);
    assert_delivery(&["-L", &wss, "--cafile", &certificate, "--proxy", &http]);
    assert_delivery(&["-p", &every.broker.port(), "--proxy", &socks5, "-V", "5"]);
    #[cfg(unix)]
    for way in [["--unix", &unix], ["-L", &format!("unix:{unix}")]] {
        assert_delivery(&way);
    }
    let keylog = every.file("keys");
    assert_delivery(&["-L", &wss, "--cafile", &certificate, "--tls-keylog", &keylog]);
    let keys = std::fs::read_to_string(keylog).unwrap();
    assert!(keys.lines().any(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ") && line.split(' ').count() == 3));
}

#[test]
fn mqbench_loses_nothing_over_web_socket() {
    let Some(every) = EveryListener::start() else { return };
    let url = format!("ws://127.0.0.1:{}/mqtt?token=hunter2", every.ws);
    for qos in ["0", "1", "2"] {
        let document = measure(&["-L", &url, "-q", qos, "--ws-header", "Cookie: hunter2"]);
        assert_eq!(document["delivery"]["lost"], 0);
        assert_eq!(document["delivery"]["delivered_once"], document["delivery"]["expected"]);
        assert_eq!(document["target"]["transport"], "ws");
        assert_eq!(document["target"]["urls"][0], format!("ws://127.0.0.1:{}/mqtt", every.ws));
        assert_eq!(document["latency"]["connect_ws"]["count"], 4);
        assert!(!document.to_string().contains("hunter2"));
    }
    let proxy = Proxy::socks5(Some(("u", "hunter2")), 100);
    let (certificate, proxy) = (every.file("cert.pem"), format!("socks5h://u:hunter2@{}", proxy.addr()));
    let url = format!("wss://127.0.0.1:{}", every.wss);
    let document = measure(&["-L", &url, "-q", "1", "--cafile", &certificate, "--proxy", &proxy]);
    assert_eq!(
        (&document["delivery"]["lost"], &document["target"]["transport"]),
        (&0.into(), &"wss+socks5h-proxy".into())
    );
    assert_eq!(document["latency"]["connect_proxy"]["count"], 4);
    assert!(!document.to_string().contains("hunter2"));
}
