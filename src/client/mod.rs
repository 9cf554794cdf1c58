//! Session, transport and clock on tokio: what mqpub, mqsub and mqrr run on, and the loop that they share.

mod ack_coalescing;
mod answer_timer;
mod connected;
mod diagnostics;
mod drive;
mod error;
mod establish;
mod losses;
mod moderation;
pub(crate) mod mosquitto;
mod plan;
mod policy;
mod progress_reporter;
mod retry;
mod runtime;
mod signals;
mod trace;

pub(crate) use answer_timer::{AnswerTimer, OutputPosition};
pub(crate) use connected::{Client, CloseMode, NoHandler};
pub(crate) use diagnostics::{Diagnostics, Reporter};
pub(crate) use drive::{Driver, End, GiveUp, Task, Which};
pub(crate) use error::{ClientError, ConnectFacts, whose_limit};
pub(crate) use establish::{DisconnectGuard, Established, establish, exchange, log_in, write_output};
pub(crate) use moderation::ReadModeration;
pub(crate) use plan::ClientPlan;
pub use plan::ConnectPlan;
pub use policy::Policy;
pub(crate) use progress_reporter::ProgressReporter;
pub(crate) use retry::RetryPlan;
pub(crate) use runtime::{check_descriptors, run};
pub(crate) use signals::{Interrupts, SignalState};
pub use trace::{LogStream, Trace};
