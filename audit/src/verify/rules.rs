// SPDX-License-Identifier: Apache-2.0
//! What a true history obeys, beyond being signed.
//!
//! Judged is what the coordinator says of rounds and studies, and the consents and refusals of silos. Nobody else says what
//! became of a round in the shared log, where it would be judged by nothing; a hospital's own log, whose round events are
//! the silo's, has no witnesses and no coordinator, and passes untouched. A step written twice with the same facts, as
//! after a restart, is one step.

mod sets;

use std::collections::{BTreeMap, BTreeSet};

use self::sets::Sets;
use super::{Finding, Rule};
use crate::entry::{ActorRole, AttemptReference, Entry, Event, EventKind};

/// The findings. `quorate` holds the sizes of all heads with a quorum; `None` when the log has no witnesses.
/// `accepted` names, for each entry of acceptances, the silos whose signatures in it are right.
pub(super) fn check(
    entries: &[Entry],
    quorate: Option<&BTreeSet<u64>>,
    accepted: &BTreeMap<u64, BTreeSet<String>>,
) -> Vec<Finding> {
    let mut history = History {
        quorate,
        ..History::default()
    };
    let by_coordinator = |entry: &Entry| entry.event.actor.role == ActorRole::Coordinator;
    let is_shared = quorate.is_some() || entries.iter().any(by_coordinator);
    for entry in entries {
        let (kind, by_coordinator) = (entry.event.kind, by_coordinator(entry));
        if is_shared && !by_coordinator && is_the_coordinators(kind) {
            history.misattributed(entry);
        } else if kind == EventKind::StudySubmitted {
            history.study(&entry.event).submitted = true;
        } else if kind == EventKind::StudyConsented {
            history.consented(entry);
        } else if ENDS_A_STUDY.contains(&kind) {
            history.ended(&entry.event);
        } else if kind == EventKind::StudyCompleted && by_coordinator {
            history.completed(entry);
        } else if kind == EventKind::RoundOpened && by_coordinator {
            history.opened(entry);
        } else if kind == EventKind::RoundAccepted && by_coordinator {
            history.accepted(entry, accepted.get(&entry.sequence));
        } else if step(kind).is_some() && by_coordinator {
            history.stepped(entry);
        }
    }
    history.findings
}

#[derive(Default)]
struct History<'a> {
    quorate: Option<&'a BTreeSet<u64>>,
    studies: BTreeMap<String, StudyHistory>,
    attempts: BTreeMap<AttemptReference, AttemptHistory<'a>>,
    released_rounds: BTreeMap<(u64, u64), AttemptReference>,
    newest_attempt: Option<AttemptReference>,
    findings: Vec<Finding>,
}

#[derive(Default)]
struct StudyHistory {
    submitted: bool,
    consents: BTreeSet<String>,
    ended: Option<EventKind>,
    last_release: Option<u64>,
    last_is_accepted: bool,
}

#[derive(Default)]
struct AttemptHistory<'a> {
    study: Option<String>,
    steps: BTreeMap<EventKind, (u64, &'a Event)>,
    closed: bool,
    sets: Sets,
}

impl<'a> History<'a> {
    fn study(&mut self, event: &Event) -> &mut StudyHistory {
        let id = event
            .study
            .as_ref()
            .map_or_else(String::new, |study| study.id.clone());
        self.studies.entry(id).or_default()
    }

    fn find(&mut self, rule: Rule, entry: &Entry, what: String) {
        self.findings.push(Finding {
            rule,
            entry: Some(entry.sequence),
            what,
        });
    }

    fn misattributed(&mut self, entry: &Entry) {
        let event = &entry.event;
        let what = format!(
            "`{}` tells `{}`, and is no coordinator",
            event.actor.name, event.kind
        );
        self.find(Rule::Actor, entry, what);
    }

    fn consented(&mut self, entry: &Entry) {
        let actor = &entry.event.actor;
        if actor.role != ActorRole::Silo {
            return self.find(
                Rule::Consent,
                entry,
                format!("`{}` is no silo and cannot consent", actor.name),
            );
        }
        let name = actor.name.clone();
        self.study(&entry.event).consents.insert(name);
    }

    fn ended(&mut self, event: &Event) {
        self.study(event).ended.get_or_insert(event.kind);
    }

    fn completed(&mut self, entry: &Entry) {
        let study = self.study(&entry.event);
        let (ended, release, accepted) = (
            study.ended.replace(EventKind::StudyCompleted),
            study.last_release,
            study.last_is_accepted,
        );
        match ended {
            Some(EventKind::StudyCompleted) => return,
            Some(kind) => self.find(
                Rule::Consent,
                entry,
                format!("the study ended with `{kind}` before"),
            ),
            None => {}
        }
        match release {
            Some(release) => {
                self.demand_quorum(entry, release, "the study completed");
                self.demand_acceptance(entry, release, accepted, "the study completed");
            }
            None => self.find(
                Rule::RoundOrder,
                entry,
                "the study completed without a release".to_owned(),
            ),
        }
    }

