//! Rows against a broker that answers from a can: refusals, denials, sudden ends, the log of `-d`, and every byte that
//! the client sends.

use super::canned::Can;
use super::row::{Row, publisher, subscriber};

const ACCEPTED: &[u8] = &[0x20, 2, 0, 0];
const ACCEPTED_5: &[u8] = &[0x20, 3, 0, 0, 0];
const PUBLISH: &str = "-t a -m b -i me";
const SUBSCRIBE: &str = "-t a -i me";

fn accepting() -> Can {
    Can { connack: ACCEPTED, subscribe: &[0x90, 3, 0, 1, 0], ..Can::default() }
}

fn accepting_5() -> Can {
    Can { connack: ACCEPTED_5, subscribe: &[0x90, 4, 0, 1, 0, 0], ..Can::default() }
}

pub fn rows() -> Vec<Row> {
    let mut rows = refusals();
    rows.extend(answers());
    rows.extend(bytes());
    rows.extend(logs());
    rows.extend(aliases());
    rows
}

/// A Topic Alias above what the broker knows is sent.
fn aliases() -> Vec<Row> {
    let can = Can { connack: &[0x20, 6, 0, 0, 3, 0x22, 0, 10], ..Can::default() };
    let rows = [("-m b", ""), ("-m b --repeat 2", ""), ("-l", "one\n\nthree\n")];
    let row = |(arguments, stdin): (&str, &str), alias: u32| {
        let arguments = format!("-t a -i me -D publish topic-alias {alias} {arguments}");
        publisher(&arguments).stdin(stdin).canned(can.clone())
    };
    rows.into_iter().flat_map(|given| [10, 11].map(|alias| row(given, alias))).collect()
}

fn refusals() -> Vec<Row> {
    const V3: [&[u8]; 5] = [&[0x20, 2, 0, 1], &[0x20, 2, 0, 2], &[0x20, 2, 0, 3], &[0x20, 2, 0, 4], &[0x20, 2, 0, 5]];
    const V5: [&[u8]; 8] = [
        &[0x20, 3, 0, 0x80, 0],
        &[0x20, 3, 0, 0x84, 0],
        &[0x20, 3, 0, 0x85, 0],
        &[0x20, 3, 0, 0x86, 0],
        &[0x20, 3, 0, 0x87, 0],
        &[0x20, 3, 0, 0x89, 0],
        &[0x20, 3, 0, 0x9f, 0],
        &[0x20, 8, 0, 0x87, 5, 0x1f, 0, 2, b'h', b'i'],
    ];
    let can = |connack| Can { connack, ..Can::default() };
    let mut rows = Vec::new();
    for connack in V3 {
        rows.push(publisher(PUBLISH).canned(can(connack)));
        rows.push(subscriber(SUBSCRIBE).canned(can(connack)));
    }
    for connack in V5 {
        rows.push(publisher(&format!("{PUBLISH} -V 5")).canned(can(connack)));
        rows.push(subscriber(&format!("{SUBSCRIBE} -V 5")).canned(can(connack)));
    }
    rows.push(publisher(&format!("{PUBLISH} --quiet")).canned(can(V3[4])));
    rows.push(publisher(PUBLISH).canned(can(b"")));
    rows.push(publisher(&format!("{PUBLISH} -V 5")).canned(can(b"")));
    rows
}

const RACE: &str = "whether the DISCONNECT of mosquitto_sub goes out with -E and -U is a matter of luck";

fn answers() -> Vec<Row> {
    let v5 = |publish| Can { publish: Some(publish), ..accepting_5() };
    let published = |more: &str| publisher(&format!("{PUBLISH} {more}"));
    let subscribed = |more: &str| subscriber(&format!("{SUBSCRIBE} {more}"));
    let denied = || Can { subscribe: &[0x90, 3, 0, 1, 0x80], ..accepting() };
    let half = || Can { subscribe: &[0x90, 4, 0, 1, 0x80, 1], ..accepting() };
    let limited = || Can { connack: &[0x20, 5, 0, 0, 2, 0x24, 0], ..Can::default() };
    vec![
        published("-q 1 -V 5").canned(v5(&[0x40, 4, 0, 1, 0x87, 0])),
        published("-q 1 -V 5").canned(v5(&[0x40, 9, 0, 1, 0x87, 5, 0x1f, 0, 2, b'h', b'i'])),
        published("-q 1 -V 5 --quiet").canned(v5(&[0x40, 4, 0, 1, 0x87, 0])),
        published("-q 2 -V 5").canned(v5(&[0x50, 4, 0, 1, 0x97, 0])),
        published("-q 1 -V 5").canned(v5(&[0x40, 4, 0, 1, 0x10, 0])),
        published("-q 1").canned(Can { closes_at: Some(3), ..accepting() }),
        published("-q 2").canned(Can { closes_at: Some(6), ..accepting() }),
        published("-q 1 --quiet").canned(Can { closes_at: Some(3), ..accepting() }),
        published("-q 1 -V 5").canned(v5(&[0xe0, 2, 0x8b, 0])),
        published("-q 1 -V 5").canned(limited()),
        published("-q 2 -V 5 --quiet").canned(limited()),
        published("-q 1 -r -V 5").canned(Can { connack: &[0x20, 5, 0, 0, 2, 0x25, 0], ..Can::default() }),
        subscribed("").canned(denied()),
        subscribed("-E").canned(denied()),
        subscribed("-C 1 -W 5").canned(denied()),
        subscribed("--quiet").canned(denied()),
        subscribed("-V 5").canned(Can { subscribe: &[0x90, 4, 0, 1, 0, 0x87], ..accepting_5() }),
        subscribed("-t b -q 1 -E").canned(half()),
        subscribed("-t b -q 1 -W 1").canned(half()),
        subscribed("-q 2 -E").canned(accepting()),
        subscribed("-W 1").canned(accepting()),
        subscribed("-E -U b -U c").canned(accepting()).allow(0, "", "", RACE),
        subscribed("-V 5 -E -U b -D unsubscribe user-property a b").canned(accepting_5()).allow(0, "", "", RACE),
        subscribed("-W 1").canned(Can { connack: &[0xd0, 0], ..Can::default() }),
        subscribed("-V 5").canned(Can { subscribe: &[0x90, 4, 0, 1, 0, 0, 0xe0, 2, 0x8b, 0], ..accepting_5() }),
        subscribed("-C 1").canned(Can { subscribe: &[0x90, 3, 0, 1, 0, 0xf0, 0], ..accepting() }),
        subscribed("-C 1 -v").canned(Can { subscribe: &[0x90, 3, 0, 1, 0, 0x30, 4, 0, 1, b'a', b'x'], ..accepting() }),
    ]
}

