//! The tree: a line per level, with its last value, marks and figures.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{Pen, age, count, rate};
use super::theme::Theme;
use crate::explore::app::{App, Source};
use crate::explore::model::Micros;
use crate::explore::rows::{Row, Sort};
use crate::explore::value::one_line;
use crate::terminal::escape;
use crate::terminal::number::counted;

/// A change is highlighted for this long.
const HIGHLIGHT: Micros = 800_000;
/// Columns of mark and QoS, count, rate and age, with a blank before each.
const FIGURES: usize = 4 + 10 + 8 + 6;

/// Where the columns begin.
struct Columns {
    name: usize,
    value: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        let rest = width.saturating_sub(FIGURES + 1);
        let name = (rest * 9 / 20).max(12).min(rest);
        Self { name, value: rest - name }
    }
}

pub(super) fn draw(app: &App, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let columns = Columns::of(usize::from(area.width));
    let head = |sort: Sort, text: &str| {
        if app.sort == sort {
            format!("{text}{}", if sort == Sort::Name { "↑" } else { "↓" })
        } else {
            text.to_owned()
        }
    };
    let mut pen = Pen::new(buffer, area, 0);
    let (x, faint) = (area.x, theme.faint());
    pen.put(" ", faint).put_within(&head(Sort::Name, "Topic"), columns.name, faint);
    pen.to(x + columns.name as u16).put_within(" Last value", columns.value, faint);
    pen.to(x + (columns.name + columns.value) as u16).put_right("R Q", 4, faint);
    pen.put_right("Count", 10, faint).put_right(&head(Sort::Rate, "Rate/s"), 8, faint);
    pen.put_right(&head(Sort::Age, "Age"), 6, faint);
    if app.rows.is_empty() {
        let text = match &app.source {
            _ if !app.filter_text.is_empty() => "no topic matches the filter",
            Source::Recording(view) if view.messages == Some(0) => "no messages in this file",
            _ => "no messages yet",
        };
        Pen::new(buffer, area, 1).put(" ", faint).put(text, faint);
        return;
    }
    for (line, row) in app.rows.iter().skip(app.top).take(usize::from(area.height - 1)).enumerate() {
        draw_row(app, row, &columns, theme, area, line as u16 + 1, buffer);
    }
}

fn draw_row(app: &App, row: &Row, columns: &Columns, theme: Theme, area: Rect, line: u16, buffer: &mut Buffer) {
    let view = app.model.view(row.id);
    let now = app.model.shown_now();
    let is_selected = app.selected == Some(row.id);
    let is_new = view.figures.age(now).is_some_and(|age| age < HIGHLIGHT);
    let value_style = if is_new { theme.changed() } else { theme.plain() };
    let x = area.x;
    let mut pen = Pen::new(buffer, area, line);
    let indent = usize::from(row.depth) * 2;
    // A deep level keeps some columns for its name.
    let indent = indent.min(columns.name.saturating_sub(12));
    let mark = match row.unfolded {
        Some(true) => "▾ ",
        Some(false) => "▸ ",
        None => "  ",
    };
    let name = escape(app.model.name(row.id));
    let name = if name.is_empty() { "(empty)".into() } else { name };
    let name_style = if row.unfolded.is_some() { theme.folder() } else { theme.plain() };
    let room = columns.name.saturating_sub(indent + 3);
    pen.to(x + 1 + indent as u16).put(mark, theme.faint()).put_within(&name, room, name_style);
    pen.to(x + columns.name as u16).put(" ", theme.plain());
    let width = columns.value.saturating_sub(1);
    match view.topic {
        Some(topic) if topic.last.size == 0 => pen.put_within("(empty)", width, theme.faint()),
        Some(topic) => pen.put_within(&one_line(&topic.last.payload, width), width, value_style),
        None => pen.put_within(&counted(u64::from(view.topics), "topic", "topics"), width, theme.faint()),
    };
    pen.to(x + (columns.name + columns.value) as u16);
    let (retained, qos) = match view.topic {
        Some(topic) => (if topic.retained { "R" } else { "·" }, topic.last.qos.number().to_string()),
        None => ("", String::new()),
    };
    pen.put_right(retained, 2, theme.warning()).put_right(&qos, 2, theme.plain());
    let per_second = rate(view.figures.rate(now));
    pen.put_right(&count(view.figures.messages), 10, value_style).put_right(&per_second, 8, theme.plain());
    pen.put_right(&view.figures.age(now).map(age).unwrap_or_default(), 6, theme.faint());
    if is_selected {
        buffer.set_style(Rect { y: area.y + line, height: 1, ..area }, theme.selected());
    }
}
