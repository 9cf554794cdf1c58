//! Session, transport and clock on tokio: what mqpub, mqsub and mqrr run on, and the loop that they share.

mod ack_coalescing;
mod answer_timer;
#[allow(clippy::module_inception)] // the room and the thing it is about have the same name
mod client;
mod diagnostics;
mod drive;
mod error;
mod establish;
mod losses;
mod moderation;
pub mod mosquitto;
mod plan;
mod policy;
mod retry;
mod runtime;
mod signals;
mod trace;

pub use answer_timer::{AnswerTimer, OutputPosition};
pub use client::{Client, CloseMode};
pub use diagnostics::{Diagnostics, Reporter};
pub(crate) use drive::{Driver, End, GiveUp, Task, Which};
pub use error::{ClientError, ConnectFacts, whose_limit};
pub use establish::{DisconnectGuard, Established, establish, exchange};
pub use moderation::ReadModeration;
pub use plan::{ClientPlan, ConnectPlan};
pub use policy::Policy;
pub use retry::RetryPlan;
pub use runtime::{check_descriptors, run};
pub use signals::{Interrupts, SignalState};
pub use trace::{LogStream, Trace};
