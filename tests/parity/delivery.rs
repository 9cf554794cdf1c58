//! Rows of what mosquitto_pub sends, as a subscriber sees it.

use super::row::{Row, publisher};

/// Command lines.
const ARGUMENTS: &[&str] = &[
    "-t {T}/a -m hello",
    "-t {T}/a -m hello -q 1",
    "-t {T}/a -m hello -q 2",
    "-t {T}/a -m '' -q 1",
    "-t {T}/a -m -5",
    "-t {T}/a -m -t",
    "-t {T}/a -n",
    "-t {T}/a -n -r",
    "-t {T}/a -m hello -r -q 1",
    "-t {T}/a -t {T}/b -m last",
    "-t {T}/a -m x -q 2 -q 0",
    "-t {T}/a -m x -q x",
    "-t -x -m y",
    "-t {T}/-x -m y",
    "-V 5 -t {T}/a -m x -q 1",
    "-V mqttv31 -t {T}/a -m x -q 1",
    "-V 31 -t {T}/a -m x -q 2",
    "-t {T}/a -m é",
    "-t {T}/é -m x",
    "-t {T}/a/ -m x",
    "-t {T}//b -m x",
    "-t {T}/a -m x --repeat 3",
    "-t {T}/a -m x --repeat 3 -q 1",
    "-t {T}/a -m x --repeat 3 -q 2",
    "-t {T}/a -m x --repeat 2 --repeat-delay 0.1",
    "-t {T}/a -n --repeat 2",
    "-t {T}/a -m x -k 5 -M 1 --nodelay",
    "-t {T}/a -m x -u me -P pw",
    "-t {T}/a -m x -c",
    "-V 5 -t {T}/a -m x -c",
    "-t {T}/a -m x -x 60",
    "-t {T}/a -m x -x ∞",
    "-t {T}/a -m x -I pre",
    "-m x -L mqtt://127.0.0.1:{PORT}/{T}/of/url",
    "-m x -L MQTT://me:pw@127.0.0.1:{PORT}/{T}/of/url",
    "-m x -L mqtt://127.0.0.1:{PORT}//{T}",
    "-m x -L mqtt://127.0.0.1:{PORT}/{T}/a%20b",
    "-t {T}/a -m x --unix {SOCKET}",
    "-t {T}/a -m x --unix {SOCKET} --nodelay -A 127.0.0.1",
    "-t {T}/a -m x -p 0 -h {SOCKET}",
    "-t {T}/a -m x --will-topic {T}/w --will-payload gone --will-qos 1 --will-retain",
    "-t {T}/a -m x -D publish content-type text/plain",
    "-t {T}/a -m x -D PUBLISH Content-Type text/plain -q 1",
    "-t {T}/a -m x -D publish user-property k v -D publish user-property k w -D publish user-property a b",
    "-t {T}/a -m x -D publish message-expiry-interval 600 -D publish payload-format-indicator 1",
    "-t {T}/a -m x -D publish response-topic r/t -D publish correlation-data cd",
    "-t {T}/a -m x -D publish topic-alias 1",
    "-t {T}/a -m x -D publish topic-alias 1 --repeat 3",
    "-t {T}/a -m x -D publish topic-alias 1 --repeat 3 -q 1",
    "-t {T}/a -m x -D connect receive-maximum 7x",
    "-t {T}/a -m x -D disconnect reason-string bye",
    "-t {T}/a -m x -D will content-type x",
    "-t {T}/a -m x -p {GUARDED}",
    "-t {T}/a -m x -p {GUARDED} -q 1",
    "-t {T}/a -m x -p {GUARDED} -V 5",
    "-t {T}/a -m x -p {GUARDED} -u user -P wrong",
    "-t {T}/a -m x -p {GUARDED} -u user -P wrong -V 5 --quiet",
    "-t secret/a -m x -p {GUARDED} -u user -P geheim",
    "-t secret/a -m x -p {GUARDED} -u user -P geheim -q 1",
    "-t secret/a -m x -p {GUARDED} -u user -P geheim -q 1 -V 5",
    "-t secret/a -m x -p {GUARDED} -u user -P geheim -q 2 -V 5",
    "-t secret/a -m x -p {GUARDED} -u user -P geheim -q 1 -V 5 --quiet",
    "-t open/a -m x -p {GUARDED} -u user -P geheim -q 1",
    "-t {T}/a -m x -i {T}-own",
    "-t {T}/a -m x -i {T}-own -V 5 -q 1",
];

/// stdin, and the command line that reads it.
const INPUTS: &[(&str, &str)] = &[
    ("one\ntwo\nthree\n", "-l -t {T}/a"),
    ("one\ntwo\nthree\n", "-l -t {T}/a -q 1"),
    ("one\n\nthree", "-l -t {T}/a -D publish topic-alias 10"),
    ("one\n\nthree", "-l -t {T}/a -D publish topic-alias 10 -q 2"),
    ("one\ntwo\nthree\n", "-l -t {T}/a -q 2"),
    ("one\ntwo\nthree", "-l -t {T}/a -q 1 -V 5"),
    ("one\n\nthree\n\n", "-l -t {T}/a -q 1"),
    ("one\r\ntwo\r\n", "-l -t {T}/a -q 1"),
    ("", "-l -t {T}/a"),
    ("\n", "-l -t {T}/a -q 1"),
    ("last without newline", "-l -t {T}/a -q 1"),
    ("é\n\u{1}\n", "-l -t {T}/a -q 1"),
    ("one\ntwo\n", "-l -t {T}/a -q 1 -M 1"),
    ("one\ntwo\n", "-l -t {T}/a -q 1 --repeat 3"),
    ("one\ntwo\n", "-l -t {T}/a -q 1 -r"),
    ("a file\nwith lines\n", "-s -t {T}/a"),
    ("a file\nwith lines\n", "-s -t {T}/a -q 1 --repeat 2"),
    ("one\0two", "-s -t {T}/a -q 1"),
];

pub fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = ARGUMENTS.iter().map(|arguments| publisher(arguments).with_broker()).collect();
    rows.extend(INPUTS.iter().map(|(stdin, arguments)| publisher(arguments).stdin(*stdin).with_broker()));
    // A long line, and many of them.
    rows.push(publisher("-l -t {T}/a -q 1").stdin(format!("{}\nshort\n", "x".repeat(5000))).with_broker());
    rows.push(publisher("-l -t {T}/a -q 1").stdin("line\n".repeat(200)).with_broker());
    // A file.
    let file = publisher("-t {T}/a -q 1 -f {DIR}/mosquitto_pub").config("-q 0\n-V 5\n");
    rows.push(file.with_broker());
    let differs = |arguments: &str, stdin: &str, seen, why| {
        publisher(arguments).stdin(stdin).with_broker().allow(0, "", "", why).seen(seen)
    };
    rows.extend([
        differs("-t {T}/a -m x -D publish content-type x -V 311", "", "T/a|78|q0|r0|l1||||||\n", DROPPED),
        differs("-t {T}/a -q 1 -f /dev/null", "", "T/a||q1|r0|l0||||||\n", "2.0 takes no empty file, 2.1 does"),
        differs("-t {T}/a -l -q 1", "c\0d\nlast\n", "T/a|630064|q1|r0|l3||||||\nT/a|6c617374|q1|r0|l4||||||\n", LOST),
    ]);
    rows
}

const DROPPED: &str = "mosquitto sends nothing, says nothing and ends with 0; ours leaves only the property out";
const LOST: &str = "mosquitto loses what follows a NUL";
