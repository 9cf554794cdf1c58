//! mqpub: where payloads come from, repeat, delivery account.
//!
//! [`PublishPlan`] is what the options mean; [`publish`] does it and says how it ended. [`LineSplitter`] and
//! [`DeliveryAccount`] are pure; only `run` and `input` know a socket, a clock or stdin.

mod account;
mod input;
mod lines;
mod plan;
mod run;
mod source;

pub use account::DeliveryAccount;
pub use lines::LineSplitter;
pub use plan::{PayloadSource, PublishPlan};
pub use run::publish;
pub(crate) use run::source_of;
pub(crate) use source::Source;
