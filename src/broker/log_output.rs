//! Where log lines go (`log_dest`): streams, a file, topics; with the time in front.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local};

use super::configuration::{LogConfiguration, LogDestination};
use super::log_entry::Entry;
use super::log_rules::Tone;
use crate::terminal::{Colors, Paint};

const BUFFER: usize = 64 * 1024;

/// Publishes a line under `$SYS/broker/log/`: the rest of the topic, and the line.
pub(super) type TopicPublisher = Box<dyn Fn(&'static str, String) + Send + Sync>;

/// What can still be done about an output once its thread has it.
#[derive(Clone, Default)]
pub(super) struct LogHandles {
    /// Set to have the file opened again, for who has moved it away.
    reopen: Arc<AtomicBool>,
    /// Publishes lines once the broker runs.
    publisher: Arc<OnceLock<TopicPublisher>>,
}

impl LogHandles {
    /// Opens the log file again with the next line.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    /// Publishes lines from now on, where the configuration asks for it.
    pub(super) fn set_publisher(&self, publisher: TopicPublisher) {
        let _ = self.publisher.set(publisher);
    }
}

/// All destinations of one log.
pub(super) struct LogOutput {
    sinks: Vec<Sink>,
    stamp: Stamp,
    handles: LogHandles,
}

enum Sink {
    Stream { stream: BufWriter<Box<dyn Write + Send>>, colors: Colors },
    File { path: PathBuf, file: Option<BufWriter<File>> },
    Topic,
}

/// The time in front of a line.
enum Stamp {
    None,
    /// Seconds since 1970.
    Seconds,
    /// A format of strftime.
    Format(String),
}

impl LogOutput {
    /// One stream, with seconds in front.
    #[cfg(test)]
    pub(super) fn to(stream: Box<dyn Write + Send>) -> Self {
        let stream = BufWriter::with_capacity(BUFFER, stream);
        let sinks = vec![Sink::Stream { stream, colors: Colors::OFF }];
        Self { sinks, stamp: Stamp::Seconds, handles: LogHandles::default() }
    }

    /// The destinations that a configuration names.
    ///
    /// # Errors
    /// The log file cannot be opened; its path comes with the system's error.
    pub(super) fn new(configuration: &LogConfiguration, handles: LogHandles) -> Result<Self, (PathBuf, io::Error)> {
        let stderr = [LogDestination::Stderr];
        let destinations =
            if configuration.destinations.is_empty() { &stderr[..] } else { &configuration.destinations };
        let mut sinks = Vec::new();
        for destination in destinations {
            sinks.push(match destination {
                LogDestination::Stdout => stream(Box::new(io::stdout()), Colors::for_stdout()),
                LogDestination::Stderr => stream(Box::new(io::stderr()), Colors::for_stderr()),
                LogDestination::File(path) => {
                    let file = open(path).map_err(|error| (path.clone(), error))?;
                    Sink::File { path: path.clone(), file: Some(file) }
                }
                LogDestination::Topic => Sink::Topic,
                LogDestination::None => continue,
            });
        }
        let stamp = match (&configuration.timestamp_format, configuration.timestamp) {
            (_, false) => Stamp::None,
            (None, true) => Stamp::Seconds,
            (Some(format), true) => Stamp::Format(format.clone()),
        };
        Ok(Self { sinks, stamp, handles })
    }

    /// Writes a line. What cannot be written is gone: a log that fails must not stop a broker.
    pub(super) fn write(&mut self, entry: &Entry) {
        let stamp = self.stamp.text(entry.time);
        let reopen = self.handles.reopen.swap(false, Ordering::AcqRel);
        for sink in &mut self.sinks {
            match sink {
                Sink::Stream { stream, colors } => {
                    let _ = match paint(entry.tone).filter(|_| colors.is_on()) {
                        Some(paint) => writeln!(stream, "{stamp}{}", colors.paint(paint, &entry.text.to_string())),
                        None => writeln!(stream, "{stamp}{}", entry.text),
                    };
                }
                Sink::File { path, file } => {
                    if reopen || file.is_none() {
                        *file = open(path).ok();
                    }
                    if let Some(file) = file {
                        let _ = writeln!(file, "{stamp}{}", entry.text);
                    }
                }
                Sink::Topic => {
                    if let (Some(publish), Some(topic)) = (self.handles.publisher.get(), entry.kind.topic()) {
                        publish(topic, format!("{stamp}{}", entry.text));
                    }
                }
            }
        }
    }

    /// Hands everything to the system.
    pub(super) fn flush(&mut self) {
        for sink in &mut self.sinks {
            let _ = match sink {
                Sink::Stream { stream, .. } => stream.flush(),
                Sink::File { file: Some(file), .. } => file.flush(),
                Sink::File { file: None, .. } | Sink::Topic => Ok(()),
            };
        }
    }
}

fn stream(stream: Box<dyn Write + Send>, colors: Colors) -> Sink {
    Sink::Stream { stream: BufWriter::with_capacity(BUFFER, stream), colors }
}

fn open(path: &Path) -> io::Result<BufWriter<File>> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    // Topics and client ids are private.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(BufWriter::with_capacity(BUFFER, options.open(path)?))
}

