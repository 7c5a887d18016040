//! The command line of Consilium.
