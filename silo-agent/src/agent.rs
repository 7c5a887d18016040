// SPDX-License-Identifier: Apache-2.0
//! The agent's one loop: everything that happens comes in as an [`Input`], one at a time.
//!
//! ```text
//! coordinator_link ──frames──> inputs ──> agent ──> journal, ledger, own log   (first)
//! trainer, masking ──results──> inputs      └────> frames, trainer, masking    (then)
//! ```
//!
//! A failure of the journal, the ledger or the log ends the process: an agent that cannot remember refuses to work.

mod approvals;
mod offers;
mod opening;
mod releases;
mod replays;
mod restore;
mod rounds;
mod steps;
mod uploads;
mod witnessing;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use consilium_audit::entry::{EventKind, Outcome};
use consilium_audit::log::LogFault;
use consilium_audit::note::NoteFault;
use consilium_audit::witness::Witness;
use consilium_certs::{IdentityFolder, IdentityFolderFault, VerifiedRoster};
use consilium_crypto::digest::Digest;
use consilium_crypto::mersenne::Element;
use consilium_crypto::secret::Secret;
use consilium_policies::{Isolation, Word};
use consilium_protocol::{
    AttemptId, Delivery, Membership, ReplayOutcome, RestoreFault, RoundPlan, SiloMachine, SiloName,
    SiloNameFault, SiloSurroundings, UnmaskFault,
};
use consilium_wire::StudyId;
use consilium_wire::limits::STUDY_BYTES;
use consilium_wire::v1::{self, coordinator_frame, silo_frame};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::attempt_files::AttemptFiles;
use crate::coordinator_link::{LinkEvent, Session};
use crate::crash::CrashPoint;
use crate::durable_file::FileFault;
use crate::explain;
use crate::journal::{Journal, JournalFault, StudyRecord};
use crate::ledger::{Ledger, LedgerFault};
use crate::own_log::{OwnLog, with_details};
use crate::randomness;
use crate::registration::DataSets;
use crate::shared_log::{SharedLog, SharedLogFault};
use crate::silo_folder::{SigningKeyFault, SiloFolder, membership};
use crate::study_terms::{StudyTerms, TermsFault};
use crate::trainer::Trainer;
use releases::ReleaseParts;
use replays::RunningReplay;
use uploads::RunningUpload;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// On the way to the coordinator.
    Link(LinkEvent),
    /// A trainer has looked at the data of an undecided study.
    Checked(offers::Checked),
    /// A trainer has answered and its contribution is protected and stored.
    Prepared {
        id: AttemptId,
        outcome: Result<work::Prepared, String>,
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

/// Why the agent cannot work.
#[derive(Debug, thiserror::Error)]
pub enum AgentFault {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The privacy ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
    /// The hospital's own log.
    #[error("the hospital's own log cannot be used")]
    Log(#[from] LogFault),
    /// A file of the folder.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The journal's state of the protocol.
    #[error(transparent)]
    Restore(#[from] RestoreFault),
    /// The keys.
    #[error(transparent)]
    Identity(#[from] IdentityFolderFault),
    /// A key.
    #[error(transparent)]
    Key(#[from] SigningKeyFault),
    /// The roster's log or witness keys.
    #[error(transparent)]
    SharedLog(#[from] SharedLogFault),
    /// The witness.
    #[error("this silo's name cannot sign as a witness")]
    Witness(#[from] NoteFault),
    /// A name of the roster.
    #[error(transparent)]
    Name(#[from] SiloNameFault),
    /// The roster does not hold this silo with these keys.
    #[error(
        "the pinned roster does not hold `{0}` with the keys in `identity/`; sign a roster that does"
    )]
    NotAMember(String),
    /// The trainer.
    #[error("the trainer process cannot be used: {0}")]
    Trainer(String),
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

/// A message that waits for its time on the public grid.
struct Delayed {
    due: Instant,
    study: String,
    delivery: Delivery,
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

/// What an agent is opened with.
pub(crate) struct AgentParts {
    pub(crate) folder: SiloFolder,
    pub(crate) roster: VerifiedRoster,
    pub(crate) trainer: Trainer,
    pub(crate) crash_point: Option<CrashPoint>,
    pub(crate) inputs: SyncSender<Input>,
    pub(crate) log_size: watch::Sender<u64>,
}

impl Agent {
    /// Opens everything that the agent remembers, checks it, and takes up unfinished work.
    pub(crate) fn open(parts: AgentParts) -> Result<Agent, AgentFault> {
        let AgentParts {
            folder,
            roster,
            trainer,
            crash_point,
            inputs,
            log_size,
        } = parts;
        let identity = folder.open_identity()?;
        let name = SiloName::parse(identity.name().as_str())?;
        let is_member = roster.member(name.as_str()).is_some_and(|member| {
            member.identity == identity.identity_key().verifying_key()
                && identity
                    .witness_key()
                    .is_ok_and(|key| key.verifying_key() == member.witness)
        });
        if !is_member {
            return Err(AgentFault::NotAMember(name.to_string()));
        }
        let mut journal = Journal::open(&folder.journal())?;
        let files = AttemptFiles::open(&folder.attempts())?;
        let ledger = Ledger::open(&folder.ledger(), &mut journal, files.instance())?;
        let own_log = OwnLog::open(&folder.log(), name.as_str(), folder.identity_key()?)?;
        let bait = folder.identity().join("identity.json");
        let (isolation, open_ways) = trainer
            .probe(&bait.to_string_lossy())
            .map_err(|fault| AgentFault::Trainer(explain(&fault)))?;
        let shared_log = SharedLog::new(&roster, name.as_str())?;
        let head = journal.witnessed()?;
        log_size.send_replace(head.size);
        let mut agent = Agent {
            witness: shared_log.witness(folder.witness_key()?, head)?,
            membership: membership(&roster)?,
            data_sets: DataSets::of(folder.path()),
            machine: SiloMachine::new(files.instance()),
            start_nonce: randomness::digest(),
            step_number: 0,
            recorded: None,
            secrets_at: None,
            attempt: None,
            terms: BTreeMap::new(),
            releases: ReleaseParts::default(),
            delayed: Vec::new(),
            answers: Vec::new(),
            checking: BTreeSet::new(),
            session: None,
            upload: None,
            replay: None,
            next_poll: Instant::now(),
            folder,
            name,
            identity,
            roster,
            shared_log,
            journal,
            ledger,
            own_log,
            files,
            trainer,
            isolation,
            crash_point,
            log_size,
            inputs,
        };
        agent.log_start(&open_ways)?;
        agent.restore()?;
        Ok(agent)
    }

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
            Input::Link(LinkEvent::Connected(session)) => {
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

    fn frame(&mut self, frame: coordinator_frame::Frame) -> Result<(), AgentFault> {
        use coordinator_frame::Frame;
        let study = match &frame {
            Frame::Offer(offer) => Some(offer.study_id.as_str()),
            Frame::Ended(ended) => Some(ended.study_id.as_str()),
            Frame::Protocol(message) => Some(message.study_id.as_str()),
            Frame::Cosign(_)
            | Frame::ReleaseChunk(_)
            | Frame::UploadProgress(_)
            | Frame::ReplayPart(_)
            | Frame::Welcome(_)
            | Frame::Heartbeat(_) => None,
        };
        // SECURITY: from here on a study's name is 64 digits, whatever it enters: log, journal or answer.
        if let Some(Err(fault)) = study.map(StudyId::parse) {
            warn!("a frame of the coordinator was discarded: {fault}");
            return Ok(());
        }
        match frame {
            Frame::Offer(offer) => self.offer_arrived(offer),
            Frame::Ended(ended) => self.ended(&ended),
            Frame::Protocol(message) => self.protocol_message(message),
            Frame::Cosign(request) => self.cosign(&request),
            Frame::ReleaseChunk(chunk) => self.release_chunk(chunk),
            Frame::UploadProgress(progress) => {
                if let Some(upload) = &self.upload {
                    upload.progress(&progress);
                }
                Ok(())
            }
            Frame::ReplayPart(part) => {
                if let Some(replay) = &self.replay {
                    replay.answered(part);
                }
                Ok(())
            }
            // The welcome and heartbeats are the link's.
            Frame::Welcome(_) | Frame::Heartbeat(_) => Ok(()),
        }
    }

    /// SECURITY: offers are kept, so they are bounded in size and in number before anything else looks at them.
    fn offer_arrived(&mut self, offer: v1::StudyOffer) -> Result<(), AgentFault> {
        let fits = offer.study.len() <= STUDY_BYTES
            && offer.invited.len() <= MOST_INVITED
            && offer.invited.iter().all(|name| name.len() <= LONGEST_NAME)
            && offer.researcher.len() <= LONGEST_NAME
            && offer.signature.len() <= LONGEST_NAME;
        if !fits {
            warn!("a study was offered that is larger than any study here; it was discarded");
            return Ok(());
        }
        if self.journal.study(&offer.study_id)?.is_none()
            && self.journal.open_studies()? >= MOST_OPEN_STUDIES
        {
            let reason = "as many studies are open here as an agent takes at one time";
            return self.decline(&offer.study_id, "busy", reason);
        }
        self.offered(offer)
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

    fn until_next_duty(&self) -> Duration {
        let next = self
            .delayed
            .iter()
            .map(|delayed| delayed.due)
            .chain(self.answers.iter().map(|(due, _)| *due))
            .min()
            .unwrap_or(self.next_poll)
            .min(self.next_poll);
        next.saturating_duration_since(Instant::now())
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            self.answers.drain(..).partition(|(due, _)| *due <= now);
        self.answers = later;
        for (_, answer) in due {
            self.send(answer);
        }
        let (due, later): (Vec<_>, Vec<_>) = self
            .delayed
            .drain(..)
            .partition(|delayed| delayed.due <= now);
        self.delayed = later;
        for Delayed {
            study, delivery, ..
        } in due
        {
            self.send_protocol(&study, delivery);
        }
    }

    /// Sends a frame if there is a session. What is lost with a session is asked for again in the next one.
    fn send(&self, frame: silo_frame::Frame) {
        if let Some(session) = &self.session {
            session.send(frame);
        }
    }

    /// Sends an answer about a study: at once, or when it is due.
    fn answer(&mut self, due: Option<Instant>, frame: silo_frame::Frame) {
        match due {
            None => self.send(frame),
            Some(due) => self.answers.push((due, frame)),
        }
    }

    fn send_protocol(&self, study: &str, delivery: Delivery) {
        self.send(silo_frame::Frame::Protocol(v1::ProtocolMessage::new(
            study, delivery,
        )));
    }

    /// Tells the coordinator, in one word, that this silo takes no further part in a study.
    fn decline(&mut self, study: &str, word: &str, reason: &str) -> Result<(), AgentFault> {
        // Neither word nor time of an answer tells more than the coordinator may know; nor does standard error.
        warn!(study, told = word, "declined; this silo's own log says why");
        let in_flight = self
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.study == study);
        let due = in_flight.then(|| self.next_grid_time());
        self.own_log.record_study(
            EventKind::StudyNotReady,
            study,
            Outcome::Failed,
            &[("told", word), ("reason", reason)],
        )?;
        let declined = silo_frame::Frame::Declined(v1::Declined {
            study_id: study.to_owned(),
            reason: word.to_owned(),
        });
        self.answer(due, declined);
        Ok(())
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

    fn log_start(&mut self, open_ways: &[String]) -> Result<(), AgentFault> {
        info!(silo = %self.name, isolation = self.isolation.as_str(), "agent started");
        let started = self.own_log.event(EventKind::SystemStarted)?;
        let nonce = self.start_nonce.to_string();
        self.own_log
            .record(&with_details(started, &[("nonce", &nonce)]))?;
        let entered = self.own_log.event(EventKind::SandboxEntered)?;
        let ways = if open_ways.is_empty() {
            "none".to_owned()
        } else {
            open_ways.join(", ")
        };
        if self.isolation < Isolation::NoNetwork || !open_ways.is_empty() {
            warn!(
                isolation = self.isolation.as_str(),
                open_ways = ways,
                "the trainer is not walled in on this host"
            );
        }
        let details = [
            ("isolation", self.isolation.as_str()),
            ("open_ways", ways.as_str()),
        ];
        self.own_log.record(&with_details(entered, &details))?;
        Ok(())
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
/// Studies that may be offered, undecided or running at one time.
const MOST_OPEN_STUDIES: u64 = 64;
/// As many silos as a round may have.
const MOST_INVITED: usize = 500;
/// Names and signatures are shorter.
const LONGEST_NAME: usize = 256;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