/// The whole of what goes over the wire is compared, CONNECT to DISCONNECT.
fn bytes() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        "",
        "-q 1",
        "-q 2",
        "-r",
        "-n",
        "-k 77",
        "-u u",
        "-u u -P ''",
        "-u u -P pw",
        "-u ''",
        "-c",
        "-V 31",
        "--will-topic w",
        "--will-topic w --will-payload p --will-qos 1 --will-retain",
        "--repeat 2 -q 1",
        "--repeat 2",
        "-x 5 -V 311",
    ]
    .into_iter()
    .map(|more| publisher(&format!("{PUBLISH} {more}")).canned(accepting()))
    .collect();
    rows.extend(
        [
            "",
            "-q 1",
            "-q 2",
            "-c",
            "-x 0",
            "-c -x 0",
            "-x 0 -D connect session-expiry-interval 5",
            "-c -x 7",
            "-x 0x10",
            "-x -1",
            "-x 4294967295",
            "-M 7",
            "-P x",
            "-u u",
            "-D connect receive-maximum 5 -D connect topic-alias-maximum 9",
            "-D connect topic-alias-maximum 9 -D connect receive-maximum 5",
            "-D connect user-property a b",
            "-D connect session-expiry-interval 5",
            "-D publish user-property a b -D publish content-type c",
            "-D publish correlation-data cd -D publish response-topic r",
            "-D disconnect reason-string bye",
            "-D disconnect user-property a b",
            "--will-topic w -D will will-delay-interval 5 -D will content-type c",
            "-D connect request-problem-information 0 -D connect maximum-packet-size 1000",
            "-D unsubscribe user-property a b",
        ]
        .into_iter()
        .map(|more| publisher(&format!("{PUBLISH} -V 5 {more}")).canned(accepting_5())),
    );
    rows.extend(
        [
            "-E",
            "-E -q 1",
            "-E -q 2",
            "-E -t b -t c",
            "-E -k 5",
            "-E -R",
            "-E -c",
            "-E -C 3",
            "-E --will-topic w",
            "-E -V 31",
        ]
        .into_iter()
        .map(|more| subscriber(&format!("{SUBSCRIBE} {more}")).canned(accepting())),
    );
    rows.extend(
        [
            "-E",
            "-E -C 3",
            "-E -C 30",
            "-E -C 3 -D connect receive-maximum 9",
            "-E -R",
            "-E --retain-as-published",
            "-E -q 2 -t b",
            "-E -D subscribe subscription-identifier 7",
            "-E -D subscribe user-property a b",
            "-E -x 5",
            "-E -M 7",
            "-W 1",
            "-E -D disconnect session-expiry-interval 5",
        ]
        .into_iter()
        .map(|more| subscriber(&format!("{SUBSCRIBE} -V 5 {more}")).canned(accepting_5())),
    );
    rows
}

fn logs() -> Vec<Row> {
    let message = || Can { subscribe: &[0x90, 3, 0, 1, 0, 0x30, 4, 0, 1, b'a', b'x'], ..accepting() };
    vec![
        publisher(&format!("{PUBLISH} -d")).canned(accepting()),
        publisher(&format!("{PUBLISH} -d --repeat 2")).canned(accepting()),
        publisher(&format!("{PUBLISH} -d -q 1 --repeat 2")).canned(accepting()),
        publisher(&format!("{PUBLISH} -d -q 2 --quiet")).canned(accepting()),
        publisher("-t a -m b -d").canned(accepting()).allow(
            0,
            "Client null sending CONNECT\nClient null received CONNACK (0)\nClient null sending PUBLISH (d0, q0, r0, m1, 'a', \
             ... (1 bytes))\nClient null sending DISCONNECT\n",
            "",
            "an empty identifier is printed as null, which 2.0 leaves to the C library",
        ),
        subscriber(&format!("{SUBSCRIBE} -d -E")).canned(accepting()),
        subscriber(&format!("{SUBSCRIBE} -d -E -q 1 -V 5")).canned(accepting_5()),
        subscriber(&format!("{SUBSCRIBE} -d -C 1 -v")).canned(message()),
        subscriber(&format!("{SUBSCRIBE} -d -C 1 --quiet")).canned(message()),
        subscriber(&format!("{SUBSCRIBE} -d")).canned(Can { subscribe: &[0x90, 3, 0, 1, 0x80], ..accepting() }),
    ]
}
