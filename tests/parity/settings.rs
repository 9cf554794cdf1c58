//! Rows of the options file in its usual place, and of how it and the command line go together.

use super::row::{Row, publisher, subscriber};

/// The file, and the command line behind it.
const FILES: &[(&str, &str)] = &[
    ("-t a\n-m hello world  \n-p 1", "-h 127.0.0.1"),
    ("-t a\n-m hello world\n-p 1", "-m other"),
    ("-t a\n-D publish content-type x", "-m b"),
    ("-t a\n-Z", "-m b"),
    ("-t", "-m b"),
    ("-t\n-m x", "-t a"),
    ("#x\n-t a\n\n-m b\n-p 1", ""),
    ("-t a\r\n-m b\r\n-p 1\r\n", ""),
    ("-m a\n-n", "-t a"),
    ("-m ", "-t a"),
    ("-n x", "-t a"),
    ("-d true\n-t a", "-m b"),
    ("-c", "-t a -m b"),
    ("-t a\n-m b\n-V\n", ""),
    ("-q 9", "-t a -m b"),
    ("zz", "-t a -m b"),
    ("\t-t a", "-m b"),
    ("-t\ta", "-m b"),
    (" -t a\n -p 1", "-m b"),
    ("-x  5\n-t a\n-p 1", "-m b"),
    ("-q 9", "-q 1 -t a -m b"),
    ("-p 1", "-p 65536 -t a -m b"),
];

pub fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = FILES.iter().map(|(file, arguments)| publisher(arguments).config(file)).collect();
    rows.extend([
        publisher("-t {T}/b -m '-5'").config("-q 1\n-r\n-t {T}/a\n").with_broker(),
        publisher("-q 0")
            .config("-m two  words \n-q 1\n-L mqtt://nowhere/nothing\n")
            .argument("-L")
            .argument(URL)
            .with_broker(),
        publisher("-n").config("-L mqtt://127.0.0.1:1/a").argument("-t").argument("a+b"),
        subscriber("-C 2 -t {T}/b")
            .config("-v\n-W 20\n")
            .before(&["-t {T}/b -m x -r", "-t {T}/c -m y -r"])
            .argument("-t")
            .argument("{T}/c"),
    ]);
    rows
}

const URL: &str = "mqtt://127.0.0.1:{PORT}/{T}/of/url";
