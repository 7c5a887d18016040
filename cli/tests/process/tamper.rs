// SPDX-License-Identifier: Apache-2.0
//! Logs that were changed, and folders that were put back from a backup.

mod backup;
mod log;
