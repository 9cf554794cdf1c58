//! Screens as text, compared with their stored copies in `tests/snapshots/screens`; `BLESS=1` stores what is drawn now.

use std::path::Path;

use chrono::FixedOffset;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};
use snapbox::assert::Action;
use snapbox::{Assert, Data};
use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::explore::app::{Action as AppAction, Link, Source};
use crate::explore::keys::{Input, Key};
use crate::explore::model::{Micros, Model};
use crate::explore::recording_view::RecordingView;
use crate::mqtt::wire::Publish;
use crate::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, QoS};

const SECOND: Micros = 1_000_000;
/// 2026-11-26 21:00:00 UTC.
const START: Micros = 1_795_726_800 * SECOND;

fn app_with(memory: usize) -> App {
    let source = Source::Broker {
        name: "mqtt://building.example:1883".into(),
        version: "MQTT 5",
        link: Link::Connected,
        losses: 0,
    };
    let mut app = App::new(Model::new(memory), source, FixedOffset::east_opt(0).unwrap());
    app.wall = START;
    app
}

fn app() -> App {
    app_with(64 << 20)
}

fn send(app: &mut App, topic: &str, payload: impl AsRef<[u8]>, at: Micros, qos: u8, retain: bool) {
    let payload = payload.as_ref().to_vec().into();
    let message =
        Message { topic: topic.into(), payload, retain, qos: QoS::from_number(qos).unwrap(), ..Message::default() };
    app.model.add(&Publish::of(&message, 1, false), START + at);
    app.wall = START + at;
}

/// Rooms with sensors and air conditioners.
fn building() -> App {
    let mut app = app();
    for (topic, value) in [
        ("$SYS/broker/version", "mosquitto version 2.0.11"),
        ("$SYS/broker/uptime", "86400 seconds"),
        ("$SYS/broker/clients/connected", "12"),
        ("$SYS/broker/retained messages/count", "24"),
    ] {
        send(&mut app, topic, value, 0, 0, true);
    }
    for floor in 1..=2 {
        for room in [1, 2, 10] {
            let place = format!("building/floor{floor}/room{room}");
            let state = format!(r#"{{"power":"on","target":{},"mode":"cool"}}"#, 20 + room % 3);
            send(&mut app, &format!("{place}/ac/state"), state, SECOND, 1, true);
            for second in 0..20 {
                let temperature = 20.0 + f64::from(room) / 10.0 + f64::from(second % 7) / 10.0;
                let at = SECOND * i64::from(second);
                send(&mut app, &format!("{place}/temperature"), format!("{temperature:.1}"), at, 0, false);
            }
            send(&mut app, &format!("{place}/motion"), "0", SECOND * 12, 0, false);
        }
    }
    app.model.set_now(START + 21 * SECOND);
    app.wall = START + 21 * SECOND;
    app
}

fn screen(app: &mut App, theme: Theme, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            if let Some(cursor) = draw(app, theme, frame.buffer_mut()) {
                frame.set_cursor_position(cursor);
            }
        })
        .unwrap();
    terminal
}

