//! Topics as names of files: reversible, and safe on every system.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode, percent_encode_byte};
use sha2::{Digest, Sha256};

/// What stands for itself besides letters and digits.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'=').remove(b'+').remove(b'@').remove(b',');
/// Longest name of a file, bytes.
const LONGEST: usize = 255;
/// Bytes of the hash that ends a name that was cut: enough that no two topics meet, by accident or on purpose.
const HASH: usize = 16;
/// Names that Windows reserves, also before a dot.
const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];

/// What a file system asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameRules {
    /// `A` and `a` are one name.
    pub(super) ignores_case: bool,
}

impl NameRules {
    /// The name for a topic, after a prefix that is safe.
    pub(super) fn name(self, topic: &str, prefix: &str) -> String {
        let mut name = String::with_capacity(prefix.len() + topic.len() + 16);
        name.push_str(prefix);
        let bytes = topic.as_bytes();
        let is_reserved = prefix.is_empty() && is_reserved(topic);
        for (at, byte) in bytes.iter().enumerate() {
            let is_first = at == 0 && prefix.is_empty();
            let is_edge = is_first && matches!(byte, b'.' | b'-') || *byte == b'.' && at + 1 == bytes.len();
            let is_capital = self.ignores_case && byte.is_ascii_uppercase();
            if is_edge || is_capital || (at == 0 && is_reserved) {
                name.push_str(percent_encode_byte(*byte));
            } else {
                name.extend(percent_encode(&[*byte], ENCODED));
            }
        }
        if name.len() <= LONGEST { name } else { cut(&name, topic) }
    }
}

/// The beginning of a name, and a hash of the topic behind `%~`, which no encoding gives.
fn cut(name: &str, topic: &str) -> String {
    let mut end = LONGEST - 2 - 2 * HASH;
    // Not within %2F.
    if let Some(at) = name[..end].rfind('%').filter(|at| at + 3 > end) {
        end = at;
    }
    let mut cut = format!("{}%~", &name[..end]);
    for byte in &Sha256::digest(topic.as_bytes())[..HASH] {
        cut.push_str(&format!("{byte:02x}"));
    }
    cut
}

fn is_reserved(topic: &str) -> bool {
    let stem = topic.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_numbered =
        |kind: &str| stem.strip_prefix(kind).is_some_and(|digit| matches!(digit.as_bytes(), [b'0'..=b'9']));
    RESERVED.contains(&stem.as_str()) || is_numbered("com") || is_numbered("lpt")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use percent_encoding::percent_decode_str;

    use super::*;

    fn name(topic: &str) -> String {
        NameRules::default().name(topic, "")
    }

    #[test]
    fn names_are_safe_and_give_the_topic_back() {
        for (topic, expected) in [
            ("sensor/Kitchen 1", "sensor%2FKitchen%201"),
            ("..", "%2E%2E"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            (".", "%2E"),
            (".hidden", "%2Ehidden"),
            ("/", "%2F"),
            ("a\0b", "a%00b"),
            ("a\\b:c*?\"<>|", "a%5Cb%3Ac%2A%3F%22%3C%3E%7C"),
            ("100%", "100%25"),
            ("end.", "end%2E"),
            ("ü", "%C3%BC"),
            ("-rf", "%2Drf"),
            ("a-b", "a-b"),
            ("con", "%63on"),
            ("CON.txt", "%43ON.txt"),
            ("com1", "%63om1"),
            ("lpt", "lpt"),
            ("$SYS/x", "%24SYS%2Fx"),
            ("a\n\x1b[2J", "a%0A%1B%5B2J"),
        ] {
            assert_eq!(name(topic), expected);
            assert_eq!(percent_decode_str(expected).decode_utf8().unwrap(), topic);
        }
        assert_eq!(NameRules::default().name(".", "1-"), "1-%2E");
        assert_eq!(NameRules::default().name("con", "1-"), "1-con");
    }

    #[test]
    fn a_file_system_that_ignores_case_has_no_collision() {
        let rules = NameRules { ignores_case: true };
        let names: HashSet<String> =
            ["a/B", "a/b", "A/b", "A/B"].map(|topic| rules.name(topic, "").to_ascii_lowercase()).into();
        assert_eq!(names.len(), 4);
        assert_eq!(rules.name("aB", ""), "a%42");
    }

    #[test]
    fn long_names_are_cut_and_differ() {
        let long = "ä/".repeat(3000);
        let names: HashSet<String> = (0..3).map(|number| name(&format!("{long}{number}"))).collect();
        assert_eq!(names.len(), 3);
        for name in &names {
            assert!(name.len() <= LONGEST && name.len() > 240, "{}", name.len());
            let (begin, hash) = name.split_once("%~").unwrap();
            assert_eq!(hash.len(), 32);
            assert!(long.as_bytes().starts_with(&percent_decode_str(begin).collect::<Vec<u8>>()), "{begin}");
        }
        assert_eq!(name(&"a".repeat(255)).len(), 255);
        assert!(name(&"a".repeat(256)).contains("%~"));
    }
}
