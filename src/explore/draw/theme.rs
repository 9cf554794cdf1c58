//! What things look like. Without color everything is distinguished by other means.

use ratatui::style::{Color, Modifier, Style};

use crate::explore::value::Piece;

/// The styles of the screen.
#[derive(Clone, Copy, Debug)]
pub(in crate::explore) struct Theme {
    colors: bool,
}

impl Theme {
    /// With or without color.
    pub(in crate::explore) const fn new(colors: bool) -> Self {
        Self { colors }
    }

    const fn colored(self, color: Color) -> Style {
        if self.colors { Style::new().fg(color) } else { Style::new() }
    }

    pub(super) const fn plain(self) -> Style {
        Style::new()
    }

    pub(super) const fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The first line of the screen, and the line between two parts.
    pub(super) const fn bar(self) -> Style {
        if self.colors {
            Style::new().fg(Color::White).bg(Color::Indexed(236))
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    pub(super) const fn selected(self) -> Style {
        if self.colors {
            Style::new().bg(Color::Indexed(24)).add_modifier(Modifier::BOLD)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// Something that has just changed.
    pub(super) const fn changed(self) -> Style {
        self.colored(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    pub(super) const fn good(self) -> Style {
        self.colored(Color::Green)
    }

    pub(super) const fn bad(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) const fn warning(self) -> Style {
        self.colored(Color::Yellow)
    }

    /// A level that has others below it.
    pub(super) const fn folder(self) -> Style {
        self.colored(Color::Cyan)
    }

    pub(super) const fn key(self) -> Style {
        self.colored(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) const fn graph(self) -> Style {
        self.colored(Color::Green)
    }

    pub(super) const fn piece(self, piece: Piece) -> Style {
        match piece {
            Piece::Plain => Style::new(),
            Piece::Key => self.colored(Color::Cyan),
            Piece::Text => self.colored(Color::Green),
            Piece::Number => self.colored(Color::Yellow),
            Piece::Word => self.colored(Color::Magenta),
            Piece::Faint => self.faint(),
        }
    }
}
