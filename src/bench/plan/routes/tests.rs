//! Routes: both directions of the relation, filters against topics, and what cannot be.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn names(client: usize) -> (String, String) {
    (format!("id{client}"), "user".to_owned())
}

fn crowd(shape: Shape, publishers: usize, subscribers: usize) -> Crowd {
    Crowd { shape, run: RunTag(0xabc), publishers, subscribers }
}

fn try_routes(shape: Shape, topics: &[&str], publishers: usize, subscribers: usize) -> Result<Routes, RouteError> {
    Routes::new(crowd(shape, publishers, subscribers), topics, &Source::default(), names)
}

fn routes(shape: Shape, topics: &[&str], publishers: usize, subscribers: usize) -> Routes {
    try_routes(shape, topics, publishers, subscribers).unwrap()
}

fn topic(routes: &Routes, stream: usize) -> String {
    let (client_id, user_name) = names(stream);
    routes.topic(stream, &client_id, &user_name)
}

#[test]
fn topics_are_a_stream_each_unless_they_are_shared() {
    assert_eq!(topic(&routes(Shape::P2p, &[], 3, 3), 2), "mqbench/0abc/2");
    assert_eq!(topic(&routes(Shape::P2p, &["t/%c/%i"], 3, 3), 2), "t/id2/2");
    assert!(routes(Shape::P2p, &["t"], 3, 3).has_crowded_topic());
    assert!(!routes(Shape::P2p, &["t"], 1, 3).has_crowded_topic());
    let of_user = routes(Shape::P2p, &["t/%u"], 2, 2);
    assert!(of_user.has_crowded_topic() && of_user.is_everything_for_all(), "there is one user");
}

#[test]
fn several_topics_are_taken_in_turn() {
    let several = routes(Shape::P2p, &["a/%i", "b/%i", "a/%i"], 4, 4);
    assert_eq!((0..4).map(|stream| topic(&several, stream)).collect::<Vec<_>>(), ["a/0", "b/1", "a/2", "b/3"]);
    assert!(!several.is_everything_for_all());
    assert_eq!(several.filters_of(1, names), ["b/1"]);
    let fixed = routes(Shape::P2p, &["a", "b"], 2, 3);
    assert!(!fixed.has_crowded_topic(), "one publisher each");
    assert!(routes(Shape::P2p, &["a", "b"], 3, 3).has_crowded_topic());
    assert_eq!(fixed.filters_of(2, names), ["a", "b"]);
    let receiving = routes(Shape::P2p, &["#", "$share/g/a/%c"], 0, 2);
    assert_eq!(receiving.filters_of(1, names), ["#", "$share/g/a/id1"]);
}

#[test]
fn many_topics_are_asked_for_with_a_wildcard_where_one_fits() {
    let filters = |topics: &[&str]| routes(Shape::FanIn, topics, 6, 1).filters_of(0, names);
    assert_eq!(filters(&[]), ["mqbench/0abc/+"]);
    assert_eq!(filters(&["site/%i/temp", "site/%i/hum"]), ["site/+/hum", "site/+/temp"]);
    assert_eq!(filters(&["one"]), ["one"]);
    // In the first level a wildcard asks for everything there is.
    assert_eq!(filters(&["%i/t"]).len(), 6);
    // Both filters match what the first makes, and a broker may deliver once for each.
    assert_eq!(filters(&["x/a%i/1", "x/%i/%i"]).len(), 6);
    let slashes = |client: usize| (format!("id/{client}"), String::new());
    let crowd = crowd(Shape::FanIn, 3, 1);
    assert_eq!(Routes::new(crowd, &["t/%c"], &Source::default(), slashes).unwrap().filters_of(0, slashes).len(), 3);
}

#[test]
fn groups_share_a_filter() {
    let groups = routes(Shape::Shared { groups: 2 }, &[], 3, 5);
    assert_eq!(groups.filters_of(3, names), ["$share/mqb-0abc-1/mqbench/0abc/+"]);
    assert_eq!((groups.members_of(0), groups.members_of(1)), (3, 2));
    assert_eq!(groups.copies(), (2, 2));
    assert_eq!(routes(Shape::Shared { groups: 1 }, &["/%i"], 2, 1).filters_of(0, names), ["$share/mqb-0abc-0//+"]);
}

