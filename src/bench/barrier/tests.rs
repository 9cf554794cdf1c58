use super::*;

#[test]
fn shards_are_named() {
    assert_eq!(named(&[3], 8), "shard 3 of 8");
    assert_eq!(named(&[2, 5], 8), "shards 2 and 5 of 8");
    assert_eq!(named(&[1, 2, 5], 8), "shards 1, 2 and 5 of 8");
    assert!(named(&(0..50).collect::<Vec<_>>(), 60).ends_with("19 and 30 more of 60"));
}
