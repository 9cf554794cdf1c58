//! The check of the way to a broker.

use clap::{Args, ValueEnum};

/// Whether the tool only checks.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Check")]
pub struct CheckOptions {
    /// Only check the broker, and report each step with its time [default: text].
    ///
    /// The steps are DNS, TCP, TLS with the facts of the certificate, CONNECT with the broker's limits, and then one
    /// message or subscription: mqpub publishes an empty message at QoS 1 to the topic of -t, or to mqtools/check;
    /// mqsub subscribes to the filters of -t, or to mqtools/check. MQTT 5 is tried before 3.1.1, unless -V is given.
    /// json prints one object on one line. The exit status is that of the step that failed.
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, default_missing_value = "text")]
    pub check: Option<CheckFormat>,
}

/// How the result of a check is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// One line per step.
    Text,
    /// One JSON object.
    Json,
}