/// On a terminal the direction of a packet has a color.
const fn paint(tone: Tone) -> Option<Paint> {
    match tone {
        Tone::Plain => None,
        Tone::Received => Some(Paint::Good),
        Tone::Sent => Some(Paint::Sent),
        Tone::Problem => Some(Paint::Warning),
    }
}

impl Stamp {
    fn text(&self, time: SystemTime) -> String {
        let mut text = String::new();
        // Writing to a String does not fail, and the format was checked when it was read.
        let _ = match self {
            Self::None => Ok(()),
            Self::Seconds => {
                let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                write!(text, "{seconds}: ")
            }
            Self::Format(format) => write!(text, "{}: ", DateTime::<Local>::from(time).format(format)),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::log_entry::Text;
    use super::super::log_rules::LineKind;
    use super::*;
    use crate::broker::configuration::Configuration;

    fn entry(text: &str) -> Entry {
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Entry { time, kind: LineKind::Notice, tone: Tone::Plain, text: Text::Line(text.to_owned()) }
    }

    #[test]
    fn a_file_is_appended_to_and_opened_again_when_it_was_moved() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("broker.log"), folder.path().join("broker.log.1"));
        std::fs::write(&path, "old\n").unwrap();
        let text = format!("log_dest file {}\nlog_timestamp_format %Y-%m\n", path.display());
        let configuration = Configuration::parse(&text).unwrap().log;
        let handles = LogHandles::default();
        let mut output = LogOutput::new(&configuration, handles.clone()).unwrap();
        output.write(&entry("one"));
        output.flush();
        std::fs::rename(&path, &moved).unwrap();
        output.write(&entry("two"));
        handles.reopen();
        output.write(&entry("three"));
        output.flush();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "old\n2023-11: one\n2023-11: two\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2023-11: three\n");
    }

    #[test]
    fn on_a_terminal_received_and_sent_packets_have_different_colors() {
        let text = Arc::new(std::sync::Mutex::new(Vec::new()));
        struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sinks = vec![stream(Box::new(Shared(Arc::clone(&text))), Colors::ON)];
        let mut output = LogOutput { sinks, stamp: Stamp::None, handles: LogHandles::default() };
        for tone in [Tone::Plain, Tone::Received, Tone::Sent, Tone::Problem] {
            // The text has no say in it: a topic may hold anything.
            output.write(&Entry { tone, ..entry("Received ") });
        }
        output.flush();
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        let expected =
            ["Received ", "\x1b[32mReceived \x1b[0m", "\x1b[36mReceived \x1b[0m", "\x1b[33mReceived \x1b[0m"];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn lines_are_published_once_the_broker_runs_but_never_packets() {
        let configuration = Configuration::parse("log_dest topic\nlog_timestamp false\n").unwrap().log;
        let handles = LogHandles::default();
        let mut output = LogOutput::new(&configuration, handles.clone()).unwrap();
        output.write(&entry("too early"));
        let (sender, published) = std::sync::mpsc::channel();
        handles.set_publisher(Box::new(move |topic, line| drop(sender.send((topic, line)))));
        output.write(&entry("one"));
        output.write(&Entry { kind: LineKind::Debug, ..entry("packet") });
        assert_eq!(published.try_iter().collect::<Vec<_>>(), [("N", "one".to_owned())]);
    }
}
