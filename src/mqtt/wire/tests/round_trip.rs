//! Properties that hold for all packets and all bytes.

use proptest::prelude::*;

use super::arbitrary::{any_packet, message, version};
use super::*;

/// Reads the first packet, if there is one, and says whether it was one.
fn read_anything(bytes: &[u8], version: ProtocolVersion) -> bool {
    let Ok(Scan::Frame(frame)) = scan(bytes, MAX_PACKET_SIZE) else { return false };
    match Packet::decode(frame, version) {
        Ok(Packet::Publish(publish)) => {
            publish.to_message();
            true
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read((version, packet) in any_packet()) {
        let bytes = packet.encode(version);
        prop_assert_eq!(decode(&bytes, version), Ok(packet.clone()));
        let mut appended = b"before".to_vec();
        prop_assert_eq!(packet.packet().encode(version, &mut appended), Ok(()));
        prop_assert_eq!(&appended[6..], &bytes[..]);
    }

    #[test]
    fn a_packet_cut_anywhere_is_incomplete((version, packet) in any_packet()) {
        let bytes = packet.encode(version);
        let header = 1 + bytes[1..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        for cut in 0..bytes.len() {
            let size = (cut >= header).then_some(bytes.len());
            prop_assert_eq!(scan(&bytes[..cut], MAX_PACKET_SIZE), Ok(Scan::Incomplete(size)), "cut at {}", cut);
        }
        let mut followed = bytes.clone();
        followed.extend_from_slice(b"\xFF\xFF");
        prop_assert!(matches!(scan(&followed, bytes.len()), Ok(Scan::Frame(frame)) if frame.size == bytes.len()));
        prop_assert!(scan(&followed, bytes.len() - 1).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), version in version()) {
        read_anything(&bytes, version);
    }

    /// Random bytes seldom get past the header, so here it is right: a type, its flags and the length.
    #[test]
    fn random_bodies_never_panic(
        first in prop::sample::select(vec![0x10, 0x20, 0x30, 0x3D, 0x40, 0x62, 0x82, 0x90, 0xA2, 0xB0, 0xE0, 0xF0u8]),
        body in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..120),
        version in version(),
    ) {
        let bytes = [&[first, body.len() as u8], &body[..]].concat();
        read_anything(&bytes, version);
    }

    /// A packet with one byte changed is read as something else or refused.
    #[test]
    fn a_changed_byte_never_panics(
        (version, packet) in any_packet(),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = packet.encode(version);
        let position = position.index(bytes.len());
        bytes[position] = byte;
        read_anything(&bytes, version);
    }

    #[test]
    fn a_template_appends_what_encode_writes(
        (version, message) in version().prop_flat_map(|version| (Just(version), message(version, PropertyContext::Publish))),
        identifiers in prop::collection::vec(1..=u16::MAX, 1..4),
        head in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let template = PublishTemplate::new(&message, version).unwrap();
        let head = &head[..head.len().min(template.payload_size())];
        let (mut appended, mut encoded) = (b"before".to_vec(), b"before".to_vec());
        for identifier in identifiers {
            template.append(identifier, head, &mut appended);
            let mut stamped = message.clone();
            stamped.payload = [head, &message.payload[head.len()..]].concat().into();
            Publish::of(&stamped, identifier, false).encode(version, &mut encoded).unwrap();
            // The same with a payload of another size.
            stamped.payload = [&stamped.payload[..], &vec![b'x'; usize::from(identifier) % 20_000]].concat().into();
            let before = appended.len();
            template.append_head(identifier, stamped.payload.len(), &mut appended);
            appended.extend_from_slice(&stamped.payload);
            prop_assert_eq!(appended.len() - before, template.size_with(stamped.payload.len()));
            Publish::of(&stamped, identifier, false).encode(version, &mut encoded).unwrap();
        }
        prop_assert_eq!(&appended, &encoded);
        prop_assert_eq!((template.payload_size(), appended.len() > template.size()), (message.payload.len(), true));
    }

    /// Many at once are the same as one after the other.
    #[test]
    fn a_template_appends_many(
        (version, message) in version().prop_flat_map(|version| (Just(version), message(version, PropertyContext::Publish))),
        identifiers in prop::collection::vec(any::<u16>(), 0..300),
    ) {
        let template = PublishTemplate::new(&message, version).unwrap();
        let head = |number: usize| number.to_be_bytes()[size_of::<usize>() - template.payload_size().min(2)..].to_vec();
        let (mut many, mut one_by_one, mut number) = (b"before".to_vec(), b"before".to_vec(), 0);
        let heads = || {
            number += 1;
            head(number)
        };
        template.append_many(identifiers.iter().copied(), heads, &mut many);
        for (number, identifier) in identifiers.into_iter().enumerate() {
            template.append(identifier, &head(number + 1), &mut one_by_one);
        }
        prop_assert!(many == one_by_one);
    }

    #[test]
    fn variable_byte_integers(value in 0..=MAX_REMAINING_LENGTH as u32) {
        let mut bytes = Vec::new();
        primitive::put_variable_byte_integer(value, &mut bytes);
        prop_assert_eq!(bytes.len(), primitive::variable_byte_integer_size(value as usize));
        prop_assert_eq!(primitive::variable_byte_integer(&bytes), Ok(Some((value, bytes.len()))));
    }
}

/// Table 2-4 of §1.5.5: the first and last value of each length.
#[test]
fn variable_byte_integers_of_the_standard() {
    for (value, bytes) in [
        (0, &[0x00][..]),
        (127, &[0x7F]),
        (128, &[0x80, 0x01]),
        (16_383, &[0xFF, 0x7F]),
        (16_384, &[0x80, 0x80, 0x01]),
        (2_097_151, &[0xFF, 0xFF, 0x7F]),
        (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
        (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
    ] {
        let mut out = Vec::new();
        primitive::put_variable_byte_integer(value, &mut out);
        assert_eq!(out, bytes);
        assert_eq!(primitive::variable_byte_integer(bytes), Ok(Some((value, bytes.len()))));
        assert_eq!(primitive::variable_byte_integer(&bytes[..bytes.len() - 1]), Ok(None));
    }
    assert!(primitive::variable_byte_integer(&[0x80, 0x80, 0x80, 0x80]).is_err());
}
