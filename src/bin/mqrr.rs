//! mqrr: sends MQTT requests and prints the responses. Options → plan → run → exit status.

use std::process::ExitCode;

use mqtools::exit_status::ExitStatus;
use mqtools::options::{Environment, Reading, RequestOptions, UsageError};
use mqtools::request::{RequestPlan, request};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| error.report()).end()
}

fn run() -> Result<ExitStatus, UsageError> {
    let environment = Environment::of_process();
    Ok(match RequestOptions::read(&environment, std::env::args_os())? {
        Reading::Options(options) => request(&RequestPlan::new(&options, &environment)?),
        Reading::Answer(text) => mqtools::terminal::answer(&text),
    })
}
