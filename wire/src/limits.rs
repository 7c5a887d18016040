// SPDX-License-Identifier: Apache-2.0
//! How large anything may be, and how long it may take.

use std::time::Duration;

/// The largest gRPC message that either side accepts.
pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The largest chunk of a masked vector or of a sum.
pub const CHUNK_BYTES: usize = 512 * 1024;

/// Every chunk of a sum but the last has at least so many bytes: many tiny ones would cost more than they hold.
pub const LEAST_CHUNK_BYTES: usize = 4096;

/// The largest study file.
pub const STUDY_BYTES: usize = 256 * 1024;

/// The flow-control window of one stream, at both ends.
///
/// COST: so much of each silo's upload may lie in the coordinator's memory when its disk is slow. A line of 50 ms carries
/// 20 MiB in a second through it.
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// The flow-control window of one connection, at both ends.
pub const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// The largest HTTP/2 frame, at both ends.
pub const FRAME_BYTES: u32 = 256 * 1024;

/// TLS handshakes in progress at one time.
pub const HANDSHAKES_AT_ONCE: usize = 64;

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long a connection attempt may take.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How often an idle connection is probed.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long a probe may stay unanswered.
pub const KEEP_ALIVE_TIME: Duration = Duration::from_secs(10);

/// A session stream that stays closed for this long counts as a drop.
pub const DROP_AFTER: Duration = Duration::from_secs(5);
