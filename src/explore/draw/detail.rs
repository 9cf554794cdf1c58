//! What is selected, in full: payload, properties, history, and a curve of a number in it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthChar as _;

use super::text::{Pen, age, rate, size};
use super::theme::Theme;
use crate::explore::app::App;
use crate::explore::model::{Kept, NodeId, TopicView};
use crate::explore::value::{MOST_SHOWN, Piece, PieceLine, lines, numbers, one_line, shown};
use crate::mqtt::{Property, PropertyValue};
use crate::terminal::escape;
use crate::terminal::number::counted;

/// An area this low has two columns.
const LOW: u16 = 16;
/// Lines of the curve.
const CURVE: u16 = 4;
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

pub(super) fn draw(app: &App, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let title = Rect { height: 1, ..area };
    buffer.set_style(title, theme.bar());
    let Some(id) = app.selected else {
        Pen::new(buffer, title, 0).put(" nothing is selected", theme.bar());
        return;
    };
    let topic = escape(&app.model.topic(id)).into_owned();
    Pen::new(buffer, title, 0).put(" ", theme.bar()).put(&topic, theme.bar().patch(theme.strong()));
    let body = Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 1 };
    let Some(view) = app.model.view(id).topic else {
        draw_level(app, id, theme, body, buffer);
        return;
    };
    if area.height < LOW {
        let width = body.width * 11 / 20;
        let left = Rect { width: width - 1, ..body };
        let right = Rect { x: body.x + width, width: body.width - width, ..body };
        let used = draw_facts(app, id, &view, theme, left, buffer);
        draw_payload(app, &view, theme, below(left, used), buffer);
        draw_past(app, &view, theme, right, buffer);
        return;
    }
    let used = draw_facts(app, id, &view, theme, body, buffer);
    let rest = below(body, used + 1);
    // What came before needs this much in any case, and gets what the payload does not use.
    let least = (CURVE + 8).min(rest.height / 2);
    let payload = Rect { height: rest.height - least, ..rest };
    let used = draw_payload(app, &view, theme, payload, buffer);
    draw_past(app, &view, theme, below(rest, used + 1), buffer);
}

const fn below(area: Rect, lines: u16) -> Rect {
    let lines = if lines > area.height { area.height } else { lines };
    Rect { y: area.y + lines, height: area.height - lines, ..area }
}

/// A level that is no topic itself.
fn draw_level(app: &App, id: NodeId, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let view = app.model.view(id);
    let now = app.model.shown_now();
    let per_second = rate(view.figures.rate(now));
    let per_second = if per_second.is_empty() { "0" } else { &per_second };
    let texts = [
        format!("{} below this level", counted(u64::from(view.topics), "topic", "topics")),
        format!("{} with a retained message", counted(u64::from(view.retained), "topic", "topics")),
        format!("{}, {}/s", counted(view.figures.messages, "message", "messages"), per_second),
        format!("{} of payloads", size(view.figures.bytes)),
    ];
    for (line, text) in texts.iter().enumerate() {
        Pen::new(buffer, area, line as u16).put(text, theme.plain());
    }
}

/// Facts about the last message; the lines used.
fn draw_facts(app: &App, id: NodeId, view: &TopicView<'_>, theme: Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let last = view.last;
    let (form, _) = lines(&last.payload[..last.payload.len().min(MOST_SHOWN)], last.is_cut(), 80);
    let mut facts = vec![format!("QoS {}", last.qos.number())];
    if view.retained {
        facts.push("retained".into());
    }
    facts.extend([size(last.size as u64), form.name().into()]);
    let time = app.clock(last.time).format("%H:%M:%S%.3f");
    facts.push(format!("{time} ({} ago)", age((app.model.shown_now() - last.time).max(0))));
    Pen::new(buffer, area, 0).put(&facts.join("  "), theme.plain());
    let figures = app.model.view(id).figures;
    let per_second = rate(figures.rate(app.model.shown_now()));
    let per_second = if per_second.is_empty() { "0" } else { &per_second };
    let messages = counted(view.messages, "message", "messages");
    let text = format!("{messages}  {per_second}/s  {} in all", size(view.bytes));
    Pen::new(buffer, area, 1).put(&text, theme.faint());
    let mut line = 2;
    if last.is_cut() {
        let kept = size(last.payload.len() as u64);
        Pen::new(buffer, area, line).put(&format!("only the first {kept} are kept"), theme.warning());
        line += 1;
    }
    for (name, value) in properties(last) {
        Pen::new(buffer, area, line).put(&name, theme.key()).put(": ", theme.faint()).put(&value, theme.plain());
        line += 1;
    }
    if last.lacks_properties {
        Pen::new(buffer, area, line).put("its properties are too large to be kept", theme.warning());
        line += 1;
    }
    line.min(area.height)
}