    fn opened(&mut self, entry: &'a Entry) {
        let event = &entry.event;
        let Some(attempt) = event.attempt else { return };
        if self.is_repeat(entry, attempt) {
            return;
        }
        let Some(id) = event.study.as_ref().map(|study| study.id.clone()) else {
            return self.find(
                Rule::RoundOrder,
                entry,
                "the attempt names no study".to_owned(),
            );
        };
        if self.newest_attempt.is_some_and(|newest| attempt <= newest) {
            self.find(
                Rule::RoundOrder,
                entry,
                format!("{} is not above the last one", spoken(attempt)),
            );
        }
        self.newest_attempt = self.newest_attempt.max(Some(attempt));
        let Some(aggregation) = &event.aggregation else {
            return self.find(
                Rule::Consent,
                entry,
                "the attempt names no invited silos".to_owned(),
            );
        };
        let invited = &aggregation.invited;
        let study = self.study(event);
        let (submitted, ended, last_release) = (study.submitted, study.ended, study.last_release);
        let accepted = study.last_is_accepted;
        let missing: Vec<_> = invited
            .iter()
            .filter(|silo| !study.consents.contains(*silo))
            .cloned()
            .collect();
        if !submitted {
            self.find(
                Rule::Consent,
                entry,
                "nobody submitted the study before".to_owned(),
            );
        }
        if let Some(kind) = ended {
            self.find(
                Rule::Consent,
                entry,
                format!("the study ended with `{kind}` before"),
            );
        }
        if !missing.is_empty() {
            self.find(
                Rule::Consent,
                entry,
                format!("`{}` did not consent before", missing.join("`, `")),
            );
        }
        if let Some(release) = last_release {
            self.demand_quorum(entry, release, "the next round was opened");
            self.demand_acceptance(entry, release, accepted, "the next round was opened");
        }
        let steps = BTreeMap::from([(event.kind, (entry.sequence, event))]);
        self.attempts.insert(
            attempt,
            AttemptHistory {
                study: Some(id),
                steps,
                closed: false,
                sets: Sets::opened(aggregation),
            },
        );
    }

    fn stepped(&mut self, entry: &'a Entry) {
        let event = &entry.event;
        let Some(attempt) = event.attempt else { return };
        if self.is_repeat(entry, attempt) {
            return;
        }
        let history = self.attempts.entry(attempt).or_default();
        let last = history.steps.keys().filter_map(|kind| step(*kind)).max();
        let missing: Vec<EventKind> = needed_before(event.kind)
            .iter()
            .filter(|kind| !history.steps.contains_key(kind))
            .copied()
            .collect();
        let repeated = history
            .steps
            .insert(event.kind, (entry.sequence, event))
            .is_some();
        let closed = history.closed;
        history.closed |= closes(event.kind);
        let wrong_sets = history.sets.step(event.kind, event.aggregation.as_ref());
        let committed = history.steps.get(&EventKind::RoundSumCommitted).copied();
        let study = history.study.clone();

        if closed {
            self.find(
                Rule::RoundOrder,
                entry,
                format!("{} was over before", spoken(attempt)),
            );
        }
        if repeated {
            self.find(
                Rule::RoundOrder,
                entry,
                format!("a second, different `{}`", event.kind),
            );
        } else if step(event.kind) < last {
            self.find(
                Rule::RoundOrder,
                entry,
                format!("`{}` comes too late", event.kind),
            );
        }
        for what in wrong_sets {
            self.find(Rule::Sets, entry, what);
        }
        for kind in missing {
            self.find(
                Rule::RoundOrder,
                entry,
                format!("`{}` without `{kind}`", event.kind),
            );
        }
        if event.kind == EventKind::RoundReleased {
            self.released(entry, attempt, committed, study);
        }
    }

