//! The option groups of a tool that is one client, and their plan together with that of its other options.

use clap::Args;

use super::compat::Translation;
use super::connect_plan::{ConnectDefaults, connect_plan};
use super::{
    CommandProperties, ConnectionOptions, Environment, GeneralOptions, PropertyOptions, RetryOptions, TlsOptions, Tool,
    UsageError, WillOptions,
};
use crate::client::{ClientPlan, ConnectPlan};

/// Most messages in flight where `-M` is not given, as with mosquitto's clients.
const WINDOW: u16 = 20;

/// The connection groups of a tool that is one client.
#[derive(Clone, Debug, Args)]
pub struct ClientGroups {
    /// Where the broker is.
    #[command(flatten)]
    pub connection: ConnectionOptions,
    /// Retries.
    #[command(flatten)]
    pub retry: RetryOptions,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// The will.
    #[command(flatten)]
    pub will: WillOptions,
    /// Properties of MQTT 5.
    #[command(flatten)]
    pub properties: PropertyOptions,
}

impl ClientGroups {
    pub(super) fn of(given: &mut Translation) -> Self {
        Self {
            connection: given.connection(),
            retry: RetryOptions::default(),
            tls: given.tls(),
            will: given.will(),
            properties: given.properties(),
        }
    }

    /// What they mean, and the properties of the packets that the tool itself sends, together with what `more` makes of
    /// the tool's other options: the faults of both come at once.
    ///
    /// # Errors
    /// All faults.
    pub fn plan_with<T>(
        &self,
        general: &GeneralOptions,
        tool: &'static Tool,
        environment: &Environment,
        more: Result<T, String>,
    ) -> Result<(ClientPlan, CommandProperties, T), UsageError> {
        let Self { connection, retry, tls, will, properties } = self;
        let GeneralOptions { debug, quiet, policy, .. } = general;
        let defaults = ConnectDefaults {
            tool,
            environment,
            window: WINDOW,
            // Messages are gathered here where they come fast; the kernel must not hold back the ones that come slowly.
            no_delay: true,
            names_clients: false,
            policy: *policy,
        };
        let connect = connect_plan(connection, tls, will, properties, defaults);
        let (connect, more) = match (connect, more.map_err(|fault| UsageError::new(tool.name, vec![fault]))) {
            (Ok(connect), Ok(more)) => (ConnectPlan { retry: retry.plan(), ..connect }, more),
            (Err(one), Err(other)) => return Err(one.and(other)),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let mut commands = properties.by_command().map_err(|faults| UsageError::new(tool.name, faults))?;
        let client = ClientPlan {
            connect,
            disconnect_properties: std::mem::take(&mut commands.disconnect),
            answer_timeout: policy.answer_timeout(connection.connect_timeout),
            debug: *debug,
            quiet: *quiet,
            policy: *policy,
        };
        Ok((client, commands, more))
    }
}
