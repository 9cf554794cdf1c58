//! mosquitto directives that this broker recognizes but does not support: the reason, and an alternative.

const BRIDGES: &str = "bridges are not supported; configure the bridge in the mosquitto at the other end";
const PLUGINS: &str = "plugins are not supported; use password_file and acl_file";
const PSK: &str = "pre-shared keys are not supported; use certfile and keyfile";
const PER_LISTENER: &str = "settings per listener are not supported; use listener_allow_anonymous and listener_auto_id_prefix below a listener";

/// Why a known directive is refused; none for one that is not mosquitto's.
pub(super) fn reason(directive: &str) -> Option<&'static str> {
    Some(match directive {
        "connection"
        | "address"
        | "addresses"
        | "cleansession"
        | "clientid"
        | "idle_timeout"
        | "keepalive_interval"
        | "local_cleansession"
        | "local_clientid"
        | "local_password"
        | "local_username"
        | "notifications"
        | "notifications_local_only"
        | "notification_topic"
        | "password"
        | "remote_clientid"
        | "remote_password"
        | "remote_username"
        | "restart_timeout"
        | "round_robin"
        | "start_type"
        | "threshold"
        | "topic"
        | "try_private"
        | "username" => BRIDGES,
        "auth_plugin"
        | "auth_plugin_deny_special_chars"
        | "plugin"
        | "global_plugin"
        | "plugin_load"
        | "plugin_use" => PLUGINS,
        "psk_file" | "psk_hint" => PSK,
        "per_listener_settings" => PER_LISTENER,
        "ciphers" | "ciphers_tls1.3" | "dhparamfile" | "tls_engine" | "tls_engine_kpass_sha1" | "tls_keyform" => {
            "OpenSSL's settings are not supported; TLS uses safe ciphers and key files in PEM"
        }
        "mount_point" | "listener_mount_point" => "topic prefixes per listener are not supported",
        "bind_interface" => "binding to a device is not supported; name an address after the port of the listener",
        "http_dir" | "http_api" => "serving files over HTTP is not supported; use a web server",
        "use_username_as_clientid" => "client ids from user names are not supported; let clients choose their id",
        "clientid_prefixes" => "rules for client ids are not supported; use password_file",
        "log_facility" => "syslog is not supported; use log_dest file or log_dest stdout",
        "upgrade_outgoing_qos" => "QoS above that of the publisher is not supported",
        "allow_duplicate_messages" => "removed by mosquitto too; MQTT 3 clients get one copy of each message",
        "check_retain_source" => "the publisher of a retained message is not checked again",
        "enable_control_api" | "dynamic_security" => "the control API is not supported; use password_file and acl_file",
        "accept_protocol_versions" => "every listener accepts MQTT 3.1, 3.1.1 and 5.0",
        "enable_proxy_protocol" | "proxy_protocol_v2_require_tls" => "the PROXY protocol is not supported",
        "log_dest_dlt" | "dlt_allow" => "Diagnostic Log and Trace is not supported",
        "packet_buffer_size" | "websockets_headers_size" | "websockets_log_level" => {
            "sizes and log levels of the WebSocket library do not apply here"
        }
        other if other.starts_with("bridge_") => BRIDGES,
        other if other.starts_with("auth_opt_") || other.starts_with("plugin_opt_") => PLUGINS,
        _ => return None,
    })
}
