// SPDX-License-Identifier: Apache-2.0
//! What researchers see of a study while it runs.

use consilium_wire::v1;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The latest progress of each study that somebody watches or that runs.
#[derive(Clone, Debug, Default)]
pub struct ProgressBoard(Arc<Mutex<BTreeMap<String, watch::Sender<v1::StudyProgress>>>>);

impl ProgressBoard {
    /// Follows a study; `first` is shown until something newer is known.
    pub fn watch(&self, first: v1::StudyProgress) -> watch::Receiver<v1::StudyProgress> {
        let mut board = self.lock();
        let sender = board
            .entry(first.study_id.clone())
            .or_insert_with(|| watch::Sender::new(first));
        sender.subscribe()
    }

    /// Shows the present state of a study.
    pub fn show(&self, progress: v1::StudyProgress) {
        let mut board = self.lock();
        let sender = board
            .entry(progress.study_id.clone())
            .or_insert_with(|| watch::Sender::new(progress.clone()));
        sender.send_replace(progress);
    }

    /// Shows the last state of a study and forgets it.
    pub fn close(&self, progress: v1::StudyProgress) {
        let sender = self.lock().remove(&progress.study_id);
        if let Some(sender) = sender {
            sender.send_replace(progress);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<v1::StudyProgress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
