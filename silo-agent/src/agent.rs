// SPDX-License-Identifier: Apache-2.0
//! The agent's one loop: everything that happens comes in as an [`Input`], one at a time.
//!
//! ```text
//! coordinator_link ──frames──> inputs ──> agent ──> journal, ledger, own log   (first)
//! trainer, masking ──results──> inputs      └────> frames, trainer, masking    (then)
//! ```
//!
//! A failure of the journal, the ledger or the log ends the process: an agent that cannot remember refuses to work.

mod accusing;
mod answers;
mod approvals;
mod computing;
mod deciding;
mod fault;
mod frames;
mod offers;
mod opening;
mod releases;
mod replays;
mod restore;
mod rounds;
mod sending;
mod starting;
mod steps;
mod uploads;
mod witnessing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use consilium_audit::entry::EventKind;
use consilium_audit::witness::Witness;
use consilium_certs::{IdentityFolder, VerifiedRoster};
use consilium_crypto::digest::Digest;
use consilium_crypto::mersenne::Element;
use consilium_crypto::secret::Secret;
use consilium_policies::Isolation;
use consilium_protocol::{
    AttemptId, Membership, ReplayOutcome, RoundPlan, SiloMachine, SiloName, SiloSurroundings,
    UnmaskFault,
};
use consilium_wire::v1::silo_frame;
use tokio::sync::watch;

use crate::attempt_files::AttemptFiles;
use crate::coordinator_link::{LinkEvent, Session};
use crate::crash::CrashPoint;
use crate::journal::{Journal, StudyRecord};
use crate::ledger::Ledger;
use crate::own_log::{OwnLog, with_details};
use crate::registration::DataSets;
use crate::shared_log::SharedLog;
use crate::silo_folder::SiloFolder;
use crate::study_terms::{StudyTerms, TermsFault};
use crate::trainer::Trainer;
use accusing::Refusals;
pub use fault::AgentFault;
use releases::ReleaseParts;
use replays::RunningReplay;
use sending::Delayed;
pub(crate) use starting::AgentParts;
use uploads::RunningUpload;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// On the way to the coordinator.
    Link(LinkEvent),
    /// A trainer has looked at the data of an undecided study.
    Checked(deciding::Checked),
    /// A trainer has answered and its contribution is protected and stored.
    Prepared {
        id: AttemptId,
        outcome: Result<computing::Prepared, String>,
    },
    /// The masked vector is spooled.
    Masked {
        id: AttemptId,
        outcome: Result<(Digest, u64), String>,
    },
    /// The challenge was applied to the stored vector.
    Tagged {
        id: AttemptId,
        outcome: Result<Secret<Element>, String>,
    },
    /// The coordinator has the upload on its disk, or why not.
    Uploaded {
        id: AttemptId,
        session: Session,
        outcome: Result<(), String>,
    },
    /// This silo's part of the sum was computed again, or why not.
    Replayed {
        id: AttemptId,
        session: Session,
        outcome: Result<ReplayOutcome, UnmaskFault>,
    },
    /// The process should end.
    Stop,
}

impl From<LinkEvent> for Input {
    fn from(event: LinkEvent) -> Input {
        Input::Link(event)
    }
}

/// Why the loop ended in good order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// It was asked to.
    Stopped,
    /// The coordinator runs another roster; it must be fetched and verified first.
    OtherRoster,
}

/// The attempt in flight.
#[derive(Clone, Debug)]
struct ActiveAttempt {
    plan: RoundPlan,
    study: String,
    /// The round within the study, from 1.
    round: u32,
    opened: Instant,
}

/// The agent of one silo.
pub(crate) struct Agent {
    folder: SiloFolder,
    name: SiloName,
    identity: IdentityFolder,
    roster: VerifiedRoster,
    membership: Membership,
    shared_log: SharedLog,
    witness: Witness,
    journal: Journal,
    ledger: Ledger,
    own_log: OwnLog,
    files: AttemptFiles,
    data_sets: DataSets,
    trainer: Trainer,
    isolation: Isolation,
    start_nonce: Digest,
    crash_point: Option<CrashPoint>,
    machine: SiloMachine,
    step_number: u64,
    /// The digest of the snapshot that the journal holds.
    recorded: Option<Digest>,
    /// Where the attempt's secrets are and what they hash to.
    secrets_at: Option<(AttemptId, u64, Digest)>,
    attempt: Option<ActiveAttempt>,
    terms: BTreeMap<String, Arc<StudyTerms>>,
    releases: ReleaseParts,
    refusals: Refusals,
    delayed: Vec<Delayed>,
    /// Answers about studies, and when they are due.
    answers: Vec<(Instant, silo_frame::Frame)>,
    /// Studies whose data a trainer is looking at.
    checking: BTreeSet<String>,
    session: Option<Session>,
    /// The upload that is on its way.
    upload: Option<RunningUpload>,
    /// The sum that is being computed again.
    replay: Option<RunningReplay>,
    log_size: watch::Sender<u64>,
    inputs: SyncSender<Input>,
    next_poll: Instant,
}

