//! mqsub: subscribes to topics and prints the messages. Options → plan → run → exit status.

use std::process::ExitCode;

use mqtools::check::{CheckPlan, check};
use mqtools::exit_status::ExitStatus;
use mqtools::explore::{ExplorePlan, explore};
use mqtools::options::{Environment, Reading, SubscribeOptions, UsageError};
use mqtools::subscribe::{SubscribePlan, subscribe};

fn main() -> ExitCode {
    mqtools::subscribe::jq_process().unwrap_or_else(|| run().unwrap_or_else(|error| error.report()).end())
}

fn run() -> Result<ExitStatus, UsageError> {
    let environment = Environment::of_process();
    Ok(match SubscribeOptions::read(&environment, std::env::args_os())? {
        Reading::Options(options) => match CheckPlan::of_subscribe(&options, &environment)? {
            Some(plan) => check(&plan),
            None if options.explore.tree => explore(&ExplorePlan::new(&options, &environment)?),
            None => subscribe(&SubscribePlan::new(&options, &environment)?),
        },
        Reading::Answer(text) => mqtools::terminal::answer(&text),
    })
}
