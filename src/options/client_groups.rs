//! The option groups of a tool that is one client, and their plan together with that of its other options.

use super::connect_plan::{ConnectDefaults, connect_plan};
use super::{
    CommandProperties, ConnectionOptions, Environment, GeneralOptions, PropertyOptions, RetryOptions, TlsOptions, Tool,
    UsageError, WillOptions,
};
use crate::client::{ClientPlan, ConnectPlan};

/// Most messages in flight where `-M` is not given, as with mosquitto's clients.
const WINDOW: u16 = 20;

/// The connection groups of a tool that is one client.
#[derive(Clone, Copy, Debug)]
pub struct ClientGroups<'a> {
    /// Where the broker is.
    pub connection: &'a ConnectionOptions,
    /// Retries.
    pub retry: &'a RetryOptions,
    /// TLS.
    pub tls: &'a TlsOptions,
    /// The will.
    pub will: &'a WillOptions,
    /// Properties of MQTT 5.
    pub properties: &'a PropertyOptions,
    /// Diagnostics and policy.
    pub general: &'a GeneralOptions,
}

impl ClientGroups<'_> {
    /// What they mean, and the properties of the packets that the tool itself sends, together with what `more` makes of
    /// the tool's other options: the faults of both come at once.
    ///
    /// # Errors
    /// All faults.
    pub fn plan_with<T>(
        self,
        tool: &'static Tool,
        environment: &Environment,
        more: Result<T, String>,
    ) -> Result<(ClientPlan, CommandProperties, T), UsageError> {
        let Self { connection, retry, tls, will, properties, general } = self;
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
