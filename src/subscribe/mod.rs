//! mqsub: which messages count, when to stop, how they are printed.
