//! The body of the fuzz target `session` as a property test: the same code on a stable compiler, with fewer bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::bodies;

/// A step with its argument. Input is a packet, or what is nearly one, so that it gets past the fixed header.
fn step() -> impl Strategy<Value = Vec<u8>> {
    let first = vec![0x20, 0x30, 0x32, 0x34, 0x3C, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0, 0xF0u8];
    let byte = prop_oneof![4 => 0..4u8, 1 => any::<u8>()];
    let input = (prop::sample::select(first), vec(byte, 0..12)).prop_map(|(first, body)| {
        let mut step = vec![6, body.len() as u8 + 2, first, body.len() as u8];
        step.extend(body);
        step
    });
    let acknowledgement = (prop::sample::select(vec![0x40u8, 0x50, 0x62, 0x70]), 1..9u8)
        .prop_map(|(first, identifier)| vec![6, 4, first, 2, 0, identifier]);
    let message = (0..3u8, 1..9u8, any::<bool>()).prop_map(|(qos, identifier, v5)| {
        // Two more bytes: no properties and a payload with 5.0, a payload before.
        let identifier = if qos == 0 { vec![] } else { vec![0, identifier] };
        let body = [vec![0, 1, b't'], identifier, vec![0, u8::from(v5)]].concat();
        [vec![7, body.len() as u8 + 2, 0x30 | qos << 1, body.len() as u8], body].concat()
    });
    prop_oneof![
        4 => any::<u8>().prop_map(|choice| vec![0, choice]),
        1 => any::<u8>().prop_map(|session_present| vec![1, 0, 2, session_present]),
        1 => any::<u8>().prop_map(|seconds| vec![3, seconds]),
        2 => any::<u8>().prop_map(|which| vec![4, which]),
        2 => input,
        4 => acknowledgement,
        4 => message,
    ]
}

proptest! {
    #![proptest_config(crate::cases(1000))]

    #[test]
    fn any_bytes(data in vec(any::<u8>(), 0..300)) {
        bodies::session::session(&data);
    }

    #[test]
    fn lives_of_a_session(first in any::<u8>(), steps in vec(step(), 0..60)) {
        bodies::session::session(&[vec![first, 2, 0], steps.concat()].concat());
    }
}