impl Agent {
    /// This installation, for the session's first frame.
    pub(crate) fn instance(&self) -> Digest {
        self.files.instance()
    }

    /// This process's start, for the session's first frame.
    pub(crate) fn start_nonce(&self) -> Digest {
        self.start_nonce
    }

    /// Handles inputs until one of them ends the loop.
    pub(crate) fn run(mut self, inputs: &Receiver<Input>) -> Result<Ended, AgentFault> {
        let ended = loop {
            match inputs.recv_timeout(self.until_next_duty()) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => break Ended::Stopped,
                Ok(Input::Link(LinkEvent::OtherRoster)) => break Ended::OtherRoster,
                Ok(input) => self.handle(input)?,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.send_due();
            if Instant::now() >= self.next_poll {
                self.next_poll = Instant::now() + POLL;
                self.poll()?;
            }
        };
        // Training, masking and uploading may go on for a while on threads of their own, but leave nothing behind.
        self.files.close();
        self.journal.set_status("connection", "stopped")?;
        let stopped = self.own_log.event(EventKind::SystemStopped)?;
        self.own_log.record(&stopped)?;
        self.own_log.sign_head()?;
        Ok(ended)
    }

    fn handle(&mut self, input: Input) -> Result<(), AgentFault> {
        match input {
            Input::Link(LinkEvent::Connected {
                session,
                own_cosignature,
            }) => {
                self.compare_with_own(&own_cosignature)?;
                self.session = Some(session);
                self.upload = None;
                self.replay = None;
                self.releases = ReleaseParts::default();
                Ok(self.journal.set_status("connection", "connected")?)
            }
            Input::Link(LinkEvent::Disconnected) => {
                self.session = None;
                self.upload = None;
                self.replay = None;
                Ok(self
                    .journal
                    .set_status("connection", "not connected; trying again")?)
            }
            Input::Link(LinkEvent::Frame(frame)) => self.frame(*frame),
            Input::Checked(checked) => self.checked(checked),
            Input::Prepared { id, outcome } => self.prepared(id, outcome),
            Input::Masked { id, outcome } => self.masked(id, outcome),
            Input::Tagged { id, outcome } => self.tagged(id, outcome),
            Input::Uploaded {
                id,
                session,
                outcome,
            } => self.uploaded(id, &session, outcome),
            Input::Replayed {
                id,
                session,
                outcome,
            } => self.replayed(id, &session, outcome),
            Input::Link(LinkEvent::OtherRoster) | Input::Stop => Ok(()),
        }
    }

    /// What no frame asks for: answers of people, and notes of other commands.
    fn poll(&mut self) -> Result<(), AgentFault> {
        while let Some(notice) = self.journal.next_notice()? {
            if let Ok(kind) = notice.kind.parse::<EventKind>() {
                let event = self.own_log.event(kind)?.with_object(notice.object.clone());
                self.own_log
                    .record(&with_details(event, &[("detail", &notice.detail)]))?;
            }
            self.journal.forget_notice(&notice)?;
        }
        self.poll_withdrawals()?;
        self.poll_approvals()
    }

    /// What follows from a study, derived once.
    fn terms_of(&mut self, record: &StudyRecord) -> Result<Arc<StudyTerms>, TermsFault> {
        if let Some(terms) = self.terms.get(&record.id) {
            return Ok(Arc::clone(terms));
        }
        let terms =
            StudyTerms::derive(&record.offer.study, &record.offer.invited, &self.membership)?;
        let terms = Arc::new(terms);
        self.terms.insert(record.id.clone(), Arc::clone(&terms));
        Ok(terms)
    }

    fn surroundings(&self) -> SiloSurroundings<'_> {
        SiloSurroundings {
            name: &self.name,
            signing_key: self.identity.identity_key(),
            membership: &self.membership,
            log: &self.shared_log,
            start_nonce: self.start_nonce,
        }
    }
}

/// Unix milliseconds.
fn now_milliseconds() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

const POLL: Duration = Duration::from_millis(500);
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
