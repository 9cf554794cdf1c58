//! The terminal as the explorer needs it, and as it was: on every way out, a panic included.

use std::io::{self, Write as _, stdout};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};

/// The other screen, without a cursor, and pasted text marked as such.
pub(super) const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[2J";
/// The opposite, and no color.
pub(super) const LEAVE: &[u8] = b"\x1b[0m\x1b[?2004l\x1b[?25h\x1b[?1049l";

/// Whether the terminal is not as it was.
static IS_CHANGED: AtomicBool = AtomicBool::new(false);

/// Keys come one by one and without an echo from now on. A panic of any thread restores the terminal before it prints.
///
/// # Errors
/// There is no terminal to read keys from.
pub(super) fn change() -> io::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |cause| {
            if restore() {
                let mut out = stdout();
                let _ = out.write_all(LEAVE).and_then(|()| out.flush());
            }
            before(cause);
        }));
    });
    enable_raw_mode()?;
    IS_CHANGED.store(true, Ordering::SeqCst);
    Ok(())
}

/// The terminal takes lines again, with an echo. Whether it did not before.
pub(super) fn restore() -> bool {
    let was_changed = IS_CHANGED.swap(false, Ordering::SeqCst);
    if was_changed {
        let _ = disable_raw_mode();
    }
    was_changed
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    /// Not a test: what the test below runs on its own terminal.
    #[test]
    #[ignore = "run by a_panic_restores_the_terminal, on a terminal"]
    fn panics_on_a_terminal() {
        change().unwrap();
        stdout().write_all(ENTER).unwrap();
        stdout().flush().unwrap();
        panic!("on purpose");
    }

    #[test]
    fn a_panic_restores_the_terminal() {
        let folder = tempfile::tempdir().unwrap();
        let tmux = |arguments: &[&str]| {
            let mut command = Command::new("tmux");
            command.args(["-f", "/dev/null", "-S"]).arg(folder.path().join("tmux")).args(arguments);
            command.env("LC_ALL", "C.UTF-8").output()
        };
        let Ok(_) = tmux(&["-V"]) else {
            assert!(std::env::var_os("CI").is_none(), "tmux is not installed");
            return;
        };
        let program = std::env::current_exe().unwrap();
        let script = format!(
            "'{}' --ignored --exact --nocapture {}::panics_on_a_terminal; echo status $?; stty -a; exec cat",
            program.display(),
            module_path!().split_once("::").unwrap().1
        );
        tmux(&["new-session", "-d", "-x", "100", "-y", "50", &script]).unwrap();
        let screen = || String::from_utf8(tmux(&["capture-pane", "-p"]).unwrap().stdout).unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while !screen().contains("icanon") && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let shown = screen();
        let state = tmux(&["display", "-p", "#{alternate_on} #{cursor_flag}"]).unwrap().stdout;
        tmux(&["kill-server"]).unwrap();
        assert!(shown.contains("on purpose") && shown.contains("status 101"), "{shown}");
        assert!(!shown.contains("-icanon") && !shown.contains("-echo "), "{shown}");
        assert_eq!(String::from_utf8(state).unwrap().trim(), "0 1", "{shown}");
    }
}
