// SPDX-License-Identifier: Apache-2.0
//! Persist, then log, then act: what the coordinator's driver does with what its machine asks for.

use super::store::{Conclusion, Pending, Spool, StoredAttempt, StoredRelease};
use super::{Around, Coordinator, CoordinatorWork, Outcome, PAUSE, is, open_at};
use crate::simulation::faults::{CrashPlace, Mutation};
use crate::simulation::shared_log::Entry;
use crate::simulation::study::next_model;
use consilium_protocol::{CoordinatorEffect, RecordKind, SumChunks, UnmaskFault, UnmaskJob};

impl Coordinator {
    pub(super) fn carry_out(
        &mut self,
        around: &mut Around<'_>,
        effects: Vec<CoordinatorEffect>,
        place: Option<CrashPlace>,
        outcomes: &mut Vec<Outcome>,
    ) {
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(machine) = &process.machine else {
            return;
        };
        let id = machine.plan().id;
        if place == Some(CrashPlace::TornKept) {
            return self.die(CrashPlace::TornKept, outcomes);
        }
        let mut sends = Vec::new();
        let mut late = Vec::new();
        let mut late_reveals = Vec::new();
        let mut job = None;
        let mut commits = None;
        let mut check = None;
        for effect in effects {
            match effect {
                CoordinatorEffect::KeepDeal {
                    dealer,
                    ciphertexts,
                } => {
                    if around.mutation == Mutation::KeepDealsLate {
                        late.push((dealer, ciphertexts));
                        continue;
                    }
                    self.deals.insert(dealer, ciphertexts);
                }
                CoordinatorEffect::KeepReveal { silo, reveal } => {
                    if around.mutation == Mutation::KeepRevealsLate {
                        late_reveals.push((silo, reveal));
                        continue;
                    }
                    self.reveals.0.insert(silo, reveal);
                }
                CoordinatorEffect::Accuse(accusation) => {
                    if accusation.evidence(machine.trail(), &self.reveals).is_err() {
                        outcomes.push(Outcome::Missing(accusation.silo.clone()));
                    }
                    outcomes.push(Outcome::Accused(vec![accusation.silo]));
                }
                CoordinatorEffect::Send { to, outgoing } => sends.push((to, outgoing)),
                CoordinatorEffect::Record {
                    kind,
                    digest,
                    silos,
                } => {
                    process.pending.records.push(Entry::Record {
                        id,
                        kind,
                        digest,
                        silos,
                    });
                }
                CoordinatorEffect::Unmask(unmask) => job = Some(unmask),
                CoordinatorEffect::CheckSum(product) => check = Some(product),
                CoordinatorEffect::CommitSum(digest) => {
                    let digest = match around.mutation {
                        Mutation::LogAnother => next_model(&digest, &digest),
                        _ => digest,
                    };
                    let entry = Entry::SumCommitted { id, digest };
                    process.pending.records.push(entry.clone());
                    commits = Some(entry);
                }
                CoordinatorEffect::Released { survivors, .. } => {
                    process.pending.conclusion = Some(Conclusion::Released { survivors });
                }
                CoordinatorEffect::Abandoned {
                    reason,
                    phase,
                    charged,
                } => {
                    process.pending.conclusion = Some(Conclusion::Abandoned {
                        reason,
                        phase,
                        charged: charged && around.mutation != Mutation::Uncharged,
                    });
                }
                CoordinatorEffect::Rejected { from, fault } => {
                    outcomes.push(Outcome::Rejected { from, fault });
                }
            }
        }
        let snapshot = machine.snapshot();
        match place {
            Some(
                place @ (CrashPlace::BeforePersist
                | CrashPlace::WriteFails
                | CrashPlace::TornSecrets
                | CrashPlace::SecretsOnly
                | CrashPlace::TornKept
                | CrashPlace::KeptOnly),
            ) => return self.die(place, outcomes),
            Some(place @ CrashPlace::TornJournal) => {
                let half = snapshot.len() / 2;
                self.torn = Some(snapshot[..half].to_vec());
                return self.die(place, outcomes);
            }
            Some(
                CrashPlace::JournalOnly
                | CrashPlace::ReachedOnly
                | CrashPlace::Persisted
                | CrashPlace::Recorded
                | CrashPlace::Sent(_),
            )
            | None => {}
        }
        let pending = process.pending.clone();
        self.store.attempt = Some(StoredAttempt { snapshot, pending });
        if let Some(
            place @ (CrashPlace::Persisted | CrashPlace::JournalOnly | CrashPlace::ReachedOnly),
        ) = place
        {
            return self.die(place, outcomes);
        }
        let early = around.log.len();
        self.write_records(around);
        if place == Some(CrashPlace::Recorded) {
            return self.die(CrashPlace::Recorded, outcomes);
        }
        self.deals.extend(late);
        self.reveals.0.extend(late_reveals);
        let logged = match around.mutation {
            Mutation::SendBeforeRecord => early,
            _ => around.log.len(),
        };
        let sum = self
            .process
            .as_ref()
            .and_then(|process| process.pending.sum.clone());
        for (count, (to, outgoing)) in (0..).zip(sends) {
            if place == Some(CrashPlace::Sent(count)) {
                break;
            }
            let Ok(delivery) = outgoing.delivery(&self.deals) else {
                outcomes.push(Outcome::Missing(to));
                continue;
            };
            outcomes.push(Outcome::Sent {
                to,
                sum: sum.clone().filter(|_| is(&delivery, "Release")),
                delivery,
                logged,
            });
        }
        if let Some(place) = place {
            return self.die(place, outcomes);
        }
        if let Some(job) = job {
            outcomes.push(self.unmask(around, &job));
        }
        if let Some((mut product, sum)) = check.zip(sum) {
            product.add_chunk(0, &sum);
            outcomes.push(Outcome::Working {
                until: around.now + CHECKING,
                work: CoordinatorWork::Checked {
                    product: Box::new(product),
                },
            });
        }
        if let Some(entry) = commits {
            let place = around.log.append(entry);
            outcomes.push(Outcome::Working {
                until: around.now + COSIGNING,
                work: CoordinatorWork::Committed { place },
            });
        }
        self.conclude(around, outcomes);
    }

