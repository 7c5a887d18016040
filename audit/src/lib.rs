//! An append-only log with proofs, checkpoints and cosignatures that third parties can verify.
