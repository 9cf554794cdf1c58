//! mqpub: where payloads come from, repeat, delivery account.
