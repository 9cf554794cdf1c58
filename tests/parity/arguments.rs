//! Rows that end at the command line: what is refused, with which words and which blank lines.

use super::program::Tool;
use super::row::{Row, publisher, subscriber};

/// Of both clients.
const BOTH: &[&str] = &[
    "-A", "--cafile", "--capath", "--cert", "--ciphers", "-D", "--property", "-h", "--host", "-i", "--id", "-I",
    "--id-prefix", "-k", "--keepalive", "--key", "--keyform", "-L", "--url", "-M", "-p", "--port", "-P", "--pw", "--proxy",
    "--psk", "--psk-identity", "-q", "--qos", "-t", "--topic", "--tls-alpn", "--tls-engine", "--tls-engine-kpass-sha1",
    "--tls-version", "-u", "--username", "--unix", "-V", "--protocol-version", "--will-payload", "--will-qos",
    "--will-topic", "-x",
    // Unknown ones.
    "-Z", "--unknown", "-ta", "--topic=a", "--", "extra", "-S", "--ws=1", "--max-inflight", "--json", "--compat",
    "--pw-file",
    // Values.
    "-p 65536", "-p -1", "-q 3", "-q -1", "-q 7x", "-k 4", "-k -1", "-k 65536", "-k x", "-M 0", "-M -4", "-V 0", "-V MQTTV5",
    "-x A", "-x -2", "-x 4294967296", "-x 5z", "-x ''", "-x 99999999999999999999", "--will-qos 3", "--will-qos -1",
    "--will-topic +", "--will-topic a/#", "--proxy foo", "--proxy http://h:1", "--proxy socks5h://",
    "-L mqtt://localhost", "-L mqtts://localhost",
    // Relations.
    "-i id -I prefix", "-I prefix -i id", "-I prefix -i", "--will-payload x", "--will-retain", "--cert x", "--key x",
    "--keyform pem", "--tls-engine-kpass-sha1 x", "--psk x", "--psk x --cafile y", "--psk x --capath y --psk-identity z",
    "-c", "-c -I x", "-V 5 -c", "-V mqttv5 -x -1", "-V 31 -c",
    // The first fault decides.
    "-q 3 -Z", "-Z -q 3", "--will-payload x --cert y", "--cert y -c", "--quiet -q 3", "--quiet -Z",
    // Properties.
    "-D connect", "-D connect receive-maximum", "-D connect user-property key", "-D connect topic-alias 1",
    "-D Connect Topic-Alias 1", "-D publish subscription-identifier 1", "-D subscribe topic-alias 1",
    "-D unsubscribe content-type x", "-D disconnect content-type x", "-D auth authentication-method x",
    "-D puback reason-string x", "-D PUBREC reason-string x", "-D pubrel user-property a b",
    "-D connect request-problem-information -1", "-D connect request-problem-information 256",
    "-D connect receive-maximum -1", "-D connect receive-maximum 65536", "-D connect session-expiry-interval 4294967296",
    "-D subscribe subscription-identifier -1", "-D subscribe subscription-identifier 4294967296",
    "-D subscribe subscription-identifier 268435456",
];

