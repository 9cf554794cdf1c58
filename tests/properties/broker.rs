//! The body of the fuzz target `broker` as a property test: the same code on a stable compiler, with fewer bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::bodies;

/// A step with its argument. Input is a packet, or what is nearly one, so that it gets past the fixed header.
fn step() -> impl Strategy<Value = Vec<u8>> {
    let first = vec![0x10, 0x30, 0x31, 0x32, 0x34, 0x3C, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0u8];
    let byte = prop_oneof![4 => 0..4u8, 1 => any::<u8>()];
    let input = (any::<u8>(), prop::sample::select(first), vec(byte, 0..12)).prop_map(|(client, first, body)| {
        let mut step = vec![4, client, body.len() as u8 + 2, first, body.len() as u8];
        step.extend(body);
        step
    });
    let acknowledgement = (any::<u8>(), prop::sample::select(vec![0x40u8, 0x50, 0x62, 0x70]), 1..5u8)
        .prop_map(|(client, first, identifier)| vec![4, client, 4, first, 2, 0, identifier]);
    let message = (any::<u8>(), 0..3u8, 1..5u8, any::<bool>(), any::<bool>()).prop_map(
        |(client, qos, identifier, v5, retain)| {
            // Two more bytes: no properties and a payload with 5.0, a payload before.
            let identifier = if qos == 0 { vec![] } else { vec![0, identifier] };
            let body = [vec![0, 1, b't'], identifier, vec![0, u8::from(v5)]].concat();
            let head = vec![4, client, body.len() as u8 + 2, 0x30 | qos << 1 | u8::from(retain), body.len() as u8];
            [head, body].concat()
        },
    );
    let filters = prop::sample::select(vec![&b"t"[..], b"#", b"+", b"$share/g/t"]);
    let subscription = (any::<u8>(), filters, 0..3u8, any::<bool>()).prop_map(|(client, filter, qos, v5)| {
        let properties = if v5 { vec![0] } else { vec![] };
        let body = [vec![0, 1], properties, vec![0, filter.len() as u8], filter.to_vec(), vec![qos]].concat();
        [vec![4, client, body.len() as u8 + 2, 0x82, body.len() as u8], body].concat()
    });
    prop_oneof![
        4 => any::<u8>().prop_map(|choice| vec![0, choice]),
        1 => any::<u8>().prop_map(|seconds| vec![1, seconds]),
        1 => any::<u8>().prop_map(|which| vec![2, which]),
        3 => any::<u8>().prop_map(|which| vec![3, which]),
        2 => input,
        4 => acknowledgement,
        6 => message,
        4 => subscription,
    ]
}

proptest! {
    #![proptest_config(crate::cases(1000))]

    #[test]
    fn any_bytes(data in vec(any::<u8>(), 0..300)) {
        bodies::broker::broker(&data);
    }

    #[test]
    fn lives_of_a_broker(steps in vec(step(), 0..80)) {
        bodies::broker::broker(&steps.concat());
    }
}
