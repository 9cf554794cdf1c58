//! Session, transport and clock on tokio: what mqpub and mqsub hold in their hand.