/// Of mosquitto_pub.
const PUB: &[&str] = &[
    "-f", "--file", "-m", "--message", "--repeat", "--repeat-delay", "--repeat 0", "--repeat x", "--repeat-delay -1",
    "-t a/+", "-t a/#", "-L mqtt://h/a+", "-m a -f b", "-m a -l", "-l -m a", "-l -m", "-l -n", "-l -s", "-n -n", "-m a -m b",
    "-f x -s",
    // Those of the other client.
    "-C 1", "-e x", "-E", "-F %p", "--latency", "--message-rate", "-N", "--pretty", "-R", "--random-filter",
    "--remove-retained", "--retain-as-published", "--retain-handling new", "--retained-only", "-T a", "-U a", "-v",
    "--verbose", "-W 1", "-w", "--watch",
    // Settings.
    "-t a -m b -P x", "-t a -m b -P x --quiet", "-t a -m b -i '' -c", "-t a -m b -V 31 -i ''",
    "-t a -m b --tls-version foo", "-t a -m b --tls-version foo --quiet", "-t a -m b --keyform foo --key k --cert c",
    "-t a -s", "-s", "-t a -s --quiet", "-t a -m b --cafile /nowhere/ca.pem", "-t a -m b -p 1 --cafile /nowhere/ca.pem",
    "-t a -m b --quiet --cafile /nowhere/ca.pem",
    // Properties together.
    "-t a -m b -D publish content-type x -D publish content-type y", "-t a -m b -D connect receive-maximum x",
    "-t a -m b -D connect receive-maximum 0", "-t a -m b -D publish topic-alias 0",
    "-t a -m b -D connect request-problem-information 2", "-t a -m b -D connect session-expiry-interval 5 -x 6",
    "-t a -m b --will-topic w -D will will-delay-interval 1 -D will will-delay-interval 1",
    // Nobody is there.
    "-t a -m b -h 127.0.0.1 -p 1", "-t a -m b -h 127.0.0.1 -p 1 --quiet", "-t a -m b -h 127.0.0.1 -p 1 -q x",
    "-t a -m b -h 127.0.0.1 -p 1 -x 0x10", "-t a -m b -h 127.0.0.1 -p 1 -x ∞ -i x", "-t a -m b -L mqtt://127.0.0.1:1/x",
    "-m b -L MQTT://u:p@127.0.0.1:1/x", "-t a -m b -h no.such.host.invalid", "-t a -m b -h ''", "-t a -m b --unix /nowhere",
    "-t a -m b -p abc -h /nowhere", "-t a -m b -p 0 -h /nowhere", "-m b -L mqtt://nowhere:x/a", "-t a -m b -p 1 --insecure",
    "-t a -m b -p 1 --cert x --key y", "-t a -m b -p 1 --ciphers x", "-t a -m b -p 1 --tls-alpn x",
    "-t a -m b -p 1 --psk-identity x", "-t a -m b -p 1 -D will content-type x", "-t a -m b -p 1 --repeat-delay nan",
    "-t a -m b -p 1 -u ''", "-t a -m b -p 1 -u '' -P x", "-t a -m b -p 1 -V 5 -P x", "-t a -m b -p 1 --will-qos 1",
    "-t a -m b -p 1 -A 203.0.113.7",
];

/// Of mosquitto_sub.
const SUB: &[&str] = &[
    "-C", "-F", "-T", "--filter-out", "-U", "--unsubscribe", "-W", "--random-filter", "-C 0", "-C x", "-C -1",
    "-C 99999999999999999999", "-C 4294967296", "-W 0", "-W x", "-W -7", "--random-filter 0", "--random-filter x", "-t ++",
    "-T ++", "-U ++", "-t a/#/b", "-t a -L mqtt://h/#/a",
    "-F %", "-F %0", "-F %-", "-F %1", "-F %.", "-F %.1", "-F %Z", "-F @", "-F \\", "-F \\Z", "-F %5.2Z", "-F %-05.3",
    // Those of the other client.
    "-f x", "-l", "-m x", "-n", "-r", "--retain", "--latency", "--repeat 2", "--repeat-delay 1", "-s", "-e x",
    "--stdin-file",
    // Settings.
    "-t a -R --retained-only", "-t a -R --retained-only --quiet", "-t a -R --retained-only -Z", "-t a -i '' -c",
    "-t a -P x",
    // Nobody is there.
    "-t a -h 127.0.0.1 -p 1", "-t a -h 127.0.0.1 -p 1 --quiet", "-t a -h no.such.host.invalid", "-t a --unix /nowhere",
    "-t a -h 127.0.0.1 -p 1 -W 1", "-t a -p 1 --random-filter 100.1", "-t a -p 1 -C ' 12abc'",
    "-t a -p 1 --retain-as-published",
];

const PROPERTY: &str = "2.1 names the word that is wrong";
const TOPIC: &str = "2.1 names both options";
const EMPTY: &str = "2.1 refuses an empty topic at once";

pub fn rows() -> Vec<Row> {
    let both = |tool: Tool| move |text: &&str| match tool {
        Tool::Pub => publisher(text),
        Tool::Sub => subscriber(text),
    };
    let mut rows: Vec<Row> = BOTH.iter().map(both(Tool::Pub)).collect();
    rows.extend(BOTH.iter().map(both(Tool::Sub)));
    rows.extend(PUB.iter().map(both(Tool::Pub)));
    rows.extend(SUB.iter().map(both(Tool::Sub)));
    rows.extend(differing());
    rows.extend(golden());
    rows
}

