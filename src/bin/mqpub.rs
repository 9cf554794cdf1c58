//! mqpub: publishes MQTT messages. Options → plan → run → exit status.

use std::io::Write;
use std::process::ExitCode;

use mqtools::exit_status::ExitStatus;
use mqtools::options::{Environment, PublishOptions, Reading, UsageError};
use mqtools::publish::{PublishPlan, publish};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| error.tell()).into()
}

fn run() -> Result<ExitStatus, UsageError> {
    let environment = Environment::of_process();
    Ok(match PublishOptions::read(&environment, std::env::args_os())? {
        Reading::Options(options) => publish(&PublishPlan::new(&options, &environment)?),
        Reading::Answer(text) => {
            // A reader that is gone has read enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitStatus::Done
        }
    })
}
