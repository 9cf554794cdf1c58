use super::*;
use crate::mqtt::{Message, QoS};

const SECOND: Micros = 1_000_000;

fn add(model: &mut Model, topic: &str, payload: impl AsRef<[u8]>, time: Micros) {
    add_flagged(model, topic, payload, time, false);
}

fn add_flagged(model: &mut Model, topic: &str, payload: impl AsRef<[u8]>, time: Micros, retain: bool) {
    let payload = payload.as_ref().to_vec().into();
    let message = Message { topic: topic.into(), payload, retain, qos: QoS::AtLeastOnce, ..Message::default() };
    model.add(&Publish::of(&message, 7, false), time);
}

fn names(model: &mut Model, id: NodeId) -> Vec<String> {
    model.sort(id);
    model.children(id).map(|child| model.name(child).to_owned()).collect()
}

fn last(model: &Model, topic: &str) -> String {
    let view = model.view(model.find(topic).unwrap());
    String::from_utf8(view.topic.unwrap().last.payload.to_vec()).unwrap()
}

fn history(model: &Model, topic: &str) -> Vec<String> {
    let view = model.view(model.find(topic).unwrap()).topic.unwrap();
    view.history.iter().map(|kept| String::from_utf8(kept.payload.to_vec()).unwrap()).collect()
}

fn messages(model: &Model, topic: &str) -> (u64, u32) {
    let view = model.view(model.find(topic).unwrap());
    (view.figures.messages, view.topics)
}

#[test]
fn a_tree_counts_at_every_level() {
    let mut model = Model::new(1 << 20);
    for (topic, payload) in [("a/room10/t", "1"), ("a/room2/t", "2"), ("a/room2/t", "33"), ("a", "4"), ("/b//", "5")] {
        add(&mut model, topic, payload, SECOND);
    }
    add(&mut model, "$SYS/broker/uptime", "9 seconds", SECOND);
    assert_eq!(names(&mut model, ROOT), ["", "a", "$SYS"]);
    let a = model.find("a").unwrap();
    assert_eq!(names(&mut model, a), ["room2", "room10"]);
    assert_eq!((messages(&model, "a"), messages(&model, "a/room2")), ((4, 3), (2, 1)));
    assert_eq!((model.total().messages, model.total().bytes), (5, 6), "$SYS is no message of anybody");
    assert_eq!((last(&model, "a"), last(&model, "a/room2/t")), ("4".into(), "33".into()));
    assert_eq!(history(&model, "a/room2/t"), ["2"]);
    let view = model.view(model.find("a").unwrap()).topic.unwrap();
    assert_eq!((view.messages, view.bytes), (1, 1), "of this topic alone");
    assert_eq!(model.topic(model.find("/b//").unwrap()), "/b//");
    assert_eq!((model.find("a/+/t"), model.find("x"), model.find("a/+/x")), (model.find("a/room2/t"), None, None));
    assert_eq!(model.at_depth(), [2, 3, 3, 1]);
}

#[test]
fn a_retained_mark_lasts_until_the_message_is_removed() {
    let mut model = Model::new(1 << 20);
    add_flagged(&mut model, "a/b", "1", SECOND, true);
    add_flagged(&mut model, "a/c", "1", SECOND, true);
    add(&mut model, "a/d", "1", SECOND);
    add(&mut model, "a/b", "2", SECOND);
    let a = model.find("a").unwrap();
    assert_eq!((model.view(a).retained, model.retained_topics(a)), (2, vec!["a/b".to_owned(), "a/c".to_owned()]));
    add(&mut model, "a/b", "", SECOND);
    assert_eq!((model.view(a).retained, model.retained_topics(ROOT)), (1, vec!["a/c".to_owned()]));
    assert_eq!(model.view(ROOT).topics, 3);
}

#[test]
fn a_history_has_a_limit_and_keeps_the_beginning_of_what_is_long() {
    let mut model = Model::new(64 << 20);
    for number in 0..HISTORY + 50 {
        add(&mut model, "t", number.to_string(), SECOND * number as Micros);
    }
    let kept = history(&model, "t");
    assert_eq!((kept.len(), kept[0].as_str(), last(&model, "t").as_str()), (HISTORY, "49", "249"));
    add(&mut model, "t", vec![b'x'; LONGEST_PAYLOAD + 1], SECOND * 1000);
    let view = model.view(model.find("t").unwrap()).topic.unwrap();
    assert_eq!((view.last.payload.len(), view.last.size, view.last.is_cut()), (1 << 20, (1 << 20) + 1, true));
    add(&mut model, "t", "end", SECOND * 1001);
    let view = model.view(model.find("t").unwrap()).topic.unwrap();
    let long = view.history.back().unwrap();
    assert_eq!((long.payload.len(), long.size), (4096, (1 << 20) + 1));
    assert_eq!(model.memory_notice(), MemoryNotice::default());
}

/// What the account says, computed anew.
fn used(model: &Model) -> usize {
    let mut sum = 0;
    for node in &model.nodes[1..] {
        sum += Node::cost(&node.name);
        if let Some(topic) = &node.topic {
            sum += Topic::COST + topic.last.cost() + topic.history.capacity() * size_of::<Kept>();
            sum += topic.history.iter().map(Kept::cost).sum::<usize>();
        }
    }
    sum
}