#[rustfmt::skip]
fn differing() -> Vec<Row> {
    vec![
        subscriber("").allow(1, "", "Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U).\n\nUse 'mosquitto_sub --help' to see usage.\n", TOPIC),
        subscriber("-L foo://h/t").allow(1, "", "Error: Unsupported URL scheme.\n\n\nUse 'mosquitto_sub --help' to see usage.\n", "2.1 writes it with a capital"),
        publisher("-D invalid receive-maximum 1").allow(1, "", "Error: Invalid command invalid given in --property argument.\n\n\nUse 'mosquitto_pub --help' to see usage.\n", PROPERTY),
        publisher("-D connect invalid 1").allow(1, "", "Error: Invalid property name invalid given in --property argument.\n\n\nUse 'mosquitto_pub --help' to see usage.\n", PROPERTY),
        publisher("-D suback reason-string x").allow(1, "", "Error: reason-string property not supported for suback in --property argument.\n\n\nUse 'mosquitto_pub --help' to see usage.\n", "2.1 knows the command"),
        publisher("-t '' -m x").allow(1, "", "Error: Invalid publish topic '', does it contain '+' or '#'?\n\nUse 'mosquitto_pub --help' to see usage.\n", EMPTY),
        subscriber("-t ''").allow(1, "", "Error: Invalid subscription topic '', are all '+' and '#' wildcards correct?\n\nUse 'mosquitto_sub --help' to see usage.\n", EMPTY),
        publisher("-t a -f /nowhere").allow(1, "", "Error: Unable to read file \"/nowhere\": No such file or directory.\nError loading input file \"/nowhere\".\n", "2.1 says the cause"),
        publisher("-t a -f /nowhere --quiet"),
        publisher("-t a -m b -p 1 --psk aa --psk-identity me").allow(1, "", "Error: --psk is not possible here: rustls has no pre-shared keys; use certificates (--cafile, --cert, --key)\n", "rustls has no pre-shared keys"),
        publisher("-t a -m b -p 1 --tls-engine foo").allow(1, "", "Error: --tls-engine is not possible here: rustls has no OpenSSL engines\n", "rustls has no engines"),
        publisher("-t a -m b -p 1 -V 311 -D publish payload-format-indicator 2").allow(1, "", "Error in PUBLISH properties: A network protocol error occurred when communicating with the broker.\n\nUse 'mosquitto_pub --help' to see usage.\n", "the standard knows 0 and 1 only; a broker closes for it"),
        publisher("-t a -m b -A x -p 1").allow(1, "", "Error: invalid value 'x' for '-A <ADDRESS>': it is not an IP address of this machine\n", "names of local addresses are not looked up"),
    ]
}

#[rustfmt::skip]
fn golden() -> Vec<Row> {
    let pub_usage = |text: &str| -> &'static str { format!("{text}\nUse 'mosquitto_pub --help' to see usage.\n").leak() };
    let sub_usage = |text: &str| -> &'static str { format!("{text}\nUse 'mosquitto_sub --help' to see usage.\n").leak() };
    vec![
        publisher("-o").golden(1, "", pub_usage("Error: -o argument given but no options file specified.\n\n"), "-o is new"),
        publisher("-o a -o b").golden(1, "", pub_usage("Error: Duplicate -o argument given.\n\n"), "-o is new"),
        publisher("--tls-keylog").golden(1, "", pub_usage("Error: --tls-keylog argument given but no file specified.\n\n"), "--tls-keylog is new"),
        subscriber("--tls-keylog").golden(1, "", sub_usage("Error: --tls-keylog argument given but no file specified.\n\n"), "--tls-keylog is new"),
        subscriber("--retain-handling").golden(1, "", sub_usage("Error: --retain-handling argument given but no option specified.\n\n"), "--retain-handling is new"),
        subscriber("--retain-handling invalid").golden(1, "", sub_usage("Error: Unknown value 'invalid' for --retain-handling.\n\n"), "--retain-handling is new"),
        subscriber("-L ws://localhost").golden(1, "", sub_usage("Error: Invalid URL for -L argument specified - topic missing.\n"), "ws:// is new"),
        publisher("-t a -m b -p 1 -h 127.0.0.1 --no-tls --cafile /nowhere").golden(1, "", "Error: Connection refused\n", "--no-tls is new"),
        subscriber("-U a -p 1 -h 127.0.0.1").golden(1, "", "Error: Connection refused\n", "-U alone is new"),
    ]
}
