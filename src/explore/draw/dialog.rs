//! The last line of the screen, and what stands above everything else: help, the form, the question.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use super::text::Pen;
use super::theme::Theme;
use crate::explore::app::{App, Mode, PublishForm, Source};
use crate::explore::line_edit::LineEdit;
use crate::terminal::escape;
use crate::terminal::number::grouped;

/// The keys: what they do, and where. A line without a key is a heading.
const KEYS: &[(&str, &str)] = &[
    ("", "Move"),
    ("↑ ↓  k j", "one line up, down"),
    ("PgUp PgDn", "one page up, down"),
    ("Home End  g G", "to the first, last line"),
    ("→ ←  l h", "unfold, fold; ← again goes to the level above"),
    ("Enter", "unfold or fold"),
    ("e c", "unfold, fold everything below"),
    ("J K", "scroll the payload"),
    ("", "Choose"),
    ("/", "filter as you type: a part of the topic, or a filter with + #"),
    ("Esc", "remove the filter"),
    ("s", "sort by name, rate, age"),
    ("f F", "next, previous number of the payload for the curve"),
    ("Space", "pause: the screen stands still, messages are counted on"),
    ("w", "save the last messages shown, $SYS left out, as NDJSON (.gz, .zst)"),
    ("", "Write, with --allow-write"),
    ("p", "publish to the selected topic"),
    ("d", "remove its retained message"),
    ("D", "remove all retained messages at and below this level"),
    ("", "Leave"),
    ("q  Ctrl-C", "quit (Ctrl-C ends a loop of the shell, too)"),
    ("Ctrl-Z", "suspend"),
];
/// The keys that only a recording has.
const RECORDING_KEYS: &[(&str, &str)] = &[
    ("", "Go through the recording"),
    ("Space", "play, stop"),
    ("+ -", "ten times faster, slower"),
    (", .", "one message back, on"),
    ("[ ]", "1 % of the time back, on"),
    ("{ }", "10 % of the time back, on"),
    ("0 … 9 $", "to 0 % … 90 %, to the end"),
];
/// The marks of the tree.
const MARKS: &[(&str, &str)] = &[
    ("", "Columns"),
    ("R", "the broker has a retained message (certain with -V 5)"),
    ("Q", "QoS of the last message"),
    ("Count Rate Age", "of the topic and all topics below it"),
];

/// The last line; returns where the cursor is, if something is typed there.
pub(super) fn draw_footer(app: &App, theme: Theme, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let mut pen = Pen::new(buffer, area, 0);
    match &app.mode {
        Mode::Filter(line) => {
            let shown = app.filter_description();
            pen.put(" filter: ", theme.key());
            let cursor = put_line(line, pen.left().saturating_sub(shown.len() + 2), &mut pen, theme.plain());
            pen.to(area.right().saturating_sub(shown.len() as u16 + 1)).put(&shown, theme.faint());
            return Some(Position { x: cursor, y: area.y });
        }
        Mode::Save(line) => {
            pen.put(" save to: ", theme.key());
            let cursor = put_line(line, pen.left(), &mut pen, theme.plain());
            return Some(Position { x: cursor, y: area.y });
        }
        Mode::Tree | Mode::Help(_) | Mode::Publish(_) | Mode::Remove(..) => {}
    }
    pen.put(" ", theme.plain());
    if let Some(notice) = &app.notice {
        pen.put(&escape(&notice.text), if notice.is_bad { theme.bad() } else { theme.good() });
        return None;
    }
    if !app.filter_text.is_empty() {
        let text = escape(&app.filter_text);
        pen.put("filter: ", theme.key()).put_within(&text, 30, theme.strong()).put(" (Esc)  ", theme.faint());
    }
    let pause = if matches!(app.source, Source::Recording(_)) { "play" } else { "pause" };
    let mut keys =
        vec![("?", "help"), ("/", "filter"), ("s", app.sort.name()), ("Space", pause), ("f", "field"), ("w", "save")];
    if app.allows_write {
        keys.extend([("p", "publish"), ("d", "remove")]);
    }
    keys.push(("q", "quit"));
    for (key, text) in keys {
        pen.put(key, theme.key()).put(" ", theme.plain()).put(text, theme.faint()).put("  ", theme.plain());
    }
    None
}

/// A line that is typed; returns the column of the cursor.
fn put_line(line: &LineEdit, columns: usize, pen: &mut Pen<'_>, style: Style) -> u16 {
    let (text, cursor) = line.view(columns);
    let x = pen.x().saturating_add(cursor as u16);
    pen.put_within(&text, columns, style);
    x
}

