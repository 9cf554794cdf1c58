//! Session, transport and clock on tokio: what mqpub and mqsub hold in their hand.

mod answer_timer;
#[allow(clippy::module_inception)] // the room and the thing it is about have the same name
mod client;
mod diagnostics;
mod error;
mod establish;
mod gathering;
mod losses;
mod moderation;
pub mod mosquitto;
mod plan;
mod retry;
mod runtime;
mod signals;
mod trace;

pub use answer_timer::AnswerTimer;
pub use client::{Client, Parting};
pub use diagnostics::{Diagnostics, Reporter};
pub use error::{ClientError, ConnectFacts, whose_limit};
pub use establish::{Established, Farewell, establish, exchange};
pub use moderation::ReadModeration;
pub use plan::ConnectPlan;
pub use retry::RetryPlan;
pub use runtime::{check_descriptors, run};
pub use signals::{Interrupts, SignalState};
pub use trace::{LogStream, Trace};
