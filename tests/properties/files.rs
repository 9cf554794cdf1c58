//! The bodies of the fuzz targets of files as property tests.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{bodies, cases, pieces};

const PEM: &[&str] = &[
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\n",
    "-----END PRIVATE KEY-----\n",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
    "-----BEGIN TRUSTED CERTIFICATE-----\n",
    "Proc-Type: 4,ENCRYPTED\n",
    "-----",
    "MIIB",
    "AAAA\n",
    "=",
    "\n",
    "é",
    "\0",
    ":",
    "text\n",
];

const ACCESS: &[&str] = &[
    "user me",
    "user ",
    "topic ",
    "pattern ",
    "read ",
    "write ",
    "readwrite ",
    "deny ",
    "a",
    "a/#",
    "+/b",
    "#",
    "%u/1",
    "%c",
    "$SYS/#",
    "# x",
    "\n",
    "\n",
    "\n",
    "\r\n",
    " ",
    "x",
    "a/#/b",
];

const PASSWORDS: &[&str] = &[
    "me",
    "you",
    ":",
    "$6$",
    "$7$",
    "$argon2id$",
    "v=19$m=47104,t=1,p=1$",
    "101$",
    "0$",
    "99999999999$",
    "c2FsdA==$",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    "# x",
    "\n",
    "\n",
    " ",
];

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn pem(choice in any::<u8>(), place in prop_oneof![Just(0u8), any::<u8>()], data in prop_oneof![
        2 => pieces(PEM, 6), 1 => "[a-z0-9\n]{0,20}\n".prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..20),
    ]) {
        bodies::files::pem(&[vec![choice, place], data].concat());
    }

    #[test]
    fn access_list(data in pieces(ACCESS, 12)) {
        bodies::files::access_list(&data);
    }

    #[test]
    fn password_file(data in pieces(PASSWORDS, 12)) {
        bodies::files::password_file(&data);
    }
}
