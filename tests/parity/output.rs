//! Rows of what mosquitto_sub prints, and when it ends.

use super::row::{Row, subscriber};

/// A payload with everything in it: the formats are printed for each of these.
const MESSAGES: [&str; 3] = ["-t {T}/a -m 'hello world' -q 1", "-t {T}/b -n", "-t {T}/c -m é -q 1"];

/// Formats for messages without properties.
const FORMATS: &[&str] = &[
    "%p",
    "%t",
    "%t %p",
    "%t:%p|%l|%q|%r",
    "%x",
    "%X",
    "%20p|",
    "%-20p|",
    "%020p",
    "%3p|",
    "%-3p|",
    "%30t|",
    "%-30t|",
    "%030t",
    "%.4t|",
    "%8.3t|",
    "%l",
    "%05l",
    "%-5l|",
    "%5l",
    "%m",
    "%5m|",
    "%q%r",
    "%5q|",
    "%%",
    "100%%",
    "\\t\\\\\\e[0m\\a\\v\\r|",
    "a\\nb",
    "@@",
    "%A|%E|%F|%S",
    "%5A|%5E|%5F|%5S|",
    "%C|%R|%D|%P",
    "%10C|%10R|%10D|%10P|",
    "%-10C|",
    "plain",
    "é%p",
    "%.0t|",
    "%.100t|",
    "%0t|",
    "%-0t|",
    "%-05l|",
];

/// Times, of which only the shape can be compared.
const TIMES: &[&str] = &["%I", "%U", "@Y-@m-@dT@H:@M:@S.@N", "@j @p @y", "%40I|", "%-40I|", "%.4I|", "@s"];

/// Formats for a message with all properties.
const PROPERTY_FORMATS: &[&str] =
    &["%A|%E|%F|%S|%C|%R|%D|%P", "%5E|%5F|%5S|%30C|%30R|%-30C|", "%05E|%-5E|", "%.3C|", "%30P|%30D|"];

const PROPERTIES: &str = "-t {T}/p -m {} -q 1 -D publish content-type text/plain -D publish correlation-data cd1 \
    -D publish response-topic r/t -D publish payload-format-indicator 1 -D publish user-property k v \
    -D publish user-property k v2 -D publish message-expiry-interval 600";

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for format in FORMATS {
        rows.push(subscriber("-t {T}/# -q 1 -C 3 -F").argument(*format).after(&MESSAGES));
    }
    for format in TIMES {
        rows.push(subscriber("-t {T}/# -C 1 -F").argument(*format).after(&["-t {T}/a -m x"]).masked());
    }
    for format in PROPERTY_FORMATS {
        let row = subscriber("-V 5 -t {T}/# -q 1 -C 1 -D subscribe subscription-identifier 7 -F");
        rows.push(row.argument(*format).after(&[PROPERTIES]));
    }
    rows.extend(new_formats());
    rows.extend(json());
    rows.extend(plain());
    rows.extend(ends());
    rows.extend(retained());
    rows
}

/// What 2.1 made of `%x`, and its new `%f` and `%d`.
fn new_formats() -> Vec<Row> {
    const HEX: &str =
        "2.1 groups hexadecimal digits by the precision and cuts the payload at as many bytes as the width";
    const FLOAT: &str = "%f and %d are new";
    const NO_FLOAT: &str = "requested float printing, but non-float data received";
    const NO_DOUBLE: &str = "requested double printing, but non-double data received";
    let hex = [
        ("%.2x", "68 65 6c 6c 6f 20 77 6f 72 6c 64\n"),
        ("%.2:x", "68:65:6c:6c:6f:20:77:6f:72:6c:64\n"),
        ("%.1x", "6 8 6 5 6 c 6 c 6 f 2 0 7 7 6 f 7 2 6 c 6 4\n"),
        ("%.3-X", "686-56C-6C6-F20-776-F72-6C6-4\n"),
        ("%5x", "68656c6c6f\n"),
        ("%-24x|", "68656c6c6f20776f726c64  |\n"),
        ("%030x", "0000000068656c6c6f20776f726c64\n"),
    ];
    let floats = [
        ("%f", "AAAA", "12.078431\n", ""),
        ("%.2f", "AAAA", "12.08\n", ""),
        ("%12f|", "AAAA", "   12.078431|\n", ""),
        ("%-12f|", "AAAA", "12.078431   |\n", ""),
        ("%012.3f", "AAAA", "00000012.078\n", ""),
        ("%.0f", "AAAA", "12\n", ""),
        ("%.1d", "AAAAAAAA", "2261634.5\n", ""),
        ("%d", "AAAAAAAA", "2261634.509804\n", ""),
        ("%f|", "abcdefgh", "|\n", NO_FLOAT),
        ("%d|", "AAAA", "|\n", NO_DOUBLE),
    ];
    let row = |format: &str, payload: &str| {
        let message = format!("-t {{T}}/a -m '{payload}'");
        subscriber("-t {T}/# -C 1 -F").argument(format).after(&[&message])
    };
    let hex = hex.map(|(format, stdout)| row(format, "hello world").golden(0, stdout, "", HEX));
    let floats = floats.map(|(format, payload, stdout, stderr)| row(format, payload).golden(0, stdout, stderr, FLOAT));
    hex.into_iter().chain(floats).collect()
}

