// SPDX-License-Identifier: Apache-2.0
//! Everything that an agent remembers, opened and checked before it says a word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use consilium_audit::entry::EventKind;
use consilium_certs::VerifiedRoster;
use consilium_policies::{Isolation, Word};
use consilium_protocol::{SiloMachine, SiloName};
use tokio::sync::watch;
use tracing::{info, warn};

use super::accusing::Refusals;
use super::releases::ReleaseParts;
use super::{Agent, AgentFault, Input};
use crate::attempt_files::{AttemptFiles, Reached};
use crate::crash::CrashPoint;
use crate::explain;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::own_log::{OwnLog, with_details};
use crate::randomness;
use crate::registration::DataSets;
use crate::shared_log::SharedLog;
use crate::silo_folder::{SiloFolder, membership};
use crate::trainer::Trainer;

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
        let reached = newest_journal(&folder, &journal, &files)?;
        let ledger = Ledger::open(
            &folder.ledger(),
            &mut journal,
            files.instance(),
            crash_point,
        )?;
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
            step_number: reached.step,
            recorded: None,
            secrets_at: None,
            attempt: None,
            terms: BTreeMap::new(),
            releases: ReleaseParts::default(),
            refusals: Refusals::default(),
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

/// How far the journal has gone. SECURITY: an old copy of it has forgotten votes, charges and what it cosigned, and
/// would answer the same questions otherwise.
fn newest_journal(
    folder: &SiloFolder,
    journal: &Journal,
    files: &AttemptFiles,
) -> Result<Reached, AgentFault> {
    let reached = Reached {
        step: journal.last_step()?.map_or(0, |step| step.number),
        cosigned: journal.witnessed()?.size,
    };
    let known = files.reached()?;
    if known.is_beyond(reached) {
        return Err(AgentFault::old_journal(folder, reached, known));
    }
    // A crash came between the two.
    if known != reached {
        files.record_reached(reached)?;
    }
    Ok(reached)
}
