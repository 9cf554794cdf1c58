//! In place of `explore` where the crate is built without the feature `explorer`.

use crate::exit_status::ExitStatus;
use crate::options::{Environment, SUBSCRIBE, SubscribeOptions, UsageError};

/// There is none.
#[derive(Clone, Debug)]
pub enum ExplorePlan {}

impl ExplorePlan {
    /// # Errors
    /// Always.
    pub fn new(_: &SubscribeOptions, _: &Environment) -> Result<Self, UsageError> {
        let fault = "--tree: this mqsub was built without the explorer (the cargo feature explorer): use -w or --json";
        Err(UsageError::new(SUBSCRIBE.name, vec![fault.into()]))
    }
}

/// Never called.
pub fn explore(plan: &ExplorePlan) -> ExitStatus {
    match *plan {}
}
