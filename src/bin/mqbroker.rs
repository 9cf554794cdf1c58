//! mqbroker: an MQTT broker for tests and development. Options → plan → run → exit status.

use std::path::Path;
use std::process::ExitCode;

use mqtools::broker::{MOSQUITTO_INVALID, ServeError, ServePlan, check_configuration, serve, set_password_in_file};
use mqtools::exit_status::ExitStatus;
use mqtools::options::{BrokerCommand, BrokerOptions, Environment, ListenOptions, MOSQUITTO_VERSION, Reading};
use mqtools::terminal;

fn main() -> ExitCode {
    match BrokerOptions::read(&Environment::of_process(), std::env::args_os()) {
        Ok(Reading::Options(command)) => match *command {
            BrokerCommand::Serve(options) => run(options),
            BrokerCommand::Passwd { file, user } => passwd(&file, &user),
        },
        Ok(Reading::Answer(text)) => terminal::answer(&text),
        Err(error) => {
            eprintln!("{error}");
            match error.exit_status() {
                ExitStatus::Compatible(_) => ExitStatus::Compatible(MOSQUITTO_INVALID),
                status => status,
            }
        }
    }
    .end()
}

fn run(options: ListenOptions) -> ExitStatus {
    let ListenOptions { port, ws_port, config, verbose, daemon, test_config, help: _, version: _, compat } = options;
    let plan = ServePlan {
        ports: port,
        web_socket_port: ws_port,
        verbosity: verbose,
        config_file: config,
        daemon,
        mosquitto_version: compat.then_some(MOSQUITTO_VERSION),
    };
    let failed = |error: ServeError| {
        terminal::say(format_args!("Error: {error}"));
        error.exit_status(&plan)
    };
    if test_config {
        let answer = |()| terminal::answer("The configuration is valid.\n");
        return check_configuration(&plan).map_or_else(failed, answer);
    }
    match serve(&plan) {
        // mosquitto's exit status after a signal is 0.
        Ok(_) if compat => ExitStatus::Done,
        Ok(signal) => ExitStatus::Interrupted(signal),
        Err(error) => failed(error),
    }
}

fn passwd(file: &Path, user: &str) -> ExitStatus {
    let failed = |error: &dyn std::fmt::Display| {
        terminal::say(format_args!("Error: {error}"));
        ExitStatus::Failed
    };
    match terminal::prompt::password(&format!("Password for {}", terminal::escape(user)), true) {
        Ok(password) => {
            set_password_in_file(file, user, &password).map_or_else(|error| failed(&error), |()| ExitStatus::Done)
        }
        Err(error) => failed(&error),
    }
}
