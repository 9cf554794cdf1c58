//! The two lines at the top: where the messages come from, how many, and what the broker reports.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::system::figures;
use super::text::{Pen, age, fitted, rate, size};
use super::theme::Theme;
use crate::explore::app::{App, Link, Source};
use crate::explore::recording_view::RecordingView;
use crate::terminal::escape;
use crate::terminal::number::{byte_rate, counted, grouped};

/// The name of a broker keeps this many columns.
const LEAST_NAME: usize = 16;

pub(super) fn draw(app: &App, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let first = Rect { height: 1, ..area };
    buffer.set_style(first, theme.bar());
    let bar = theme.bar();
    let width = usize::from(area.width);
    let (name, state, version) = match &app.source {
        Source::Broker { name, version, link, losses } => (name, Some(state(app, link, *losses, theme)), *version),
        Source::Recording(view) => (&view.file, None, ""),
    };
    let name = escape(name);
    let of_state = state.as_ref().map_or(0, |(text, _)| text.chars().count() + 2);
    // The longest figures that leave room for the rest.
    let left = |figures: &str| width.saturating_sub(figures.chars().count() + of_state + 4);
    let all = totals(app);
    let wanted = name.chars().count().min(LEAST_NAME);
    let figures = all.iter().find(|figures| left(figures) >= wanted).map_or("", String::as_str);
    let room = left(figures).max(LEAST_NAME);
    let mut pen = Pen::new(buffer, first, 0);
    pen.put(" ", bar).put_within(&name, room, bar.patch(theme.strong()));
    if let Some((text, style)) = state {
        pen.put("  ", bar).put(&text, bar.patch(style));
    }
    if pen.left() > figures.chars().count() + version.len() + 4 {
        pen.put("  ", bar).put(version, bar);
    }
    let x = area.right().saturating_sub(figures.chars().count() as u16 + 1);
    if pen.x() < x {
        pen.to(x).put(figures, bar.patch(theme.strong()));
    }
    draw_second(app, theme, area, buffer);
}

/// Topics, messages and rates, in full and ever shorter.
fn totals(app: &App) -> [String; 3] {
    let (total, now) = (app.model.total(), app.model.now());
    let topics = counted(u64::from(app.model.view(0).topics), "topic", "topics");
    let messages = counted(total.messages, "message", "messages");
    let rate = rate(total.rate(now));
    let rate = if rate.is_empty() { "0" } else { &rate };
    let bytes = byte_rate(total.byte_rate(now).round());
    [
        format!("{topics}  {messages}  {rate}/s  {bytes}"),
        format!("{topics}  {messages}  {rate}/s"),
        format!("{messages}  {rate}/s"),
    ]
}

fn state(app: &App, link: &Link, losses: u64, theme: Theme) -> (String, ratatui::style::Style) {
    let reconnects = match losses {
        0 => String::new(),
        losses => format!(" ({})", counted(losses, "reconnect", "reconnects")),
    };
    match link {
        Link::Connecting => ("connecting".to_owned(), theme.warning()),
        Link::Connected => (format!("connected{reconnects}"), theme.good()),
        Link::Reconnecting(since) => {
            let since = age((app.wall - since).max(0));
            (format!("reconnecting for {since}{reconnects}"), theme.bad())
        }
    }
}

fn draw_second(app: &App, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut pen = Pen::new(buffer, area, 1);
    pen.put(" ", theme.plain());
    if app.model.is_paused() {
        let since = counted(app.model.messages_in_pause(), "message", "messages");
        pen.put(&format!("PAUSED, {since} since"), theme.changed()).put("  ", theme.plain());
    }
    if let Some(notice) = memory_notice(app) {
        pen.put(&notice, theme.warning()).put("  ", theme.plain());
    }
    match &app.source {
        Source::Recording(view) => draw_place(app, view, theme, &mut pen),
        Source::Broker { .. } => {
            let figures = figures(&app.model);
            for figure in &figures {
                if pen.left() < figure.chars().count() {
                    break;
                }
                pen.put(figure, theme.faint()).put("  ", theme.plain());
            }
            if figures.is_empty() && memory_notice(app).is_none() {
                let (used, limit) = app.model.memory();
                let memory = format!("memory {} of {}", size(used as u64), size(limit as u64));
                pen.put(&memory, theme.faint());
            }
        }
    }
}

/// What is missing for lack of memory.
fn memory_notice(app: &App) -> Option<String> {
    let notice = app.model.memory_notice();
    let limit = size(app.model.memory().1 as u64);
    if notice.messages_left_out > 0 {
        let more = if notice.more_topics { "more than " } else { "" };
        let topics = counted(notice.topics_left_out as u64, "topic", "topics");
        return Some(format!(
            "memory is full ({limit}): {more}{topics} not shown, {} counted only",
            counted(notice.messages_left_out, "message", "messages")
        ));
    }
    if notice.shortened > 0 {
        return Some(format!("memory is full ({limit}): no histories, long payloads are shortened"));
    }
    (notice.forgotten > 0).then(|| format!("memory is full ({limit}): the oldest histories were dropped"))
}

/// Where in a recording, and its time.
fn draw_place(app: &App, view: &RecordingView, theme: Theme, pen: &mut Pen<'_>) {
    let state = match (view.reading, view.is_playing) {
        (Some(read), _) => format!("reading {:.0} %", read * 100.0),
        (None, true) => format!("playing ×{}", view.speed),
        (None, false) => "stopped".to_owned(),
    };
    let time = view.begin.map(|_| app.clock(view.at).format("  %Y-%m-%d %H:%M:%S%.3f").to_string()).unwrap_or_default();
    let of = view.messages.map(|messages| format!(" of {}", grouped(messages))).unwrap_or_default();
    let text = format!("{time}  message {}{of}  {state}", grouped(view.position));
    let columns = pen.left().saturating_sub(text.chars().count() + 1).min(60);
    if columns >= 8 {
        let filled = (view.part() * columns as f64).round() as usize;
        pen.put(&"━".repeat(filled), theme.graph()).put(&"─".repeat(columns - filled), theme.faint());
    }
    pen.put(&fitted(&text, pen.left()), theme.plain());
}
