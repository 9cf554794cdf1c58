//! What is typed, read by its own thread.

use std::io;
use std::thread;

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, read};
use tokio::sync::mpsc::{Receiver, channel};

use super::keys::{Input, Key};

/// Keys that may wait. A thread that cannot put one down waits, and so does the terminal.
const MOST_WAITING: usize = 256;

/// The keys from now on; the channel ends with the terminal.
///
/// # Errors
/// No thread can be started.
pub(super) fn inputs() -> io::Result<Receiver<Input>> {
    let (sender, receiver) = channel(MOST_WAITING);
    // It is left behind at the end: nothing can wake it but a key.
    thread::Builder::new().name("keys".into()).spawn(move || {
        while let Ok(event) = read() {
            if let Some(input) = input_of(event)
                && sender.blocking_send(input).is_err()
            {
                break;
            }
        }
    })?;
    Ok(receiver)
}

fn input_of(event: Event) -> Option<Input> {
    match event {
        Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press | KeyEventKind::Repeat, .. }) => {
            key_of(code, modifiers).map(Input::Key)
        }
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::Resize(..) => Some(Input::Resized),
        _ => None,
    }
}

fn key_of(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    Some(match code {
        KeyCode::Char(character) if modifiers.contains(KeyModifiers::CONTROL) => {
            Key::Control(character.to_ascii_lowercase())
        }
        KeyCode::Char(_) if modifiers.intersects(KeyModifiers::ALT | KeyModifiers::META) => return None,
        KeyCode::Char(character) => Key::Char(character),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        _ => return None,
    })
}
