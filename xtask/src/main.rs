//! Checks and figures of the workspace.
fn main() {}
