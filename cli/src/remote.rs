// SPDX-License-Identifier: Apache-2.0
//! What the coordinator answers, in words.

use std::future::Future;

/// A refusal of the coordinator as an error that a person can read.
pub(crate) fn spoken(status: tonic::Status) -> anyhow::Error {
    let message = status.message();
    match status.code() {
        tonic::Code::Unavailable => {
            anyhow::anyhow!("the connection to the coordinator broke: try again ({message})")
        }
        tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => {
            anyhow::anyhow!("the coordinator does not permit this: {message}")
        }
        _ => anyhow::anyhow!("{message}"),
    }
}

/// Runs a command that talks to the coordinator.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(work)
}