fn text(app: &mut App, width: u16, height: u16) -> String {
    let terminal = screen(app, Theme::new(true), width, height);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // The cell behind a wide character is hidden.
            x += (symbol.width() as u16).max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Compares a screen with its stored copy.
fn check(name: &str, screen: String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/screens").join(format!("{name}.txt"));
    let action = if std::env::var_os("BLESS").is_some() { Action::Overwrite } else { Action::Verify };
    Assert::new().action(action).normalize_paths(false).eq(screen, Data::read_from(&file, None));
}

fn select(app: &mut App, topic: &str) {
    let id = app.model.find(topic).unwrap();
    let mut up = id;
    while up != 0 {
        app.model.set_unfolded(up, Some(true));
        up = app.model.parent(up);
    }
    app.selected = Some(id);
    app.invalidate();
}

fn press(app: &mut App, keys: &str) -> AppAction {
    let mut action = AppAction::Nothing;
    for key in keys.chars() {
        let key = match key {
            '\n' => Key::Enter,
            '\t' => Key::Tab,
            '\x1b' => Key::Escape,
            key => Key::Char(key),
        };
        action = app.take(Input::Key(key));
        app.prepare(app.page);
    }
    action
}

#[test]
fn the_building() {
    check("building-80x24", text(&mut building(), 80, 24));
    check("building-200x50", text(&mut building(), 200, 50));
}

#[test]
fn a_device_with_a_history() {
    let mut app = app();
    for second in 0..60 {
        let power = 100.0 + 40.0 * (f64::from(second) / 6.0).sin();
        let payload =
            format!(r#"{{"id":"plug-7","on":true,"power":{{"now":{power:.1},"total":{}}},"tags":[]}}"#, 5000 + second);
        send(&mut app, "devices/plug-7/telemetry", payload, SECOND * i64::from(second), 1, false);
    }
    let properties: Properties = [
        Property::new(PropertyName::ContentType, PropertyValue::Utf8("application/json".into())).unwrap(),
        Property::new(PropertyName::MessageExpiryInterval, PropertyValue::FourByte(3600)).unwrap(),
        Property::user("site", "north"),
    ]
    .into_iter()
    .collect();
    let payload = r#"{"id":"plug-7","on":false,"power":{"now":0.0,"total":5061},"tags":["a","b"]}"#;
    let message = Message {
        topic: "devices/plug-7/telemetry".into(),
        payload: payload.into(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties,
    };
    app.model.add(&Publish::of(&message, 9, false), START + 60 * SECOND);
    app.wall = START + 61 * SECOND;
    app.model.set_now(app.wall);
    select(&mut app, "devices/plug-7/telemetry");
    check("device-80x24", text(&mut app, 80, 24));
    check("device-200x50", text(&mut app, 200, 50));
    press(&mut app, "f");
    let total = text(&mut app, 80, 24);
    assert!(total.contains(".power.total 5061  min 50"), "{total}");
    press(&mut app, "F");
    assert!(text(&mut app, 80, 24).contains(".power.now 0  min 0"));
}

#[test]
fn values_of_all_kinds() {
    let mut app = app();
    send(&mut app, "bin", [0, 1, 2, 0xff, b'M', b'Q'].repeat(20), 0, 2, false);
    send(&mut app, "empty", "", 0, 0, false);
    send(&mut app, "a\u{202e}b/\u{1b}[31mred\u{7}", "evil\u{1b}]0;title\u{7}\u{202e}text", 0, 0, false);
    send(&mut app, "//", "levels without a name", 0, 0, false);
    send(&mut app, "日本/温度", "二十一度", 0, 0, true);
    send(&mut app, "long", "x".repeat(5000), 0, 0, false);
    select(&mut app, "bin");
    check("values-80x24", text(&mut app, 80, 24));
    select(&mut app, "a\u{202e}b/\u{1b}[31mred\u{7}");
    let hostile = text(&mut app, 200, 50);
    assert!(hostile.contains("a\\u{202e}b/\\u{1b}[31mred\\u{7}") && hostile.contains("evil\\u{1b}]0;title\\u{7}"));
    assert!(!hostile.contains(|it: char| it != '\n' && it.is_control() || it == '\u{202e}'));
}

#[test]
fn states_of_the_connection_and_of_memory() {
    let mut app = app_with(1 << 20);
    assert!(text(&mut app, 80, 24).contains("no messages yet"));
    for number in 0..5000 {
        send(&mut app, &format!("t/{number}"), "1", SECOND, 0, false);
    }
    if let Source::Broker { link, losses, .. } = &mut app.source {
        (*link, *losses) = (Link::Reconnecting(START - 2 * SECOND), 3);
    }
    app.note("the connection to building.example was lost (reset by peer); trying again every second", true);
    check("full-80x24", text(&mut app, 80, 24));
    app.wall += 60 * SECOND;
    assert!(!text(&mut app, 80, 24).contains("reset by peer"), "it stands for a while");
    let full = text(&mut app, 200, 50);
    assert!(full.contains("reconnecting for 63s (3 reconnects)"), "{full}");
    assert!(full.contains("topics not shown, "), "{full}");
}

#[test]
fn a_pause_and_a_filter() {
    let mut app = building();
    text(&mut app, 80, 24);
    press(&mut app, " ");
    send(&mut app, "building/floor1/room1/temperature", "99.9", 30 * SECOND, 0, false);
    let paused = text(&mut app, 80, 24);
    assert!(paused.contains("PAUSED, 1 message since") && !paused.contains("99.9"), "{paused}");
    assert!(paused.contains("133 messages"), "{paused}");
    press(&mut app, " ");
    press(&mut app, "/room10/te");
    check("filter-80x24", text(&mut app, 80, 24));
    press(&mut app, "\n");
    assert!(text(&mut app, 80, 24).contains("filter: room10/te (Esc)"));
    press(&mut app, "\x1b");
    assert!(text(&mut app, 80, 24).contains("room2"));
    press(&mut app, "/nothing");
    assert!(text(&mut app, 80, 24).contains("no topic matches the filter"));
}

#[test]
fn what_stands_above_the_tree() {
    let mut app = building();
    app.allows_write = true;
    select(&mut app, "building/floor1/room1/ac/state");
    text(&mut app, 80, 24);
    press(&mut app, "?");
    check("help-80x24", text(&mut app, 80, 24));
    check("help-200x50", text(&mut app, 200, 50));
    press(&mut app, "xp");
    check("publish-80x24", text(&mut app, 80, 24));
    press(&mut app, "\x1b");
    select(&mut app, "building");
    text(&mut app, 80, 24);
    press(&mut app, "D");
    check("remove-80x24", text(&mut app, 80, 24));
    press(&mut app, "n");
    press(&mut app, "w");
    let save = text(&mut app, 80, 24);
    assert!(save.contains(" save to: topics-20261126-210021.ndjson"), "{save}");
}

#[test]
fn a_recording() {
    let mut app = building();
    app.source = Source::Recording(RecordingView {
        file: "day.ndjson.zst".into(),
        position: 132,
        messages: Some(4567),
        begin: Some(START),
        end: START + 60 * SECOND,
        at: START + 21 * SECOND,
        is_playing: true,
        speed: 10.0,
        ..RecordingView::default()
    });
    check("recording-80x24", text(&mut app, 80, 24));
    check("recording-200x50", text(&mut app, 200, 50));
    press(&mut app, "?");
    let help = text(&mut app, 80, 50);
    assert!(help.contains("play, stop") && !help.contains("--allow-write") && !help.contains("pause"), "{help}");
}

#[test]
fn changes_and_what_is_selected_are_distinguishable_without_color() {
    for colors in [true, false] {
        let mut app = app();
        send(&mut app, "old", "A", 0, 0, false);
        send(&mut app, "new", "B", 10 * SECOND, 0, false);
        let terminal = screen(&mut app, Theme::new(colors), 80, 24);
        let buffer = terminal.backend().buffer();
        let style_of = |value: &str| {
            let cell = buffer.content().iter().skip(2 * 80).find(|cell| cell.symbol() == value).unwrap();
            (cell.fg, cell.modifier)
        };
        let (new, old) = (style_of("B"), style_of("A"));
        assert!(new.1.contains(Modifier::BOLD) && !old.1.contains(Modifier::BOLD));
        assert_eq!(new.0 == Color::Yellow, colors);
        if !colors {
            assert!(buffer.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
            assert!(buffer.content().iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
        }
    }
}

#[test]
fn every_size_can_be_drawn() {
    let mut app = building();
    app.allows_write = true;
    select(&mut app, "building/floor1/room1/ac/state");
    for keys in ["", "?", "xp", "\x1b/x", "\x1bw", "\x1bD"] {
        press(&mut app, keys);
        for (width, height) in [(1, 1), (29, 9), (30, 8), (31, 9), (40, 10), (119, 12), (120, 9), (300, 100)] {
            text(&mut app, width, height);
        }
    }
}

#[test]
fn keys_move_fold_and_ask() {
    let mut app = building();
    text(&mut app, 80, 24);
    let topic = |app: &App| app.selected.map(|id| app.model.topic(id)).unwrap_or_default();
    assert_eq!(topic(&app), "building");
    press(&mut app, "jjl");
    assert_eq!(topic(&app), "building/floor1/room1");
    press(&mut app, "j");
    assert_eq!(topic(&app), "building/floor1/room1/ac");
    press(&mut app, "hh");
    assert_eq!(topic(&app), "building/floor1/room1", "it goes up from a level that is folded");
    press(&mut app, "G");
    assert_eq!(topic(&app), "$SYS");
    press(&mut app, "gc");
    assert_eq!(app.rows.len(), 2, "everything below the first is folded");
    press(&mut app, "e");
    assert_eq!(app.rows.len(), 1 + 2 + 6 + 6 * 4 + 1);
    assert_eq!(press(&mut app, "p"), AppAction::Nothing);
    assert!(app.notice.as_ref().unwrap().text.contains("--allow-write"), "read-only");
    app.allows_write = true;
    select(&mut app, "building/floor1/room1/temperature");
    press(&mut app, "d");
    assert!(app.notice.as_ref().unwrap().text.contains("no retained message"));
    select(&mut app, "building/floor1");
    app.prepare(20);
    press(&mut app, "D");
    let topics = [1, 2, 10].map(|room| format!("building/floor1/room{room}/ac/state"));
    assert_eq!(press(&mut app, "y"), AppAction::Remove(topics.to_vec()));
    select(&mut app, "building/floor1/room1/motion");
    app.prepare(20);
    let wanted = Message {
        topic: "building/floor1/room1/motion".into(),
        payload: "01".into(),
        qos: QoS::AtLeastOnce,
        retain: true,
        ..Message::default()
    };
    assert_eq!(press(&mut app, "p1\t1\t \n"), AppAction::Publish(wanted));
    assert_eq!(press(&mut app, "q"), AppAction::Quit);
    assert_eq!(app.take(Input::Key(Key::Control('c'))), AppAction::Interrupt);
}

#[test]
fn what_is_pasted_is_no_command() {
    let mut app = building();
    app.allows_write = true;
    text(&mut app, 80, 24);
    assert_eq!(app.take(Input::Paste("Dy\nq".into())), AppAction::Nothing);
    assert_eq!(app.mode, Mode::Tree);
    press(&mut app, "/");
    app.take(Input::Paste("room10\n".into()));
    assert_eq!(app.filter_text, "room10");
}
