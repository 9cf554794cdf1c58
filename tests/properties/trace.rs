//! The body of the fuzz target `trace` as a property test.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::codec::packet_like;
use crate::{bodies, cases};

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn packets(choice in any::<u8>(), packets in vec(packet_like(), 0..5)) {
        bodies::trace::trace(&[vec![choice], packets.concat()].concat());
    }

    #[test]
    fn bytes(data in vec(any::<u8>(), 0..200)) {
        bodies::trace::trace(&data);
    }
}