    fn released(
        &mut self,
        entry: &'a Entry,
        attempt: AttemptReference,
        committed: Option<(u64, &'a Event)>,
        study: Option<String>,
    ) {
        if let Some(other) = self
            .released_rounds
            .insert((attempt.epoch, attempt.round), attempt)
        {
            self.find(
                Rule::OneSum,
                entry,
                format!("{} released this round before", spoken(other)),
            );
        }
        if let Some((place, commitment)) = committed {
            let sum = |event: &Event| event.detail_digest("sum");
            if sum(commitment).is_none() || sum(commitment) != sum(&entry.event) {
                self.find(
                    Rule::OneSum,
                    entry,
                    "the sum is not the one that was committed to".to_owned(),
                );
            }
            self.demand_quorum(entry, place, "the sum was released");
        }
        if let Some(study) = study {
            let study = self.studies.entry(study).or_default();
            study.last_release = Some(entry.sequence);
            study.last_is_accepted = false;
        }
    }

    /// Silos are said to have verified the sum that was released; `signers` are those who did sign that.
    fn accepted(&mut self, entry: &'a Entry, signers: Option<&BTreeSet<String>>) {
        let event = &entry.event;
        let history = event
            .attempt
            .and_then(|attempt| self.attempts.get(&attempt));
        let released = history.and_then(|history| {
            let (place, release) = history.steps.get(&EventKind::RoundReleased)?;
            Some((history, *place, *release))
        });
        let Some((history, place, release)) = released else {
            let what = "the attempt that is said to be accepted released nothing".to_owned();
            return self.find(Rule::Accepted, entry, what);
        };
        let (needed, study) = (history.sets.fewest(), history.study.clone());
        let is_member = |silo: &&String| history.sets.invites(silo);
        let signed = signers.map_or(0, |signers| signers.iter().filter(is_member).count());
        if release.detail_digest("sum") != event.detail_digest("sum") {
            let what = "the accepted sum is not the one that was released".to_owned();
            return self.find(Rule::Accepted, entry, what);
        }
        if signed < needed {
            let what = format!("{signed} silos signed that they verified the sum, not {needed}");
            return self.find(Rule::Accepted, entry, what);
        }
        if let Some(study) = study.and_then(|id| self.studies.get_mut(&id)) {
            study.last_is_accepted |= study.last_release == Some(place);
        }
    }

    /// The silos of a release must have said that they verified it. Without witnesses there are no keys to check that.
    fn demand_acceptance(&mut self, entry: &Entry, release: u64, accepted: bool, what: &str) {
        if self.quorate.is_some() && !accepted {
            self.find(
                Rule::Accepted,
                entry,
                format!(
                    "{what} before its silos signed that they verified the sum of entry {release}"
                ),
            );
        }
    }

    /// A head with a quorum must lie between what was done first and what was done after it.
    fn demand_quorum(&mut self, entry: &Entry, first: u64, what: &str) {
        let Some(quorate) = self.quorate else { return };
        if first >= entry.sequence || quorate.range(first + 1..=entry.sequence).next().is_none() {
            self.find(
                Rule::Commit,
                entry,
                format!("{what} before entry {first} was cosigned by a quorum"),
            );
        }
    }

    fn is_repeat(&self, entry: &Entry, attempt: AttemptReference) -> bool {
        let event = &entry.event;
        self.attempts
            .get(&attempt)
            .and_then(|history| history.steps.get(&event.kind))
            .is_some_and(|(_, before)| {
                before.detail == event.detail
                    && before.references == event.references
                    && before.aggregation == event.aggregation
                    && before.study == event.study
            })
    }
}

/// Whether the coordinator alone says that it happened.
fn is_the_coordinators(kind: EventKind) -> bool {
    kind.belongs_to_an_attempt() || kind == EventKind::StudyCompleted
}

/// The place of a step within an attempt; `None` for what may come at any time.
fn step(kind: EventKind) -> Option<usize> {
    STEPS.iter().position(|steps| steps.contains(&kind))
}

/// The steps without which one cannot be.
fn needed_before(kind: EventKind) -> &'static [EventKind] {
    NEEDED_BEFORE
        .iter()
        .find(|(step, _)| *step == kind)
        .map_or(&[EventKind::RoundOpened], |(_, needed)| needed)
}

fn closes(kind: EventKind) -> bool {
    matches!(kind, EventKind::RoundReleased | EventKind::RoundAbandoned)
}

fn spoken(attempt: AttemptReference) -> String {
    format!(
        "attempt {} at round {} of epoch {}",
        attempt.attempt, attempt.round, attempt.epoch
    )
}

const STEPS: [&[EventKind]; 9] = [
    &[EventKind::RoundOpened],
    &[EventKind::RoundKeyBook],
    &[EventKind::RoundDealBook],
    &[EventKind::RoundFrozen],
    &[EventKind::RoundProposed],
    &[EventKind::RoundCertified],
    &[EventKind::RoundSumCommitted],
    &[EventKind::RoundReplayed],
    &[EventKind::RoundReleased, EventKind::RoundAbandoned],
];

const NEEDED_BEFORE: [(EventKind, &[EventKind]); 4] = [
    (
        EventKind::RoundCertified,
        &[EventKind::RoundOpened, EventKind::RoundFrozen],
    ),
    (
        EventKind::RoundSumCommitted,
        &[EventKind::RoundOpened, EventKind::RoundCertified],
    ),
    (EventKind::RoundReplayed, &[EventKind::RoundSumCommitted]),
    (EventKind::RoundReleased, &[EventKind::RoundSumCommitted]),
];

const ENDS_A_STUDY: [EventKind; 4] = [
    EventKind::StudyRefused,
    EventKind::StudyNotReady,
    EventKind::StudyCancelled,
    EventKind::StudyFailed,
];
