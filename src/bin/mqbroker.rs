//! mqbroker: an MQTT broker for a desk, a test and a demonstration. Options → plan → run → exit status.

use std::process::ExitCode;

use mqtools::broker::{ServePlan, serve};
use mqtools::exit_status::ExitStatus;
use mqtools::options::{BrokerOptions, Environment, Reading};

fn main() -> ExitCode {
    let listen = match BrokerOptions::read(&Environment::of_process(), std::env::args_os()) {
        Ok(Reading::Options(options)) => options.listen,
        Ok(Reading::Answer(text)) => return mqtools::terminal::answer(&text).end(),
        Err(error) => {
            eprintln!("{error}");
            return error.exit_status().end();
        }
    };
    let plan = ServePlan {
        port: listen.port,
        web_socket_port: listen.ws_port,
        verbose: listen.verbose,
        config_file: listen.config,
    };
    match serve(&plan, Box::new(std::io::stderr())) {
        Ok(signal) => ExitStatus::Interrupted(signal).end(),
        Err(error) => {
            mqtools::terminal::say(format_args!("Error: {error}"));
            error.exit_status().end()
        }
    }
}
