// SPDX-License-Identifier: Apache-2.0
//! The end of an attempt, and what it means for the study.

use super::RoundDriver;
use super::effects::is_release;
use super::pending::Conclusion;
use crate::crash::{CrashPlace, reached};
use crate::federation::unix_milliseconds;
use crate::store::StoredRelease;
use crate::study::{Dropout, StudyState};
use crate::study_run::RunFault;
use consilium_learning::Step;
use consilium_learning::model::Stage;
use consilium_protocol::{Delivery, Envelope, SiloName};

impl RoundDriver<'_, '_> {
    /// Brings the study's record up to date with the attempt's end, in the same transaction.
    pub(super) async fn conclude(&mut self, conclusion: Conclusion) -> Result<(), RunFault> {
        match conclusion {
            Conclusion::Released { survivors, dropped } => self.release(&survivors, &dropped).await,
            Conclusion::Abandoned {
                reason,
                phase,
                charged,
            } => {
                tracing::warn!(%reason, %phase, "an attempt was abandoned");
                if charged {
                    self.charge()?;
                } else {
                    self.run.study.uncharged_failures += 1;
                }
                let dropped: Vec<SiloName> = self.missing.keys().cloned().collect();
                self.note_dropouts(&dropped);
                if !self.run.admitted.study.is_noised() {
                    // A drop ends a study without noise: two sums over different silos would tell them apart.
                    let reason =
                        format!("a round without noise was abandoned while {phase}: {reason}");
                    self.fail(reason);
                }
                let round = self.round();
                self.end_attempt(None).await?;
                reached(self.run.crash, CrashPlace::Abandoned, round);
                Ok(())
            }
        }
    }

    /// Counts this attempt, whose inputs were masked. The model is still the one that it started from.
    fn charge(&mut self) -> Result<(), RunFault> {
        let stage = self.run.model()?.stage;
        let study = &mut self.run.study;
        study.attempts_charged += 1;
        match stage {
            Stage::Training => {}
            Stage::Evaluation => study.evaluations_charged += 1,
        }
        Ok(())
    }

    /// Decides that the study fails; stored with the end of the attempt.
    fn fail(&mut self, reason: String) {
        self.run
            .study
            .end(StudyState::Failed, reason, None, unix_milliseconds());
    }

    pub(super) async fn release(
        &mut self,
        survivors: &[SiloName],
        dropped: &[SiloName],
    ) -> Result<(), RunFault> {
        let blob = self
            .pending
            .sum
            .ok_or(RunFault::Incomplete("the sum is missing"))?;
        let commitment_index = self
            .pending
            .commitment_index
            .ok_or(RunFault::Incomplete("no commitment is logged"))?;
        let release_index = self
            .pending
            .release_index
            .ok_or(RunFault::Incomplete("no release is logged"))?;
        let outgoing = survivors
            .first()
            .zip(self.machine.as_ref())
            .and_then(|(silo, machine)| {
                machine
                    .outbox(silo)
                    .rfind(|outgoing| is_release(&outgoing.envelope))
            })
            .ok_or(RunFault::Incomplete("the release is missing"))?;
        let delivery = Delivery::bare(Envelope::clone(&outgoing.envelope));
        let release = StoredRelease {
            study_id: self.run.study.id.clone(),
            round: self.plan.id.round,
            delivery: postcard::to_allocvec(&delivery)?,
            sum: blob,
            commitment_index,
            release_index,
        };
        let advanced = self.advance(blob).await?;
        self.charge()?;
        let study = &mut self.run.study;
        study.rounds_done += 1;
        study.released.push(self.plan.id);
        study.last_release = Some(release_index);
        self.note_dropouts(dropped);
        match advanced {
            Ok(Step::Continue(model)) => {
                self.run.study.model = model.to_bytes();
            }
            Ok(Step::Trained(trained)) => {
                self.run.study.model = trained.model.to_bytes();
                self.run.study.trained = Some(self.run.store_result(&trained.result).await?);
            }
            Ok(Step::Finished(finished)) => {
                self.run.study.model = finished.model.to_bytes();
                self.run.study.outcome = Some(self.run.store_result(&finished.result).await?);
            }
            Ok(Step::Evaluated { model, evaluation }) => {
                self.run.study.model = model.to_bytes();
                self.run.study.outcome = Some(self.run.store_evaluated(&evaluation).await?);
            }
            Err(fault) => {
                self.fail(format!("no result follows from the sum: {fault}"));
            }
        }
        self.end_attempt(Some(release)).await?;
        self.show();
        Ok(())
    }

    /// Notes silos that this attempt lacks and the one before it had.
    pub(super) fn note_dropouts(&mut self, dropped: &[SiloName]) {
        let round = u32::try_from(self.run.study.released.len()).unwrap_or(u32::MAX);
        let study = &mut self.run.study;
        // An attempt that released is already counted; one that did not belongs to the next round.
        let round = if study.released.last() == Some(&self.plan.id) {
            round
        } else {
            round + 1
        };
        for silo in dropped {
            if !study.absent.contains(silo) {
                if !self.missing.contains_key(silo) {
                    tracing::warn!(%silo, round, "a silo that is connected takes no part");
                }
                let phase = self
                    .missing
                    .get(silo)
                    .map_or("late", String::as_str)
                    .to_owned();
                study.dropouts.push(Dropout {
                    silo: silo.clone(),
                    round,
                    phase,
                });
            }
        }
        study.absent = dropped.to_vec();
    }

    pub(super) async fn end_attempt(
        &mut self,
        release: Option<StoredRelease>,
    ) -> Result<(), RunFault> {
        let study = self.run.study.clone();
        let store = &self.run.federation.store;
        Ok(store
            .with(move |store| store.end_attempt(&study, release.as_ref()))
            .await?)
    }
}
