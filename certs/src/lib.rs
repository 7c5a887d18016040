//! Identity, membership and mutual TLS.
