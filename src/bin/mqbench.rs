//! mqbench: what does this broker carry, and how long does a message take? Options → plan → run → exit status.

use std::process::ExitCode;

use mqtools::bench::{OwnBroker, conduct};
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
        return with_own_broker(|own| conduct(&options, &environment, Some(own))).end();
    }
    conduct(&options, &environment, None).end()
}

/// Starts the embedded broker on a free loopback port for as long as `work` takes.
#[cfg(feature = "embedded")]
fn with_own_broker(work: impl FnOnce(OwnBroker) -> ExitStatus) -> ExitStatus {
    use std::num::NonZeroUsize;

    use mqtools::broker::{BROKER_NAME, BROKER_VERSION, BrokerSettings, EmbeddedBroker};
    // The load takes half of the processors, rounded up, and must not wait for the broker's threads: it would measure them.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let worker_threads = Some(NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN));
    let settings = BrokerSettings { worker_threads, ..BrokerSettings::loopback() };
    match EmbeddedBroker::start(settings) {
        Ok(broker) => {
            let own = OwnBroker { address: broker.local_addr(), name: BROKER_NAME, version: BROKER_VERSION };
            let status = work(own);
            broker.stop();
            status
        }
        Err(error) => {
            eprintln!("Error: the embedded broker does not start: {error}");
            ExitStatus::Failed
        }
    }
}

/// The options refuse `--embedded` in a build without it.
#[cfg(not(feature = "embedded"))]
fn with_own_broker(_work: impl FnOnce(OwnBroker) -> ExitStatus) -> ExitStatus {
    ExitStatus::Usage
}
