//! Session, transport and clock on tokio: what mqpub and mqsub hold in their hand.

mod error;
mod establish;
mod plan;

pub use error::ClientError;
pub use establish::{Established, establish, exchange};
pub use plan::ConnectPlan;
