//! The bodies of the fuzz targets as property tests: the same code on a stable compiler, with fewer bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::bodies;

/// First bytes that get past the fixed header, and a body in which small numbers are common.
pub fn packet_like() -> impl Strategy<Value = Vec<u8>> {
    let first = vec![0x10, 0x20, 0x30, 0x32, 0x3C, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xE0, 0xF0u8];
    let byte = prop_oneof![3 => 0..6u8, 1 => 0x20..0x7Fu8, 1 => any::<u8>()];
    (prop::sample::select(first), vec(byte, 0..60)).prop_map(|(first, body)| {
        let mut bytes = vec![first, body.len() as u8];
        bytes.extend(body);
        bytes
    })
}

fn topic_like() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec!["a", "b", "/", "/", "+", "#", "$share/", "$", "\n", "\0", "é"]);
    vec(part, 0..14).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #![proptest_config(crate::cases(2000))]

    #[test]
    fn wire_decode(data in vec(any::<u8>(), 0..300)) {
        bodies::codec::wire_decode(&data);
    }

    #[test]
    fn wire_decode_of_almost_packets(packets in vec(packet_like(), 1..4)) {
        bodies::codec::wire_decode(&packets.concat());
    }

    #[test]
    fn wire_roundtrip(data in vec(any::<u8>(), 0..300)) {
        bodies::codec::wire_roundtrip(&data);
    }

    #[test]
    fn topic(data in topic_like()) {
        bodies::codec::topic(&data);
    }
}