#[test]
fn copies_are_uneven_where_pairs_do_not_come_out_even() {
    assert_eq!(routes(Shape::P2p, &[], 2, 5).copies(), (2, 3));
    assert_eq!(routes(Shape::FanOut, &[], 2, 5).copies(), (5, 5));
    assert_eq!(routes(Shape::P2p, &[], 5, 2).copies(), (1, 1));
}

#[test]
fn what_cannot_be() {
    assert!(matches!(try_routes(Shape::P2p, &["#"], 1, 1), Err(RouteError::Topic { .. })));
    assert!(matches!(try_routes(Shape::FanIn, &["$share/g/a"], 1, 1), Err(RouteError::Share { .. })));
    assert!(matches!(try_routes(Shape::P2p, &["a+b"], 0, 1), Err(RouteError::Topic { .. })));
    assert!(matches!(try_routes(Shape::P2p, &["%q"], 0, 1), Err(RouteError::Template { .. })));
    let error = try_routes(Shape::P2p, &["t/%i", "t/2"], 4, 4).unwrap_err();
    assert_eq!(error.to_string(), "-t t/%i and -t t/2 expand to the same topic, t/2: use different templates");
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::P2p),
        Just(Shape::FanIn),
        Just(Shape::FanOut),
        (1usize..6).prop_map(|groups| Shape::Shared { groups })
    ]
}

fn templates() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(vec!["own/%i", "other/%i/%c", "%i/first", "fixed", "own/x%i", "u/%u"], 0..4)
}

proptest! {
    /// Both directions of the relation say the same, every stream has a receiver where anybody listens, a place is found for
    /// just the streams of a subscriber, and the ranks are those of the receivers.
    #[test]
    fn publishers_and_subscribers_agree(
        shape in shape(), topics in templates(), publishers in 1usize..40, subscribers in 0usize..40,
    ) {
        if let Shape::Shared { groups } = shape {
            prop_assume!(groups <= subscribers);
        }
        let routes = routes(shape, &topics, publishers, subscribers);
        let mut pairs = BTreeSet::new();
        for subscriber in 0..subscribers {
            let streams = routes.streams_of(subscriber);
            let receiver = routes.receiver_of(subscriber);
            for (index, stream) in streams.iter().enumerate() {
                prop_assert!(stream < publishers);
                prop_assert_eq!(streams.index_of(stream), Some(index));
                prop_assert_eq!(routes.receivers_of(stream).index_of(receiver), Some(routes.rank_of(subscriber)));
                pairs.insert((stream, receiver));
            }
            prop_assert_eq!((0..publishers).filter(|s| streams.index_of(*s).is_some()).count(), streams.count);
        }
        let mut reverse = BTreeSet::new();
        for stream in 0..publishers {
            let receivers = routes.receivers_of(stream);
            prop_assert!(subscribers == 0 || receivers.count > 0);
            reverse.extend(receivers.iter().map(|receiver| (stream, receiver)));
        }
        prop_assert_eq!(pairs, reverse);
        let members: usize = (0..routes.receivers()).map(|receiver| routes.members_of(receiver)).sum();
        prop_assert_eq!(members, subscribers);
    }

    /// A subscriber's filters match the topics of its streams, each just once, and no other topic of the run.
    #[test]
    fn filters_ask_for_just_the_streams(
        shape in shape(), topics in templates(), publishers in 1usize..12, subscribers in 1usize..12,
    ) {
        if let Shape::Shared { groups } = shape {
            prop_assume!(groups <= subscribers);
        }
        let routes = routes(shape, &topics, publishers, subscribers);
        for subscriber in 0..subscribers {
            let streams = routes.streams_of(subscriber);
            let filters = routes.filters_of(subscriber, names);
            for filter in &filters {
                prop_assert_eq!(check_sent_topic_filter(filter), Ok(()));
                prop_assert_eq!(filter.starts_with(SHARE), matches!(shape, Shape::Shared { .. }));
            }
            for stream in 0..publishers {
                let matching = filters.iter().filter(|filter| filter_matches(filter, &topic(&routes, stream))).count();
                prop_assert_eq!(matching, usize::from(streams.index_of(stream).is_some()), "stream {}", stream);
            }
        }
    }
}
