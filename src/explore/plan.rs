//! What the explorer is to do: plain data, made of the options.

use std::path::PathBuf;

use crate::mqtt::wire::SubscribeFilter;
use crate::options::{Environment, SubscribeOptions, UsageError};
use crate::subscribe::{SubscribePlan, handling_of_retained};

/// Memory for topics, payloads and histories where nothing else is asked for, bytes.
const MEMORY: usize = 256_000_000;
/// What is subscribed to where nothing is asked for: all topics, and what the broker reports about itself.
const ALL: [&str; 2] = ["#", "$SYS/#"];

/// What the explorer is to do.
#[derive(Clone, Debug)]
pub struct ExplorePlan {
    /// The broker, the subscription, and which messages count.
    pub(super) subscribe: SubscribePlan,
    /// A recording in place of the broker.
    pub(super) from: Option<PathBuf>,
    /// Most memory, bytes.
    pub(super) max_memory: usize,
    /// Messages may be published.
    pub(super) allows_write: bool,
}

impl ExplorePlan {
    /// What the options mean.
    ///
    /// # Errors
    /// All faults at once.
    pub fn new(options: &SubscribeOptions, environment: &Environment) -> Result<Self, UsageError> {
        let mut subscribe = SubscribePlan::new(options, environment)?;
        let asked = &options.subscription;
        let version = subscribe.client.connect.session.version;
        let filters = &mut subscribe.subscribe.filters;
        if filters.is_empty() && subscribe.unsubscribe.is_empty() && options.explore.from.is_none() {
            let retain_handling = handling_of_retained(asked.retain_handling, asked.no_retained, version);
            filters.extend(ALL.map(|filter| SubscribeFilter {
                filter: filter.to_owned(),
                qos: asked.qos,
                no_local: asked.no_local,
                retain_as_published: asked.retain_as_published,
                retain_handling,
            }));
        }
        if version.is_v5() {
            // So it is known which messages the broker retains.
            filters.iter_mut().for_each(|filter| filter.retain_as_published = true);
        }
        Ok(Self {
            subscribe,
            from: options.explore.from.clone(),
            max_memory: options.explore.max_memory.unwrap_or(MEMORY),
            allows_write: options.explore.allow_write,
        })
    }
}