#[test]
fn the_oldest_histories_go_first() {
    let mut model = Model::new(200_000);
    for round in 0..40 {
        for topic in ["old", "new"] {
            if topic == "old" && round >= 20 {
                continue;
            }
            add(&mut model, topic, vec![b'a' + round as u8; 3000], SECOND * round);
        }
        for _ in 0..2 {
            add(&mut model, "more", vec![b'x'; 2000], SECOND * round);
        }
    }
    let notice = model.memory_notice();
    assert!(notice.forgotten > 0 && notice.shortened == 0 && notice.topics_left_out == 0, "{notice:?}");
    assert!(model.memory().0 <= 200_000, "{:?}", model.memory());
    let oldest = |topic: &str| model.view(model.find(topic).unwrap()).topic.unwrap().history[0].time;
    assert!(oldest("old") > 5 * SECOND, "what is older is gone");
    for topic in ["new", "more"] {
        assert!((oldest(topic) - oldest("old")).abs() <= SECOND, "all go back to the same time");
    }
    assert_eq!(messages(&model, "more").0, 80, "counts are not touched");
    assert_eq!(used(&model), model.memory.used);
}

#[test]
fn without_histories_payloads_are_shortened_and_then_topics_left_out() {
    let mut model = Model::new(100_000);
    for number in 0..20 {
        add(&mut model, &format!("long/{number}"), vec![b'x'; 20_000], SECOND);
    }
    let notice = model.memory_notice();
    assert!(notice.shortened >= 14 && notice.topics_left_out == 0, "{notice:?}");
    let cut = model.view(model.find("long/0").unwrap()).topic.unwrap().last;
    assert_eq!((cut.payload.len(), cut.size, cut.is_cut()), (256, 20_000, true));
    for round in 0..3 {
        for number in 0..1000 {
            add(&mut model, &format!("many/{number}"), "1", SECOND * round);
        }
    }
    let notice = model.memory_notice();
    let many = messages(&model, "many");
    assert!(notice.topics_left_out > 0 && u64::from(many.1) < 1000, "{notice:?}");
    let counted = notice.topics_left_out + many.1 as usize;
    assert!(counted == 1000 || notice.more_topics && counted < 1000, "{notice:?} {many:?}");
    assert_eq!(notice.messages_left_out, 3000 - many.0);
    assert_eq!(model.total().messages, 3020, "they are counted all the same");
    assert!(model.memory().0 <= 100_000, "{:?}", model.memory());
    assert_eq!(used(&model), model.memory.used);
}

#[test]
fn places_of_dropped_messages_do_not_gather() {
    let mut model = Model::new(1 << 30);
    for number in 0..100_000 {
        add(&mut model, if number % 3 == 0 { "a" } else { "b" }, "1", number);
    }
    assert!(model.memory.queue.len() < 4 * HISTORY + 1100, "{}", model.memory.queue.len());
    assert_eq!(model.memory.in_histories, 2 * HISTORY);
    assert_eq!(used(&model), model.memory.used);
}

#[test]
fn a_paused_screen_stands_still_and_nothing_is_lost() {
    let mut model = Model::new(1 << 20);
    for number in 0..5 {
        add(&mut model, "a/b", number.to_string(), SECOND * number);
    }
    model.set_paused(true);
    let before = (messages(&model, "a"), last(&model, "a/b"), history(&model, "a/b"));
    for number in 5..20 {
        add(&mut model, "a/b", number.to_string(), SECOND * number);
        add(&mut model, "a/new", "x", SECOND * number);
    }
    assert_eq!((messages(&model, "a"), last(&model, "a/b"), history(&model, "a/b")), before);
    assert_eq!(model.shown_now(), 4 * SECOND);
    let a = model.find("a").unwrap();
    assert_eq!(names(&mut model, a), ["b"], "what is new comes later");
    assert_eq!((model.total().messages, model.messages_in_pause()), (35, 30), "the total is counted on");
    model.set_paused(false);
    assert_eq!((messages(&model, "a"), last(&model, "a/b")), ((35, 2), "19".into()));
    assert_eq!(history(&model, "a/b"), (0..19).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(names(&mut model, a), ["b", "new"]);
    assert_eq!(used(&model), model.memory.used);
}

#[test]
fn a_pause_keeps_the_limits() {
    let mut model = Model::new(120_000);
    for pause in 0..4 {
        for number in 0..500 {
            add(&mut model, &format!("t/{}", number % 7), vec![b'x'; 500], SECOND * (pause * 500 + number));
        }
        model.set_paused(pause % 2 == 0);
        assert!(model.memory().0 <= 120_000, "{:?}", model.memory());
    }
    model.set_paused(false);
    assert_eq!(messages(&model, "t").0, 2000);
    assert_eq!(used(&model), model.memory.used);
    let times: Vec<Micros> =
        model.view(model.find("t/3").unwrap()).topic.unwrap().history.iter().map(|kept| kept.time).collect();
    assert!(times.is_sorted() && !times.is_empty());
}

#[test]
fn what_is_cleared_can_be_filled_again() {
    let mut model = Model::new(1 << 20);
    add(&mut model, "a/b", "1", SECOND);
    let version = model.version();
    model.clear();
    assert!(model.version() != version && model.find("a").is_none() && model.memory().0 == 0);
    add(&mut model, "a", "1", SECOND);
    assert_eq!(messages(&model, "a"), (1, 1));
}
