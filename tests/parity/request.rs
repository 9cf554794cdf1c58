//! Rows of mosquitto_rr: the whole of what it sends, what it prints, and how it ends. The responder is in the can.

use super::canned::Can;
use super::row::{Row, requester};

const ASK: &str = "-t q -e r -m hi -i me";
const V311: &str = "-t q -e r -m hi -i me -V 311";

/// PUBLISH to `r`: `x`, of 5.0 and of 3.1.1.
const RESPONSE_5: &[u8] = &[0x30, 5, 0, 1, b'r', 0, b'x'];
const RESPONSE: &[u8] = &[0x30, 4, 0, 1, b'r', b'x'];
const RETAINED: &[u8] = &[0x31, 5, 0, 1, b'r', 0, b'x', 0x30, 5, 0, 1, b'r', 0, b'y'];

fn can() -> Can {
    let connack = &[0x20, 3, 0, 0, 0];
    Can { connack, subscribe: &[0x90, 4, 0, 1, 0, 0], response: RESPONSE_5, ..Can::default() }
}

fn can_311() -> Can {
    let connack = &[0x20, 2, 0, 0];
    Can { connack, subscribe: &[0x90, 3, 0, 1, 0], response: RESPONSE, ..Can::default() }
}

fn ask(more: &str) -> Row {
    requester(&format!("{ASK} {more}"))
}

pub fn rows() -> Vec<Row> {
    let mut rows = asked();
    rows.extend(answered());
    rows.extend(printed());
    rows.extend(refused());
    rows.extend(differing());
    rows.extend(golden());
    rows
}

/// The whole of what goes over the wire is compared.
fn asked() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        "",
        "-d",
        "-q 1",
        "-q 1 -d",
        "-N",
        "-v",
        "-c",
        "-c -x 7",
        "-x 0x10",
        "-x 0",
        "-c -x 0",
        "-M 7",
        "-k 77",
        "-u u -P pw",
        "-P x",
        "--pretty -v",
        "-D publish correlation-data cd -D publish user-property a b",
        "-D publish content-type c -D publish message-expiry-interval 5",
        "-D connect receive-maximum 5 -D connect user-property a b",
        "-D connect request-response-information 1",
        "-D subscribe user-property a b -D subscribe subscription-identifier 3",
        "-D unsubscribe user-property a b -D disconnect reason-string bye",
        "-D publish content-type c -V 5",
    ]
    .into_iter()
    .map(|more| ask(more).canned(can()))
    .collect();
    for more in ["", "-d -v", "-q 1", "-c", "-u u", "-R", "-x 5 -V 311"] {
        rows.push(requester(&format!("{V311} {more}")).canned(can_311()));
    }
    rows.push(requester("-t q -e r -m hi -i me -V 31").canned(can_311()));
    rows.push(requester("-t q -e r -n -i me").canned(can()));
    rows.push(requester("-t q -e r -m '' -i me").canned(can()));
    rows.push(requester("-t q -t last -e a -e r -m hi -i me").canned(can()));
    rows.push(requester("-i me").config("-t q\n-e r\n-m in the file\n-W 9\n").canned(can()));
    rows.push(requester("-i me -V 311").config("-t q\n-e r\n-n\n").canned(can_311()));
    let aliases = &[0x20, 6, 0, 0, 3, 0x22, 0, 10];
    rows.push(ask("-D publish topic-alias 1").canned(Can { connack: aliases, ..can() }));
    // A response before the request, and one that is acknowledged.
    rows.push(ask("").canned(Can {
        subscribe: &[0x90, 4, 0, 1, 0, 0, 0x30, 5, 0, 1, b'r', 0, b'x'],
        response: &[],
        ..can()
    }));
    rows.push(ask("-q 1").canned(Can { response: &[0x32, 7, 0, 1, b'r', 0, 9, 0, b'x'], ..can() }));
    rows
}

