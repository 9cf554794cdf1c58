//! The screen, drawn from the state of the explorer: no terminal, no clock.

mod detail;
mod dialog;
mod header;
mod system;
mod text;
mod theme;
mod tree;

#[cfg(test)]
mod tests;

pub(super) use theme::Theme;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::app::{App, Mode};

/// From this width on the detail stands beside the tree.
const WIDE: u16 = 120;
/// Below this there is no room for anything.
const LEAST: (u16, u16) = (30, 8);

/// Where the parts of the screen are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Areas {
    header: Rect,
    tree: Rect,
    detail: Rect,
    footer: Rect,
}

impl Areas {
    fn of(area: Rect) -> Self {
        let header = Rect { height: 2, ..area };
        let footer = Rect { y: area.bottom() - 1, height: 1, ..area };
        let middle = Rect { y: area.y + 2, height: area.height - 3, ..area };
        if area.width >= WIDE {
            let width = area.width * 11 / 20;
            let tree = Rect { width, ..middle };
            let detail = Rect { x: middle.x + width, width: middle.width - width, ..middle };
            return Self { header, tree, detail, footer };
        }
        let height = middle.height - (middle.height * 2 / 5);
        let tree = Rect { height, ..middle };
        let detail = Rect { y: middle.y + height, height: middle.height - height, ..middle };
        Self { header, tree, detail, footer }
    }
}

/// Draws everything, and returns where the cursor is, if it is to be seen.
pub(super) fn draw(app: &mut App, theme: Theme, buffer: &mut Buffer) -> Option<Position> {
    let area = *buffer.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        text::Pen::new(buffer, area, 0).put("the window is too small", theme.plain());
        return None;
    }
    let areas = Areas::of(area);
    // Its first line names the columns.
    app.prepare(usize::from(areas.tree.height - 1));
    header::draw(app, theme, areas.header, buffer);
    tree::draw(app, theme, areas.tree, buffer);
    detail::draw(app, theme, areas.detail, buffer);
    let cursor = dialog::draw_footer(app, theme, areas.footer, buffer);
    match &app.mode {
        Mode::Help(top) => {
            dialog::draw_help(app, *top, theme, area, buffer);
            None
        }
        Mode::Publish(form) => Some(dialog::draw_form(form, theme, area, buffer)),
        Mode::Remove(question, topics) => {
            dialog::draw_removal(question, topics, theme, area, buffer);
            None
        }
        Mode::Tree | Mode::Filter(_) | Mode::Save(_) => cursor,
    }
}
