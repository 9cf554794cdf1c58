//! The retry options, part of the connection group of every client: how often and how soon it is tried again.

use std::time::Duration;

use clap::Args;

use super::values::{count, positive_duration};
use crate::client::RetryPlan;

/// When a connection is tried again.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct RetryOptions {
    /// Retry a failed connection up to COUNT times in a row, or "forever".
    ///
    /// By default the first connection is not retried, nor is one on which the first SUBSCRIBE was not answered. A
    /// connection that is lost later is retried forever; in mqpub only with -l, other messages fail with their
    /// connection. A connection that the broker refused is never retried. 0 exits at the first loss.
    #[arg(long, value_name = "COUNT", value_parser = attempts)]
    pub retry: Option<u64>,

    /// Wait TIME before each retry [default: 1s]; 1s..30s doubles the wait each time, up to 30 s.
    #[arg(long, value_name = "TIME", value_parser = backoff)]
    pub backoff: Option<Backoff>,

    /// Keep trying until a broker answers, for at most TIME in total.
    ///
    /// It is one deadline for everything up to the broker's answer to CONNECT, and to SUBSCRIBE in mqsub and mqrr: name
    /// look-up, connecting, TLS, proxies, further attempts. After it the tool fails with the last cause: with status 1,
    /// or with the reason code where the broker answered that it is unavailable. Errors that stay (a wrong password, a
    /// certificate) fail at once. --retry COUNT limits the attempts within TIME, --backoff sets the time
    /// between them, and -W still counts from the start.
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub wait: Option<Duration>,
}

/// The first wait and the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
}

impl RetryOptions {
    /// What they mean.
    pub fn plan(&self) -> RetryPlan {
        let Self { retry, backoff, wait } = self;
        let plan = RetryPlan { attempts: *retry, wait: *wait, ..RetryPlan::default() };
        match *backoff {
            None => plan,
            Some(Backoff { first, most }) => RetryPlan { first, most, ..plan },
        }
    }
}

fn attempts(text: &str) -> Result<u64, String> {
    match text {
        "forever" => Ok(u64::MAX),
        _ => count(text).map_err(|_| "must be a whole number or \"forever\"".into()),
    }
}

fn backoff(text: &str) -> Result<Backoff, String> {
    let (first, most) = text.split_once("..").unwrap_or((text, text));
    let (first, most) = (positive_duration(first)?, positive_duration(most)?);
    if first > most {
        return Err("the first time must be the shorter one, as in 1s..30s".into());
    }
    Ok(Backoff { first, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_a_number_or_forever() {
        for (text, attempts_of) in
            [("0", Some(0)), ("5", Some(5)), ("forever", Some(u64::MAX)), ("-1", None), ("x", None)]
        {
            assert_eq!(attempts(text).ok(), attempts_of, "{text:?}");
        }
    }

    #[test]
    fn a_backoff_is_a_time_or_two() {
        let of = |first, most| Some(Backoff { first: Duration::from_millis(first), most: Duration::from_millis(most) });
        for (text, expected) in [
            ("500ms", of(500, 500)),
            ("1..30", of(1000, 30_000)),
            ("0.5s..2m", of(500, 120_000)),
            ("0", None),
            ("2s..1s", None),
            ("1s..", None),
            ("..1s", None),
            ("", None),
        ] {
            assert_eq!(backoff(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_default_is_mosquittos_behavior() {
        assert_eq!(RetryOptions::default().plan(), RetryPlan::default());
        let options = RetryOptions { retry: Some(3), backoff: backoff("1s..8s").ok(), wait: None };
        assert_eq!(options.plan().delay(2), Duration::from_secs(4));
    }
}