/// With a real broker. Where both topics are the same, the request is the response.
fn answered() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        "-m hello",
        "-m hello -q 1",
        "-m hello -q 2 -v",
        "-m hello -V 311 -v",
        "-m hello -V 31 -q 1",
        "-m -5 -N",
        "-n -v",
        "-n",
        "-m é -F '%t %p %q %l %R'",
        "-m '{\"a\":1}' -F '%t|%x|%D|%P' -D publish user-property a b -D publish correlation-data cd",
        "-m hello -D publish content-type c -F %C",
        "-m hello -c -q 1",
        "-m hello -W 9 --nodelay -k 5",
    ]
    .into_iter()
    .map(|more| requester(&format!("-t {{T}}/a -e {{T}}/a {more}")).with_broker())
    .collect();
    rows.push(requester("-t {T}/q -e {T}/r -n -W 1").with_broker());
    rows.push(requester("-t {T}/q -e {T}/r -n -v").before(&["-t {T}/r -m old -r"]));
    rows.push(requester("-t {T}/q -e {T}/r -n -v -V 311").after(&["-t {T}/r -m new"]));
    rows.push(requester("-t {T}/q -e {T}/r -n -F %D").after(&["-t {T}/r -m new -D publish correlation-data cd"]));
    rows.push(requester("-t {T}/a -e {T}/a -m x --unix {SOCKET}").with_broker());
    rows.push(requester("-e {T}/a -m x -L mqtt://127.0.0.1:{PORT}/{T}/a").with_broker());
    rows
}

fn printed() -> Vec<Row> {
    const FULL: &[u8] = &[0x30, 17, 0, 1, b'r', 12, 9, 0, 2, b'c', b'd', 0x26, 0, 1, b'a', 0, 1, b'b', b'x'];
    let mut rows: Vec<Row> = ["-F '%t|%p|%D|%P|%r'", "-v", "-N -v", "-F %x", "-F %J"]
        .map(|more| ask(more).canned(Can { response: FULL, ..can() }))
        .into();
    const EMPTY: &[u8] = &[0x30, 4, 0, 1, b'r', 0];
    rows.extend(["", "-v", "-N", "-F '%p|'"].map(|more| ask(more).canned(Can { response: EMPTY, ..can() })));
    rows.push(ask("-F %r -v").canned(Can { response: RETAINED, ..can() }));
    // Ends.
    let silent = || Can { response: &[], ..can() };
    rows.extend(
        ["-W 1", "-W 1 --quiet", "-W 1 -q 1 -d", "-W 1 -D disconnect user-property a b", "-W 1 --will-topic w"]
            .map(|more| ask(more).canned(silent())),
    );
    rows.push(requester(&format!("{V311} -W 1")).canned(Can { response: &[], ..can_311() }));
    rows.push(ask("-W 1 -q 1").canned(Can { publish: Some(&[0x40, 4, 0, 2, 0x87, 0]), ..silent() }));
    rows.push(ask("-W 1 -q 1").canned(Can { publish: Some(&[0x40, 4, 0, 2, 0x10, 0]), ..silent() }));
    rows
}

fn refused() -> Vec<Row> {
    let connack = |connack| Can { connack, ..can() };
    let mut rows: Vec<Row> = [
        &[0x20, 3, 0, 0x80, 0][..],
        &[0x20, 3, 0, 0x85, 0],
        &[0x20, 3, 0, 0x86, 0],
        &[0x20, 3, 0, 0x87, 0],
        &[0x20, 3, 0, 0x9f, 0],
        &[0x20, 8, 0, 0x87, 5, 0x1f, 0, 2, b'h', b'i'],
    ]
    .map(|bytes| ask("").canned(connack(bytes)))
    .into();
    rows.push(ask("--quiet").canned(connack(&[0x20, 3, 0, 0x87, 0])));
    for bytes in [&[0x20, 2, 0, 1][..], &[0x20, 2, 0, 2], &[0x20, 2, 0, 3], &[0x20, 2, 0, 4], &[0x20, 2, 0, 5]] {
        rows.push(requester(V311).canned(Can { connack: bytes, ..can_311() }));
    }
    for closes_at in [1, 3, 8] {
        rows.push(ask("").canned(Can { closes_at: Some(closes_at), ..can() }));
        rows.push(ask("--quiet").canned(Can { closes_at: Some(closes_at), ..can() }));
    }
    rows.push(ask("").canned(Can { response: &[0xe0, 2, 0x8b, 0], ..can() }));
    rows.push(ask("-q 2").canned(connack(&[0x20, 5, 0, 0, 2, 0x24, 0])));
    rows.push(ask("-q 1 --quiet").canned(connack(&[0x20, 5, 0, 0, 2, 0x24, 0])));
    rows.push(ask("-p {GUARDED}").with_broker());
    rows.push(ask("-p {GUARDED} -u user -P wrong -V 311").with_broker());
    rows
}

