//! `mqsub --tree` on a terminal: tmux is the terminal, and reports what is on it.

#![cfg(all(unix, feature = "explorer"))]

use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::mosquitto::Mosquitto;
use crate::support::mqbroker::Mqbroker;
use crate::support::process::{PATIENCE, run, signal, text};
use crate::support::tool::{self, command};
use crate::support::whole::assert_whole;

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");

const BROKER: &str = "listener 0 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n";

/// A terminal with a shell in it.
struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// Starts `mqsub --tree`; none, with a word on stderr, where tmux is not installed.
    fn start(size: (u32, u32), arguments: &[&str]) -> Option<Self> {
        let words: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
        let mqsub = format!("sh -c 'echo $$ >pid; exec \"$@\"' sh {MQSUB} --tree {}", words.join(" "));
        Self::open(size, &format!("{mqsub}; echo \"status $?\"; stty -a; exec cat"))
    }

    fn open((width, height): (u32, u32), script: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "tmux is not installed");
            eprintln!("skipped: tmux is not installed");
            return None;
        }
        let terminal = Self { folder: tempfile::tempdir().unwrap() };
        let (width, height) = (width.to_string(), height.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &width, "-y", &height, script]);
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let folder = self.folder.path();
        let socket = folder.join("tmux");
        let mut command = command("tmux", &["-f", "/dev/null", "-S", socket.to_str().unwrap()]);
        command.args(arguments).current_dir(folder).env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
        text(&run(&mut command).stdout)
    }

    /// What is on it.
    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until all these texts are on it.
    fn wait_for(&self, texts: &[&str]) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            // A text may go on in the next line.
            let joined = self.tmux(&["capture-pane", "-p", "-J"]);
            if texts.iter().all(|text| screen.contains(text) || joined.contains(text)) {
                return screen;
            }
            assert!(Instant::now() < end, "{texts:?} do not come: {screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Whether a program has the other screen, and whether the cursor is seen.
    fn state(&self) -> String {
        self.tmux(&["display", "-p", "#{alternate_on} #{cursor_flag}"]).trim().to_owned()
    }

    fn wait_for_state(&self, state: &str) {
        let end = Instant::now() + PATIENCE;
        while self.state() != state {
            assert!(Instant::now() < end, "{} is not {state}: {}", self.state(), self.screen());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process of mqsub.
    fn id(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("pid")).unwrap().trim().to_owned()
    }

    /// It has ended with this status, and the terminal is as it was.
    fn has_ended(&self, status: &str) {
        let screen = self.wait_for(&[&format!("status {status}"), "icanon"]);
        assert!(!screen.contains("-icanon") && !screen.contains("-echo ") && !screen.contains("-isig"), "{screen}");
        assert_eq!(self.state(), "0 1", "{screen}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn publish(port: &str, arguments: &[&str], lines: &str) {
    let ended = tool::run(MQPUB, &[&["-h", "127.0.0.1", "-p", port], arguments].concat(), lines.as_bytes());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn counts_are_exact_and_the_last_messages_are_saved() {
    let broker = Mqbroker::start(BROKER);
    let port = broker.port();
    let Some(terminal) = Terminal::start((160, 50), &["-h", "127.0.0.1", "-p", &port, "-q", "1"]) else { return };
    terminal.wait_for(&["connected", "0 messages"]);
    let line = |number: usize| format!("t/{}\t{number}\n", number % 40);
    let lines: String = (0..20_000).map(line).collect();
    publish(&port, &["-q", "1", "--topic-sep", "TAB"], &lines);
    let screen = terminal.wait_for(&["40 topics  20,000 messages"]);
    // Every one of the forty has its five hundred.
    terminal.keys(&["End"]);
    let rows = terminal.wait_for(&["19999"]);
    let counted = rows.lines().filter(|line| line.split_whitespace().any(|word| word == "500")).count();
    assert!(counted >= 40, "{counted}: {screen}\n{rows}");
    terminal.keys(&["w", "C-u"]);
    terminal.type_text("saved.ndjson");
    terminal.keys(&["Enter"]);
    terminal.wait_for(&["saved 40 messages to saved.ndjson"]);
    let saved = std::fs::read_to_string(terminal.folder.path().join("saved.ndjson")).unwrap();
    for (number, line) in saved.lines().enumerate() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        let topic = message["topic"].as_str().unwrap().strip_prefix("t/").unwrap().to_owned();
        assert_eq!(message["payload"], (19_960 + topic.parse::<usize>().unwrap()).to_string(), "{number}: {line}");
    }
    assert_eq!(saved.lines().count(), 40);
    terminal.keys(&["q"]);
    terminal.has_ended("0");
}

#[test]
fn every_signal_restores_the_terminal() {
    let broker = Mqbroker::start(BROKER);
    let port = broker.port();
    for (name, status) in [("TERM", "143"), ("HUP", "129"), ("INT", "130")] {
        let Some(terminal) = Terminal::start((80, 24), &["-h", "127.0.0.1", "-p", &port]) else { return };
        terminal.wait_for(&["connected"]);
        assert_eq!(terminal.state(), "1 0");
        signal(terminal.id(), name);
        terminal.has_ended(status);
    }
    let Some(terminal) = Terminal::start((80, 24), &["-h", "127.0.0.1", "-p", &port, "-W", "0.5"]) else { return };
    terminal.has_ended("27");
    assert!(terminal.screen().contains("timed out after 0.5 s"));
}

#[test]
fn a_shell_gets_its_terminal_back_while_the_explorer_is_stopped() {
    let broker = Mqbroker::start(BROKER);
    let port = broker.port();
    let Some(terminal) = Terminal::open((80, 24), "exec bash --norc --noprofile -i") else { return };
    terminal.type_text(&format!("sh -c 'echo $$ >pid; exec {MQSUB} --tree -h 127.0.0.1 -p {port}'"));
    terminal.keys(&["Enter"]);
    terminal.wait_for(&["connected", "0 messages"]);
    for by_key in [true, false] {
        terminal.wait_for_state("1 0");
        if by_key {
            terminal.keys(&["C-z"]);
        } else {
            signal(terminal.id(), "TSTP");
        }
        terminal.wait_for_state("0 1");
        terminal.wait_for(&["Stopped"]);
        terminal.keys(&["f", "g", "Enter"]);
        terminal.wait_for_state("1 0");
        terminal.wait_for(&["connected", "0 messages"]);
    }
    publish(&port, &["-t", "after", "-m", "it goes on"], "");
    terminal.wait_for(&["it goes on"]);
    terminal.keys(&["q"]);
    terminal.wait_for_state("0 1");
}

#[test]
fn a_lost_connection_is_seen_and_made_again() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let port = broker.port();
    let Some(terminal) = Terminal::start((120, 30), &["-h", "127.0.0.1", "-p", &port]) else { return };
    terminal.wait_for(&["connected"]);
    broker.stop();
    terminal.wait_for(&["reconnecting"]);
    broker.start_again();
    terminal.wait_for(&["connected (1 reconnect)"]);
    publish(&port, &["-t", "again", "-m", "here"], "");
    terminal.wait_for(&["again", "here"]);
    terminal.keys(&["C-c"]);
    terminal.has_ended("130");
}

#[test]
fn nothing_is_written_unless_that_is_allowed() {
    let broker = Mqbroker::start(BROKER);
    let port = broker.port();
    publish(&port, &["-t", "a/b", "-m", "1", "-r", "-q", "1"], "");
    publish(&port, &["-t", "a/c", "-m", "2", "-r", "-q", "1"], "");
    let at = ["-h", "127.0.0.1", "-p", port.as_str()];
    let Some(terminal) = Terminal::start((80, 24), &at) else { return };
    terminal.wait_for(&["2 topics"]);
    for key in ["p", "d", "D"] {
        terminal.keys(&[key]);
        terminal.wait_for(&["read-only: start with --allow-write"]);
    }
    drop(terminal);
    let Some(terminal) = Terminal::start((80, 24), &[&at[..], &["--allow-write", "-V", "5"]].concat()) else { return };
    terminal.wait_for(&["2 topics", "▾ a "]);
    terminal.keys(&["j", "p", "C-u"]);
    terminal.type_text("changed");
    // Past the QoS to the retain flag.
    terminal.keys(&["Tab", "Tab", "Space", "Enter"]);
    terminal.wait_for(&["published 1 message", "changed"]);
    let retained = || {
        let more = ["-t", "#", "--retained", "--once", "-v"];
        let mut lines = tool::run(MQSUB, &[&at[..], &more].concat(), b"").lines();
        lines.sort();
        lines
    };
    assert_eq!(retained(), ["a/b changed", "a/c 2"]);
    terminal.keys(&["g", "D"]);
    terminal.wait_for(&["Remove 2 retained messages at and below a?"]);
    terminal.keys(&["n"]);
    terminal.wait_for(&["nothing was removed"]);
    terminal.keys(&["D"]);
    terminal.wait_for(&["Remove 2 retained messages at and below a?"]);
    terminal.keys(&["y"]);
    terminal.wait_for(&["removed 2 retained messages"]);
    assert_eq!(retained(), [""; 0]);
    terminal.keys(&["q"]);
    terminal.has_ended("0");
}

#[test]
fn a_recording_is_gone_through() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("day.ndjson");
    let line = |number: u32| {
        format!("{{\"ts\":{}.5,\"topic\":\"t/{}\",\"payload\":\"value-{number}\"}}\n", 1_000 + number, number % 3)
    };
    let lines: String = (0..300).map(line).collect();
    std::fs::write(&file, format!("{lines}no message\n{}", &line(300)[..20])).unwrap();
    let Some(terminal) = Terminal::start((120, 30), &["--from", file.to_str().unwrap()]) else { return };
    terminal.wait_for(&["message 300 of 300", "value-299", "value-298", "value-297", "1970-01-01 00:21:39.500"]);
    terminal.keys(&[","]);
    terminal.wait_for(&["message 299 of 300", "value-296", "value-298"]);
    terminal.keys(&["."]);
    terminal.wait_for(&["message 300 of 300", "value-299"]);
    terminal.keys(&["5"]);
    terminal.wait_for(&["message 150 of 300", "value-149", "value-148", "value-147"]);
    terminal.keys(&["]"]);
    terminal.wait_for(&["message 153 of 300", "value-152"]);
    terminal.keys(&["0"]);
    terminal.wait_for(&["message 1 of 300", "value-0", "1 topic"]);
    // A thousand times as fast, to the end.
    terminal.keys(&["+", "+", "+", "Space"]);
    terminal.wait_for(&["message 300 of 300", "value-299", "stopped"]);
    terminal.keys(&["q"]);
    terminal.has_ended("0");
    // What is wrong with the file is still there when the screen is gone.
    terminal.wait_for(&[
        "Warning: ",
        "is cut off: it ends after 301 complete lines",
        "1 line is not a message",
        "line 301",
    ]);
}

#[test]
fn a_file_without_a_message_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.txt");
    std::fs::write(&file, "some\nlog\n").unwrap();
    let Some(terminal) = Terminal::start((100, 24), &["--from", file.to_str().unwrap()]) else { return };
    terminal.wait_for(&["no messages in this file", "2 lines are not messages; the first: line 1, column 1"]);
    terminal.keys(&["q"]);
    terminal.has_ended("1");
    terminal.wait_for(&["Error: no message could be read from", "2 lines are not messages"]);
}

#[test]
fn without_a_terminal_it_names_what_works_there() {
    let ended = tool::run(MQSUB, &["--tree", "-h", "127.0.0.1", "-p", "1"], b"");
    assert_eq!(ended.code, Some(2));
    let expected = "\
        Error: --tree needs a terminal, and stdout is not one that can move its cursor\n\
        Hint: use --json to print the messages instead, one JSON object per line\n";
    assert_whole(&ended.stderr, expected);
    assert!(ended.stdout.is_empty());
}

#[test]
fn a_broker_that_is_not_there_is_an_error_on_a_screen_that_was_never_touched() {
    let Some(terminal) = Terminal::start((100, 24), &["-h", "127.0.0.1", "-p", "1"]) else { return };
    terminal.has_ended("1");
    terminal.wait_for(&["Error: ", "127.0.0.1:1"]);
    let Some(terminal) = Terminal::start((100, 24), &["--from", "nowhere.ndjson"]) else { return };
    terminal.has_ended("1");
    terminal.wait_for(&["Error: ", "nowhere.ndjson"]);
}
