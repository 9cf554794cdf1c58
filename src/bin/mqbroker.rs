//! mqbroker: an MQTT broker for a desk, a test and a demonstration. Options → plan → run → exit status.

use std::process::ExitCode;

use mqtools::broker::{ServePlan, serve};
use mqtools::exit_status::ExitStatus;

fn main() -> ExitCode {
    let plan = match read_arguments(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("Error: {message}");
            return ExitStatus::Usage.into();
        }
    };
    match serve(&plan, Box::new(std::io::stderr())) {
        Ok(()) => ExitStatus::Done.into(),
        Err(error) => {
            eprintln!("Error: {error}");
            error.exit_status().into()
        }
    }
}

// TEMPORARY: stands in for `options::BrokerOptions::read`, which takes its place. Only -p, -v and -c, no help.
fn read_arguments(mut arguments: impl Iterator<Item = String>) -> Result<ServePlan, String> {
    let mut plan = ServePlan::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "-v" | "--verbose" => plan.verbose = true,
            "-p" | "--port" => {
                let port = value()?;
                plan.port = Some(port.parse().map_err(|_| format!("-p: {port:?} is no port: 0 to 65535"))?);
            }
            "-c" | "--config-file" => plan.config_file = Some(value()?.into()),
            other => return Err(format!("{other:?} is not an option: -p PORT, -v and -c FILE are")),
        }
    }
    Ok(plan)
}
