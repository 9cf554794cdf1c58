//! Session, transport and clock on tokio: what mqpub and mqsub hold in their hand.

mod plan;

pub use plan::ConnectPlan;
