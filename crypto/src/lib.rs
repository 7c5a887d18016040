//! Cryptographic primitives composed for secure aggregation; knows nothing of rounds.