const RACE: &str = "whether the DISCONNECT of mosquitto_rr goes out is a matter of luck";
const FILE: &str = "2.0 sends an empty request in place of the file; 2.1 sends the file";

fn differing() -> Vec<Row> {
    let denied = || Can { subscribe: &[0x90, 4, 0, 1, 0, 0x87], ..can() };
    vec![
        ask("").canned(denied()).allow(0, "", "Not authorized\n", RACE),
        ask("--quiet").canned(denied()).allow(0, "", "", RACE),
        requester(V311).canned(Can { subscribe: &[0x90, 3, 0, 1, 0x80], ..can_311() }).allow(
            0,
            "",
            "Unspecified error\n",
            RACE,
        ),
        ask("").canned(Can { connack: &[0x20, 3, 0, 0x84, 0], ..can() }).allow(
            132,
            "",
            "Connection error: Unsupported Protocol Version\n",
            "2.1 gives no advice",
        ),
        ask("-R").canned(can()).allow(0, "x\n", "", "2.1 asks for no retained messages with -R"),
        ask("-R -v").canned(Can { response: RETAINED, ..can() }).allow(0, "r y\n", "", "2.0 does not heed -R; 2.1 does"),
        requester("-t {T}/a -e {T}/a -f {DIR}/mosquitto_rr").config("-V 5\n").with_broker().allow(0, "-V 5\n\n", "", FILE),
        requester("-t {T}/a -e {T}/a -s").stdin("a\0b").with_broker().allow(0, "a\0b\n", "", FILE),
        requester("-t q -e r -f /nowhere -p 1").allow(
            1,
            "",
            "Error: Unable to read file \"/nowhere\": No such file or directory.\nError loading input file \"/nowhere\".\n",
            FILE,
        ),
        requester("-t q -e r -s -p 1").allow(1, "", "Error: Zero length input.\nError loading input from stdin.\n", FILE),
        ask("--will-topic w").canned(can()).allow(
            0,
            "x\n",
            "",
            "mosquitto_rr closes without DISCONNECT, so that the will of a run that went well is published",
        ),
        requester("-t '' -e r -n").allow(
            1,
            "",
            "Error: Invalid publish topic '', does it contain '+' or '#'?\n\nUse 'mosquitto_rr --help' to see usage.\n",
            "2.1 refuses an empty topic at once",
        ),
        ask("-F %j").canned(can()).masked().allow(
            0,
            "{\"tst\":\"9999-99-99T99:99:99.999999+9999\",\"topic\":\"r\",\"qos\":9,\"retain\":false,\"payloadlen\":9,\"payload\":\"x\"}\n",
            "",
            "2.1 writes retain as true or false, 2.0 as 1 or 0",
        ),
    ]
}

fn golden() -> Vec<Row> {
    vec![
        ask("--retain-handling never").canned(can()).golden(0, "x\n", "", "--retain-handling is new"),
        ask("--retain-as-published").canned(can()).golden(0, "x\n", "", "2.0 does not pass --retain-as-published on"),
        requester("-o").golden(
            1,
            "",
            "Error: -o argument given but no options file specified.\n\n\nUse 'mosquitto_rr --help' to see usage.\n",
            "-o is new",
        ),
    ]
}
