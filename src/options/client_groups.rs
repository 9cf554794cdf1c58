//! The option groups of a tool that is one client, and their plan together with that of its other options.

use super::connect_plan::{ConnectDefaults, connect_plan};
use super::{ConnectionOptions, Environment, PropertyOptions, RetryOptions, TlsOptions, Tool, UsageError, WillOptions};
use crate::client::ConnectPlan;

/// Most messages in flight where `-M` is not given, as with mosquitto's clients.
const WINDOW: u16 = 20;

/// The connection groups of a tool that is one client.
#[derive(Clone, Copy, Debug)]
pub struct ClientGroups<'a> {
    /// Where the broker is.
    pub connection: &'a ConnectionOptions,
    /// When it is tried again.
    pub retry: &'a RetryOptions,
    /// TLS.
    pub tls: &'a TlsOptions,
    /// The will.
    pub will: &'a WillOptions,
    /// Properties of MQTT 5.
    pub properties: &'a PropertyOptions,
}

impl ClientGroups<'_> {
    /// What they mean, together with what `more` makes of the tool's other options: the faults of both come at once.
    ///
    /// # Errors
    /// All faults.
    pub fn plan_with<T>(
        self,
        tool: &'static Tool,
        environment: &Environment,
        more: Result<T, String>,
    ) -> Result<(ConnectPlan, T), UsageError> {
        let Self { connection, retry, tls, will, properties } = self;
        let defaults = ConnectDefaults {
            tool,
            environment,
            window: WINDOW,
            // Messages are gathered here where they come fast; the kernel must not hold back the ones that come slowly.
            no_delay: true,
            names_clients: false,
        };
        let connect = connect_plan(connection, tls, will, properties, defaults);
        match (connect, more.map_err(|fault| UsageError::new(tool.name, vec![fault]))) {
            (Ok(connect), Ok(more)) => Ok((ConnectPlan { retry: retry.plan(), ..connect }, more)),
            (Err(one), Err(other)) => Err(one.and(other)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}
