//! The recording group of mqsub: messages into a file.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::values::{duration, file_size};

/// Where messages are recorded.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Recording")]
pub struct RecordOptions {
    /// Record the messages to FILE, one JSON object per line, as --json prints them.
    ///
    /// A name that ends in .gz or .zst compresses. Nothing is printed unless -v, -F, --json, -w or --message-rate is
    /// given too. The file is complete at every moment: after the tool was killed at most the last second of QoS 0
    /// messages is missing from a compressed file, nothing from a plain one. A message is acknowledged after it was
    /// written. mqpub --replay sends a recording.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub record: Option<PathBuf>,

    /// Begin the next file after SIZE or TIME, as in 100M or 1h.
    ///
    /// FILE is a pattern then: day.ndjson.zst becomes day-0001.ndjson.zst, day-0002.ndjson.zst and so on. The numbers
    /// continue after those that exist; no file is overwritten. SIZE (k, M, G, Ki, Mi, Gi) is that of the file on disk,
    /// TIME has ms, s, m or h.
    #[arg(long, value_name = "SIZE|TIME", value_parser = rotation)]
    pub rotate: Option<Rotation>,

    /// Continue FILE if it exists.
    ///
    /// The file is read through first: what follows a damaged end could not be read back.
    #[arg(long)]
    pub append: bool,

    /// Replace FILE if it exists.
    #[arg(long)]
    pub force: bool,
}

/// When the next file of a recording begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// When the present one would have more bytes.
    Size(u64),
    /// When the present one is this old.
    Time(Duration),
}

fn rotation(text: &str) -> Result<Rotation, String> {
    const WRONG: &str = "must be a size as in 100M (k, M, G, Ki, Mi, Gi), or a time as in 1h (ms, s, m, h)";
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(WRONG.into());
    }
    match (file_size(text), duration(text)) {
        (Some(0), _) | (_, Ok(Duration::ZERO)) => Err("must be above zero".into()),
        (Some(size), _) => Ok(Rotation::Size(size)),
        (None, Ok(time)) => Ok(Rotation::Time(time)),
        (None, Err(_)) => Err(WRONG.into()),
    }
}

impl RecordOptions {
    /// What is wrong within the group.
    pub(super) fn faults(&self) -> Vec<String> {
        let Self { record, rotate, append, force } = self;
        let mut faults = Vec::new();
        for (given, option) in [(rotate.is_some(), "--rotate"), (*append, "--append"), (*force, "--force")] {
            if given && record.is_none() {
                faults.push(format!("{option} needs --record FILE"));
            }
        }
        if *append && *force {
            faults.push("--append and --force cannot be used together".into());
        } else if rotate.is_some() && (*append || *force) {
            let option = if *append { "--append" } else { "--force" };
            faults.push(format!(
                "{option} cannot be used with --rotate, which overwrites nothing: it continues the numbers"
            ));
        }
        match record.as_deref().map(|file| (file.as_os_str() == "-", file.file_name().is_none())) {
            Some((true, _)) => faults.push("--record: - is not a file: use --json to print the same lines".into()),
            Some((false, true)) => faults.push("--record: the file needs a name".into()),
            _ => {}
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_is_a_size_or_a_time() {
        for (text, expected) in [
            ("100M", Some(Rotation::Size(100_000_000))),
            ("1.5Gi", Some(Rotation::Size(3 << 29))),
            ("10k", Some(Rotation::Size(10_000))),
            ("10m", Some(Rotation::Time(Duration::from_secs(600)))),
            ("500ms", Some(Rotation::Time(Duration::from_millis(500)))),
            ("1h", Some(Rotation::Time(Duration::from_secs(3600)))),
            ("100", None),
            ("0M", None),
            ("0s", None),
            ("", None),
            ("1d", None),
            ("M", None),
        ] {
            assert_eq!(rotation(text).ok(), expected, "{text:?}");
        }
    }
}
