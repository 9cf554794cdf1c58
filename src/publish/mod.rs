//! mqpub: where payloads come from, repeat, delivery account.
//!
//! [`PublishPlan`] is what the options mean; [`publish`] does it and returns how it ended. `LineSplitter`, `PublishAccount`,
//! the summary and `Composer`, which makes messages of lines, are pure; only `run`, `publisher` and `input` know a
//! connection, a clock or stdin.

mod account;
mod closing_hint;
mod compose;
mod input;
mod line_fault;
mod lines;
mod loss_streak;
mod plan;
mod publisher;
mod run;
mod schedule;
mod source;
mod summary;
mod supply;
mod template_form;
mod unacknowledged;
mod window;

pub(crate) use lines::Line;
pub(crate) use plan::PayloadSource;
pub use plan::PublishPlan;
pub use run::publish;
pub(crate) use run::source_of;
pub(crate) use source::Source;
