//! mqpub: where payloads come from, repeat, delivery account.
//!
//! [`PublishPlan`] is what the options mean; [`publish`] does it and says how it ended. [`LineSplitter`] and
//! [`DeliveryAccount`] are pure, and so is the summary; only `run`, `publisher`, `recovery` and `input` know a socket, a
//! clock or stdin.

mod account;
mod input;
mod lines;
mod pace;
mod plan;
mod publisher;
mod recovery;
mod run;
mod source;
mod summary;
mod voice;
mod window;

pub use account::{DeliveryAccount, Outgoing};
pub use lines::{Line, LineSplitter};
pub use plan::{LineInput, PayloadSource, PublishPlan};
pub use run::publish;
pub(crate) use run::source_of;
pub(crate) use source::Source;
pub use summary::SummaryFormat;