/// A box in the middle of the screen; returns its inside.
fn draw_box(title: &str, width: u16, height: u16, theme: Theme, area: Rect, buffer: &mut Buffer) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    let outer = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    for y in outer.top()..outer.bottom() {
        for x in outer.left()..outer.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.reset();
            }
        }
    }
    let inside = usize::from(width.saturating_sub(2));
    let border = theme.folder();
    buffer.set_string(outer.x, outer.y, format!("┌{}┐", "─".repeat(inside)), border);
    for y in outer.top() + 1..outer.bottom().saturating_sub(1) {
        buffer.set_string(outer.x, y, "│", border);
        buffer.set_string(outer.right() - 1, y, "│", border);
    }
    buffer.set_string(outer.x, outer.bottom() - 1, format!("└{}┘", "─".repeat(inside)), border);
    let mut pen = Pen::new(buffer, outer, 0);
    pen.to(outer.x + 2).put_within(&format!(" {title} "), inside.saturating_sub(2), theme.strong());
    Rect { x: outer.x + 2, y: outer.y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) }
}

pub(super) fn draw_help(app: &App, top: usize, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut keys = KEYS.to_vec();
    if matches!(app.source, Source::Recording(_)) {
        // There Space plays, and nothing can be written.
        keys.retain(|(key, text)| !matches!(*key, "Space" | "p" | "d" | "D") && !text.starts_with("Write,"));
        keys.splice(0..0, RECORDING_KEYS.iter().copied());
    }
    keys.extend_from_slice(MARKS);
    let height = (keys.len() as u16).saturating_add(2);
    let inside = draw_box("Keys (↑ ↓ scroll, any other key closes)", 78, height, theme, area, buffer);
    let top = top.min(keys.len().saturating_sub(usize::from(inside.height)));
    for (line, (key, text)) in keys.iter().skip(top).take(usize::from(inside.height)).enumerate() {
        let mut pen = Pen::new(buffer, inside, line as u16);
        if key.is_empty() {
            pen.put(text, theme.strong());
        } else {
            pen.put("  ", theme.plain()).put_within(key, 15, theme.key());
            pen.to(inside.x + 18).put(text, theme.plain());
        }
    }
}

/// Returns where the cursor is.
pub(super) fn draw_form(form: &PublishForm, theme: Theme, area: Rect, buffer: &mut Buffer) -> Position {
    let inside = draw_box("Publish", 76, 9, theme, area, buffer);
    let mut cursor = Position { x: inside.x, y: inside.y };
    let qos = form.qos.number().to_string();
    let retain = if form.retain { "yes" } else { "no" };
    let fields = [
        ("Topic", Some(&form.topic), ""),
        ("Payload", Some(&form.payload), ""),
        ("QoS", None, qos.as_str()),
        ("Retain", None, retain),
    ];
    for (number, (label, line, text)) in fields.into_iter().enumerate() {
        let is_edited = form.field == number;
        let mut pen = Pen::new(buffer, inside, number as u16);
        pen.put(label, if is_edited { theme.key() } else { theme.faint() }).to(inside.x + 9);
        let x = match line {
            Some(line) => put_line(line, pen.left(), &mut pen, theme.plain()),
            None => {
                let x = pen.x();
                pen.put(text, theme.plain());
                x
            }
        };
        if is_edited {
            cursor = Position { x, y: inside.y + number as u16 };
        }
    }
    if let Some(fault) = &form.fault {
        Pen::new(buffer, inside, 5).put(&escape(fault), theme.bad());
    }
    Pen::new(buffer, inside, 6).put("Enter publishes  Tab: next field  Space: other QoS, retain  Esc", theme.faint());
    cursor
}

pub(super) fn draw_removal(question: &str, topics: &[String], theme: Theme, area: Rect, buffer: &mut Buffer) {
    const MOST: usize = 8;
    let shown = topics.len().min(MOST);
    let inside = draw_box("Remove", 76, shown as u16 + 7, theme, area, buffer);
    Pen::new(buffer, inside, 0).put(&escape(question), theme.bad());
    for (line, topic) in topics.iter().take(shown).enumerate() {
        Pen::new(buffer, inside, line as u16 + 2).put("  ", theme.plain()).put(&escape(topic), theme.plain());
    }
    let more = topics.len() - shown;
    if more > 0 {
        let text = format!("  … and {} more", grouped(more as u64));
        Pen::new(buffer, inside, shown as u16 + 2).put(&text, theme.faint());
    }
    let keys = "y removes them from the broker, any other key does not";
    Pen::new(buffer, inside, shown as u16 + 4).put(keys, theme.key());
}
