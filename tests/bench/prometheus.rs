//! `--prometheus`: what a scrape reads while the load runs, and what it does to the load.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use openmetrics_parser::openmetrics::parse_openmetrics;
use openmetrics_parser::prometheus::parse_prometheus;
use serde_json::Value;

use crate::support::bench::{code, fail, mqbench};
use crate::support::process::{Running, text};
use crate::support::scripted_broker::{Script, ScriptedBroker};
use crate::support::whole::assert_whole;

const PATIENCE: Duration = Duration::from_secs(60);

/// A load that lasts until it is interrupted, and the address of its figures.
fn start(broker: &ScriptedBroker) -> (Running, SocketAddr) {
    let arguments = ["--rate", "500", "--duration", "5m", "--warmup", "0", "--clients", "1", "--json", "-q", "1"];
    let mut load = Running::start(mqbench(&broker.port(), &arguments).args(["--prometheus", "127.0.0.1:0"]));
    let line = load.stderr.wait_for("Metrics: http://");
    let address = line.trim().trim_start_matches("Metrics: http://").trim_end_matches("/metrics").parse().unwrap();
    (load, address)
}

fn exchange(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn scrape(address: SocketAddr, accept: &str) -> String {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
    exchange(address, &request).unwrap()
}

/// Scrapes until at least this many messages were delivered.
fn wait_for_delivered(address: SocketAddr, least: u64) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = scrape(address, "application/openmetrics-text");
        let line = answer.lines().find(|line| line.starts_with("mqbench_delivered_messages_total{"));
        let count = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        if count.is_some_and(|count| count >= least) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{answer}");
    }
}

fn end(load: Running) -> Value {
    load.signal("INT");
    let output = load.finish();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

#[test]
fn a_scrape_reads_the_running_figures_in_both_forms() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let (load, address) = start(&broker);
    let first = wait_for_delivered(address, 1);
    let (head, body) = first.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 OK") && head.contains("application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    let families = parse_openmetrics(body).unwrap_or_else(|error| panic!("{error}\n{body}")).families;
    for name in
        ["mqbench_end_to_end_latency_seconds", "mqbench_acknowledgement_latency_seconds", "mqbench_open_connections"]
    {
        assert!(families.contains_key(name), "no {name} in {body}");
    }
    let answer = scrape(address, "text/plain");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    parse_prometheus(body).unwrap_or_else(|error| panic!("{error}\n{body}"));
    // The figures move on.
    wait_for_delivered(address, 800);
    let document = end(load);
    assert!(document["delivery"]["delivered_once"].as_u64().unwrap() >= 800);
    assert!(TcpStream::connect(address).is_err(), "the server ends with the run");
}

#[test]
fn garbage_slow_clients_and_floods_disturb_nothing() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let (load, address) = start(&broker);
    wait_for_delivered(address, 1);
    for (request, status) in [
        ("\u{16}\u{3}\u{1}garbage\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "404"),
        ("DELETE /metrics HTTP/1.1\r\n\r\n".to_owned(), "405"),
        (format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000)), "431"),
        (format!("GET /metrics HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(7_000)), "200"),
        (format!("GET /metrics HTTP/1.1\r\nA: {}", "b".repeat(9_000)), "431"),
    ] {
        let answer = exchange(address, &request).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.40}: {answer:.80}");
    }
    // More than it holds, none of which says a whole request.
    let slow: Vec<TcpStream> = (0..200)
        .filter_map(|_| TcpStream::connect_timeout(&address, PATIENCE).ok())
        .inspect(|mut stream| drop(stream.write_all(b"GET /met")))
        .collect();
    assert!(slow.len() > 16, "{}", slow.len());
    wait_for_delivered(address, 300);
    drop(slow);
    let document = end(load);
    let delivery = &document["delivery"];
    assert_eq!((&delivery["lost"], &delivery["duplicates"]), (&0.into(), &0.into()), "{delivery}");
}

#[test]
fn an_address_in_use_is_an_error_before_anything_connects() {
    let broker = ScriptedBroker::start(Script::default());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (stderr, code) = fail(&broker.port(), &["--rate", "10", "-C", "1", "--prometheus", &address]);
    assert_eq!(code, 1, "{stderr}");
    let expected = "\
        Error: --prometheus 127.0.0.1:[..]: Address already in use\n\
        Hint: port 0 takes a free port; no connection was made\n";
    assert_whole(&stderr, expected);
    assert_eq!(broker.log().connects().count(), 0, "no connection was made");
    for text in ["9100", ":9100", "::1:9100", "127.0.0.1:x", "127.0.0.1:70000"] {
        let (stderr, code) = fail("1", &["--prometheus", text]);
        assert!(code == 2 && stderr.contains("ADDR:PORT"), "{text}: {stderr}");
    }
}

#[test]
fn the_address_of_a_free_port_is_printed_even_if_quiet() {
    let broker = ScriptedBroker::start(Script::default());
    let output = crate::support::process::run(
        mqbench(&broker.port(), &["--flood", "-C", "5", "--clients", "1", "--quiet"]).args(["--prometheus", "[::1]:0"]),
    );
    assert!(code(&output) == 0 && text(&output.stderr).contains("Metrics: http://[::1]:"), "{output:?}");
}
