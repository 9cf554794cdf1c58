//! The body of the fuzz target `configuration`, over files that are nearly right.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::bodies;

const DIRECTIVES: &[&str] = &[
    "acl_file",
    "allow_anonymous",
    "allow_zero_length_clientid",
    "auto_id_prefix",
    "autosave_interval",
    "bind_address",
    "cafile",
    "capath",
    "certfile",
    "connection",
    "connection_messages",
    "crlfile",
    "include_dir",
    "keyfile",
    "listener",
    "log_dest",
    "log_timestamp",
    "log_timestamp_format",
    "log_type",
    "max_connections",
    "max_inflight_bytes",
    "max_inflight_messages",
    "max_keepalive",
    "max_packet_size",
    "max_qos",
    "max_queued_bytes",
    "max_queued_messages",
    "max_topic_alias",
    "memory_limit",
    "message_size_limit",
    "password_file",
    "per_listener_settings",
    "persistence",
    "persistence_file",
    "persistence_location",
    "persistence_sync",
    "persistent_client_expiration",
    "pid_file",
    "plugin",
    "port",
    "protocol",
    "psk_file",
    "queue_qos0_messages",
    "require_certificate",
    "retain_available",
    "set_tcp_nodelay",
    "socket_domain",
    "sys_interval",
    "tls_version",
    "use_identity_as_username",
    "use_subject_as_username",
    "user",
    "websockets_origin",
    "listner",
    "Listener",
    "",
];

const VALUES: &[&str] = &[
    "",
    "true",
    "false",
    "0",
    "1",
    "2",
    "3",
    "1883",
    "65535",
    "65536",
    "-1",
    "99999999999999999999",
    "1883 127.0.0.1",
    "1883 ::1",
    "0 /run/x",
    "1883 a b",
    "mqtt",
    "websockets",
    "ipv4",
    "ipv6",
    "tlsv1.2",
    "tlsv1.3",
    "stdout",
    "stderr",
    "none",
    "topic",
    "syslog",
    "file",
    "file /tmp/a b",
    "all",
    "debug",
    "always",
    "interval",
    "1d",
    "2w",
    "3m",
    "1y",
    "d",
    "/etc/x",
    "é",
    "\u{1}",
    "# no comment",
    "%H:%M",
    "http://a",
    "*",
    "\"quoted\"",
    "\u{feff}",
    "\u{2028}",
];

/// A line: a directive with a value, both perhaps wrong, or anything at all.
fn line() -> impl Strategy<Value = String> {
    let blanks = select(vec![" ", "  ", "\t", "\u{a0}", ""]);
    let known =
        (select(DIRECTIVES), blanks, select(VALUES)).prop_map(|(name, blank, value)| [name, blank, value].concat());
    prop_oneof![20 => known, 1 => "\\PC{0,20}", 1 => "#.{0,10}", 1 => Just(String::new())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn files(lines in vec(line(), 0..12), end in select(vec!["\n", "\r\n"])) {
        bodies::configuration::configuration(lines.join(end).as_bytes());
    }

    #[test]
    fn any_bytes(data in vec(any::<u8>(), 0..200)) {
        bodies::configuration::configuration(&data);
    }
}
