//! Stories, properties and adversaries that cross crates.
