//! What happened: stamp, recorder, histograms, delivery ledger. Pure.