const BOOLEAN: &str = "2.1 writes retain as true or false, 2.0 as 1 or 0";

fn json() -> Vec<Row> {
    // What is to be compared is everything but the key `retain`, so ours is given and theirs is the reference's.
    let object = |payload: &str| {
        format!(
            "{{\"tst\":\"9999-99-99T99:99:99.999999+9999\",\"topic\":\"T/a\",\"qos\":9,\"retain\":false,{payload}}}\n"
        )
        .leak()
    };
    let row = |arguments: &str, message: &str| subscriber(arguments).after(&[message]).masked();
    vec![
        row("-t {T}/# -C 1 -F %j", "-t {T}/a -m x").allow(0, object("\"payloadlen\":9,\"payload\":\"x\""), "", BOOLEAN),
        row("-t {T}/# -C 1 -F %j", "-t {T}/a -n").allow(0, object("\"payloadlen\":9,\"payload\":null"), "", BOOLEAN),
        row("-t {T}/# -C 1 -F %J", "-t {T}/a -m {\"n\":[true]}").allow(0, object("\"payloadlen\":99,\"payload\":{\"n\":[true]}"), "", BOOLEAN),
        row("-t {T}/# -q 1 -C 1 -F %j", "-t {T}/a -m x -q 1").allow(0, object("\"payloadlen\":9,\"mid\":9,\"payload\":\"x\""), "", BOOLEAN),
        row("-V 5 -t {T}/# -C 1 -F %j", "-t {T}/a -m x -D publish content-type c -D publish user-property k v -D publish user-property k w").allow(
            0,
            object("\"payloadlen\":9,\"properties\":{\"content-type\":\"c\",\"user-properties\":[{\"k\":\"v\"},{\"k\":\"w\"}]},\"payload\":\"x\""),
            "",
            BOOLEAN,
        ),
        row("-t {T}/# -C 1 --pretty -F %j", "-t {T}/a -m x").allow(
            0,
            "{\n\t\"tst\":\t\"9999-99-99T99:99:99.999999+9999\",\n\t\"topic\":\t\"T/a\",\n\t\"qos\":\t9,\n\t\"retain\":\tfalse,\n\t\"payloadlen\":\t9,\n\t\"payload\":\t\"x\"\n}\n",
            "",
            BOOLEAN,
        ),
        row("-t {T}/# -C 1 -F %J", "-t {T}/a -m 'no json'"),
        row("-t {T}/# -C 1 -F %J --quiet", "-t {T}/a -m 'no json'"),
        row("-t {T}/# -C 1 -F '%t %J|'", "-t {T}/a -m 'no json'"),
    ]
}

fn plain() -> Vec<Row> {
    [
        "-t {T}/# -C 3",
        "-t {T}/# -C 3 -v",
        "-t {T}/# -C 3 -N",
        "-t {T}/# -C 3 -N -v",
        "-t {T}/# -C 3 -F %p -v",
        "-t {T}/# -C 3 -N -F %p",
        "-t {T}/# -C 3 -q 2 -v",
        "-V 5 -t {T}/# -C 3 -q 1 -v",
        "-V 31 -t {T}/# -C 3 -q 1 -v",
        "-t {T}/a -t {T}/b -t {T}/c -C 3 -v",
        "-t {T}/# -T {T}/b -C 2 -v",
        "-t {T}/# -T {T}/b -T {T}/a -C 1 -v",
        "-t {T}/+ -T {T}/+/x -C 3",
        "-t {T}/# -C 3 -c -q 1 -v",
        "-t {T}/# -C 3 -k 5 -v --nodelay",
        "-t {T}/# -C 3 -u me -P pw -v",
        "-t {T}/# -C 3 -v --pretty",
        "-t {T}/# -C 2 -v",
        "-L mqtt://127.0.0.1:{PORT}/{T}/# -C 3 -v",
        "-t {T}/# -C 3 --unix {SOCKET}",
        "-t {T}/# -C 3 -p 0 -h {SOCKET} -v",
        "-t {T}/# -C 3 -p {GUARDED} -u user -P geheim -v -W 2",
    ]
    .into_iter()
    .map(|arguments| subscriber(arguments).after(&MESSAGES))
    .collect()
}

