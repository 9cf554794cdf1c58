//! Session, transport and clock on tokio: what mqpub and mqsub hold in their hand.

mod error;
mod establish;

pub use error::ClientError;
pub use establish::{Established, establish, exchange};