/// The properties of MQTT 5, as text.
fn properties(last: &Kept) -> Vec<(String, String)> {
    let text = |property: &Property| {
        let name = property.name().text();
        match property.value() {
            PropertyValue::Pair(key, value) => (escape(key).into_owned(), escape(value).into_owned()),
            PropertyValue::Utf8(text) => (name.to_owned(), escape(text).into_owned()),
            PropertyValue::Binary(bytes) => (name.to_owned(), shown(bytes)),
            value => (name.to_owned(), value.number().unwrap_or_default().to_string()),
        }
    };
    last.properties.iter().flat_map(|list| list.iter()).map(text).collect()
}

/// The payload from the line on to which the user has scrolled; the lines used.
fn draw_payload(app: &App, view: &TopicView<'_>, theme: Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    if area.height == 0 || area.width == 0 {
        return 0;
    }
    let last = view.last;
    let (_, spread) = lines(&last.payload, last.is_cut(), usize::from(area.width));
    let wrapped = wrap(&spread, usize::from(area.width), app.scroll + usize::from(area.height) + 1);
    let top = app.scroll.min(wrapped.len().saturating_sub(usize::from(area.height)));
    let mut line = 0;
    for pieces in wrapped.iter().skip(top).take(usize::from(area.height)) {
        let mut pen = Pen::new(buffer, area, line);
        pieces.iter().for_each(|(piece, text)| {
            pen.put(text, theme.piece(*piece));
        });
        line += 1;
    }
    if wrapped.len() > top + usize::from(area.height) {
        let mut pen = Pen::new(buffer, area, area.height - 1);
        let x = area.right().saturating_sub(11);
        pen.to(x).put(" J: more ↓ ", theme.changed());
    }
    line
}

/// Breaks lines that are too long, and stops after this many.
fn wrap(lines: &[PieceLine], columns: usize, most: usize) -> Vec<PieceLine> {
    let mut wrapped = Vec::new();
    for line in lines {
        let mut current: PieceLine = Vec::new();
        let mut used = 0;
        for (piece, text) in line {
            let mut part = String::new();
            for character in text.chars() {
                let width = character.width().unwrap_or(0);
                if used + width > columns {
                    current.push((*piece, std::mem::take(&mut part)));
                    wrapped.push(std::mem::take(&mut current));
                    used = 0;
                    if wrapped.len() >= most {
                        return wrapped;
                    }
                }
                used += width;
                part.push(character);
            }
            current.push((*piece, part));
        }
        wrapped.push(current);
        if wrapped.len() >= most {
            return wrapped;
        }
    }
    wrapped
}

/// The curve and the history.
fn draw_past(app: &App, view: &TopicView<'_>, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut rest = area;
    if let Some(field) = app.shown_field() {
        let used = draw_curve(&field, view, theme, area, buffer);
        rest = below(area, used);
    }
    let count = view.history.len();
    let head = match count {
        0 => "no earlier messages".to_owned(),
        count => format!("{} before", counted(count as u64, "message", "messages")),
    };
    Pen::new(buffer, rest, 0).put(&head, theme.faint());
    let width = usize::from(rest.width);
    for (line, kept) in view.history.iter().rev().take(usize::from(rest.height.saturating_sub(1))).enumerate() {
        let time = app.clock(kept.time).format("%H:%M:%S%.3f ").to_string();
        let mut pen = Pen::new(buffer, rest, line as u16 + 1);
        pen.put(&time, theme.faint());
        match kept.size {
            0 => pen.put("(empty)", theme.faint()),
            _ => pen.put(&one_line(&kept.payload, width), theme.piece(Piece::Plain)),
        };
    }
}

/// The curve of a number, the last message at the right; the lines used.
fn draw_curve(field: &str, view: &TopicView<'_>, theme: Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let height = CURVE.min(area.height.saturating_sub(2) / 2);
    if height == 0 || area.width < 10 {
        return 0;
    }
    let value = |kept: &Kept| {
        let found = numbers(&kept.payload).into_iter().find(|(path, _)| path == field);
        found.map(|(_, number)| number).filter(|_| !kept.is_cut())
    };
    let columns = usize::from(area.width);
    let mut values: Vec<f64> =
        std::iter::once(view.last).chain(view.history.iter().rev()).take(columns).filter_map(value).collect();
    values.reverse();
    let (Some(least), Some(most)) = (values.iter().copied().reduce(f64::min), values.iter().copied().reduce(f64::max))
    else {
        return 0;
    };
    let name = if field.is_empty() { "value".into() } else { escape(field) };
    let last = values.last().copied().unwrap_or_default();
    let text = format!(" {last}  min {least}  max {most}");
    Pen::new(buffer, area, 0).put(&name, theme.key()).put(&text, theme.plain());
    let steps = usize::from(height) * 8;
    for (column, number) in values.iter().enumerate() {
        let part = if most > least { (number - least) / (most - least) } else { 0.5 };
        let level = (part * (steps - 1) as f64).round() as usize + 1;
        for row in 0..usize::from(height) {
            let filled = level.saturating_sub(row * 8).min(8);
            if filled > 0 {
                let y = area.y + height - row as u16;
                buffer.set_string(area.x + column as u16, y, BARS[filled - 1], theme.graph());
            }
        }
    }
    height + 1
}