fn ends() -> Vec<Row> {
    vec![
        subscriber("-t {T}/# -C 1 -v --random-filter 100").after(&["-t {T}/a -m x"]).allow(
            0,
            "T/a x\n",
            "",
            "2.0 prints none of the hundred percent that it is asked for",
        ),
        subscriber("-t {T}/# -E").with_broker(),
        subscriber("-t {T}/# -E -W 5 -v -C 1").with_broker(),
        subscriber("-t {T}/# -E -V 5 -q 2").with_broker(),
        subscriber("-t {T}/# -W 1").with_broker(),
        subscriber("-t {T}/# -W 1 --quiet").with_broker(),
        subscriber("-t {T}/# -W 1 -V 5 -v").after(&["-t {T}/a -m x"]),
        subscriber("-t {T}/# -W 1 -C 2 -v").after(&["-t {T}/a -m x"]),
        subscriber("-t {T}/# -v").interrupted(),
        subscriber("-t {T}/# -v -V 5 --will-topic {T}/w --will-payload gone").interrupted(),
        subscriber("-t {T}/# -U {T}/x -E").with_broker(),
        subscriber("-t {T}/# -C 1 -p {GUARDED}").with_broker(),
        subscriber("-t {T}/# -C 1 -p {GUARDED} -V 5").with_broker(),
        subscriber("-t {T}/# -C 1 -p {GUARDED} -u user -P wrong").with_broker(),
        subscriber("-t {T}/# -C 1 -p {GUARDED} -u user -P wrong --quiet").with_broker(),
        subscriber("-t {T}/# -C 1 -p {GUARDED} -u user -P wrong -V 5").with_broker(),
        subscriber("-t {T}/# -E -p {GUARDED} -L mqtt://user:geheim@127.0.0.1:{GUARDED}/{T}/x").with_broker(),
        subscriber("-U {T}/x -E").with_broker().golden(0, "", "", "-U alone is new"),
        subscriber("-t {T}/# -W 2 --message-rate").with_broker().golden(
            27,
            "0 msgs/s\n",
            "Timed out\n",
            "--message-rate is new",
        ),
        subscriber("-t {T}/# -C 1 -w").after(&["-t {T}/a -m x"]).golden(
            0,
            "\x1b[2J\x1b[1;1HBroker: 127.0.0.1\n\x1b[2;1Hx\n\x1b[2;1H\n",
            "",
            "-w is new",
        ),
    ]
}

fn retained() -> Vec<Row> {
    let two = ["-t {T}/a -m old -r", "-t {T}/b -m older -r -q 1"];
    let mut rows: Vec<Row> = [
        "-t {T}/# -C 2 -v -q 1 -F '%t %p %r'",
        "-t {T}/# -R -W 1 -v",
        "-t {T}/# -R -W 1 -v -V 5",
        "-t {T}/# --retained-only -C 2 -v",
        "-t {T}/# --retained-only -W 1 -v",
        "-t {T}/# -C 2 --retain-as-published -V 5 -F %r",
        "-t {T}/# -C 2 --retain-as-published -F %r",
        "-t {T}/# -T {T}/a -C 1 -v",
        "-t {T}/# -W 1 --remove-retained -v",
    ]
    .into_iter()
    .map(|arguments| subscriber(arguments).before(&two))
    .collect();
    rows.push(subscriber("-t {T}/# --retained-only -v").after(&["-t {T}/a -m new"]));
    rows.push(subscriber("-t {T}/# -R -C 1 -v").after(&["-t {T}/a -m new -r"]));
    rows.push(subscriber("-t {T}/# -C 2 --remove-retained -v").before(&two).allow(
        0,
        "T/a old\nT/b older\n",
        "",
        "mosquitto never ends here, in 2.0 and 2.1: what it removes counts",
    ));
    rows.push(subscriber("-t {T}/# -W 1 -V 5 --retain-handling never -v").before(&two).golden(
        27,
        "",
        "Timed out\n",
        "--retain-handling is new",
    ));
    rows
}