    pub(super) fn die(&mut self, place: CrashPlace, outcomes: &mut Vec<Outcome>) {
        self.trap = None;
        self.process = None;
        outcomes.push(Outcome::Died(place));
    }

    /// Writes the stored records; the log keeps one of each.
    pub(super) fn write_records(&mut self, around: &mut Around<'_>) {
        let Some(process) = &mut self.process else {
            return;
        };
        for entry in process.pending.records.clone() {
            let is_release = matches!(
                entry,
                Entry::Record {
                    kind: RecordKind::Released,
                    ..
                }
            );
            let place = around.log.append(entry);
            if is_release {
                process.pending.release = Some(place);
            }
        }
    }

    fn unmask(&self, around: &Around<'_>, job: &UnmaskJob) -> Outcome {
        let spool = Spool {
            chunks: &self.spool,
            id: job.plan().id,
        };
        let mut packed = SumChunks::default();
        let recovered = job.run(&spool, &mut packed);
        let mut sum = packed.words(job.plan()).unwrap_or_default();
        let digest = match sum.first_mut() {
            Some(word) if around.mutation == Mutation::OneUnitMore => {
                *word = word.wrapping_add(1) & around.study.bits.mask();
                let other = SumChunks::pack(job.plan(), &sum).and_then(|sum| job.digest(&sum));
                recovered.and_then(|_| other.map_err(|_| UnmaskFault::OtherSum))
            }
            Some(_) | None => recovered,
        };
        let work = match digest {
            Ok(digest) => CoordinatorWork::Summed { sum, digest },
            Err(fault) => CoordinatorWork::Unusable {
                reason: fault.to_string(),
            },
        };
        Outcome::Working {
            until: around.now + UNMASKING,
            work,
        }
    }

    /// Ends the attempt in the store if it has ended; says whether it had.
    pub(super) fn conclude(&mut self, around: &Around<'_>, outcomes: &mut Vec<Outcome>) -> bool {
        let Some(process) = &mut self.process else {
            return false;
        };
        let Some((machine, conclusion)) = process
            .machine
            .as_ref()
            .zip(process.pending.conclusion.clone())
        else {
            return false;
        };
        let plan = machine.plan().clone();
        match conclusion {
            Conclusion::Released { survivors } => {
                let sent = survivors.first().map(|silo| machine.outbox(silo));
                let delivery = sent
                    .and_then(|mut sent| {
                        sent.rfind(|sent| sent.envelope.peek_name() == Some("Release"))
                    })
                    .and_then(|outgoing| outgoing.delivery(&self.deals).ok());
                let sum = process.pending.sum.clone().unwrap_or_default();
                let forgets = around.mutation == Mutation::AskAgain;
                let committed =
                    around
                        .log
                        .newest_first(around.log.len())
                        .find_map(|entry| match entry {
                            Entry::SumCommitted { id, digest } if *id == plan.id => Some(*digest),
                            Entry::SumCommitted { .. }
                            | Entry::Record { .. }
                            | Entry::Accepted { .. }
                            | Entry::Started { .. } => None,
                        });
                let place = process.pending.release.filter(|_| !forgets);
                if let Some(((delivery, place), digest)) = delivery.zip(place).zip(committed) {
                    let release = StoredRelease {
                        id: plan.id,
                        delivery,
                        sum: sum.clone(),
                        digest,
                        place,
                    };
                    self.store.releases.push(release);
                }
                if let Some(digest) = committed.filter(|_| !forgets) {
                    self.store.model = next_model(&self.store.model, &digest);
                }
                if !forgets {
                    self.store.round = plan.id.round;
                }
                let named = match around.mutation {
                    Mutation::NameFewer => survivors.into_iter().take(2).collect(),
                    _ => survivors,
                };
                outcomes.push(Outcome::Released {
                    plan: plan.clone(),
                    survivors: named,
                    sum,
                });
            }
            Conclusion::Abandoned {
                reason,
                phase,
                charged,
            } => outcomes.push(Outcome::Abandoned {
                id: plan.id,
                reason,
                phase,
                charged,
            }),
        }
        process.machine = None;
        process.pending = Pending::default();
        self.store.attempt = None;
        self.spool.retain(|(id, _, _), _| *id != plan.id);
        self.deals.clear();
        self.reveals.0.clear();
        outcomes.push(open_at(around.now + PAUSE));
        true
    }
}

/// How long the work takes, in milliseconds.
const UNMASKING: u64 = 10;
const COSIGNING: u64 = 15;
const CHECKING: u64 = 5;
