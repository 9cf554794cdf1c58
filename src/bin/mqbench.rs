//! mqbench: measures the throughput and latency of a broker. Options → plan → run → exit status.

use std::process::ExitCode;

use mqtools::bench::{OwnBroker, run};
use mqtools::exit_status::ExitStatus;
use mqtools::options::{BenchOptions, Environment, Reading};

fn main() -> ExitCode {
    let environment = Environment::of_process();
    let options = match BenchOptions::read(&environment, std::env::args_os()) {
        Ok(Reading::Options(options)) => options,
        Ok(Reading::Answer(text)) => return mqtools::terminal::answer(&text).end(),
        Err(error) => {
            eprintln!("{error}");
            return error.exit_status().end();
        }
    };
    if options.load.embedded {
        return with_own_broker(|own| run(&options, &environment, Some(own))).end();
    }
    run(&options, &environment, None).end()
}

/// Starts the embedded broker on a free loopback port for as long as `work` takes.
fn with_own_broker(work: impl FnOnce(OwnBroker) -> ExitStatus) -> ExitStatus {
    use mqtools::broker::{BROKER_NAME, BROKER_VERSION, BrokerSettings, EmbeddedBroker};

    match EmbeddedBroker::start(BrokerSettings::loopback()) {
        Ok(broker) => {
            let own = OwnBroker { address: broker.local_addr(), name: BROKER_NAME, version: BROKER_VERSION };
            let status = work(own);
            broker.stop();
            status
        }
        Err(error) => {
            mqtools::terminal::say(format_args!("Error: cannot start the embedded broker: {error}"));
            ExitStatus::Failed
        }
    }
}
