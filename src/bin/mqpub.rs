//! mqpub: publishes MQTT messages. Options → plan → run → exit status.

use std::process::ExitCode;

use mqtools::check::{CheckPlan, check};
use mqtools::exit_status::ExitStatus;
use mqtools::options::{Environment, PublishOptions, Reading, UsageError};
use mqtools::publish::{PublishPlan, publish};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| error.report()).end()
}

fn run() -> Result<ExitStatus, UsageError> {
    let environment = Environment::of_process();
    Ok(match PublishOptions::read(&environment, std::env::args_os())? {
        Reading::Options(options) => match CheckPlan::of_publish(&options, &environment)? {
            Some(plan) => check(&plan),
            None => publish(&PublishPlan::new(&options, &environment)?),
        },
        Reading::Answer(text) => mqtools::terminal::answer(&text),
    })
}
