// SPDX-License-Identifier: Apache-2.0
//! The agent as a process: folder locked, roster pinned, then the link and the loop until somebody stops them.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use consilium_certs::{
    FolderLock, IdentityFolderFault, LockFault, RosterFolderFault, VerifiedRoster,
};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::agent::{Agent, AgentFault, AgentParts, Ended, Input};
use crate::config::{Config, ConfigFault};
use crate::coordinator_link::Link;
use crate::crash::CrashPoint;
use crate::enrolment::{self, MembershipFault};
use crate::explain;
use crate::silo_folder::{SigningKeyFault, SiloFolder};
use crate::trainer::{Trainer, TrainerCommand};

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The silo's folder.
    pub folder: PathBuf,
    /// How to start a trainer child.
    pub trainer: TrainerCommand,
    /// Where to crash, for tests and the demo; the deployed binary passes none.
    pub crash_point: Option<CrashPoint>,
}

/// Why an agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// `silo.toml`.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// The folder's lock.
    #[error(transparent)]
    Lock(#[from] LockFault),
    /// The keys.
    #[error(transparent)]
    Identity(#[from] IdentityFolderFault),
    /// A key.
    #[error(transparent)]
    Key(#[from] SigningKeyFault),
    /// The pinned rosters.
    #[error(transparent)]
    Roster(#[from] RosterFolderFault),
    /// Membership.
    #[error(transparent)]
    Membership(#[from] MembershipFault),
    /// The agent itself.
    #[error(transparent)]
    Agent(#[from] AgentFault),
    /// A thread of the agent broke off.
    #[error("the agent's thread broke off; its folder is as the last completed step left it")]
    BrokeOff,
}

/// Runs an agent until `shutdown` completes or it can work no longer.
pub async fn run(options: RunOptions, shutdown: impl Future<Output = ()>) -> Result<(), RunFault> {
    let mut shutdown = pin!(shutdown);
    let folder = SiloFolder::at(&options.folder);
    let config = Config::read(folder.path())?;
    let _lock = FolderLock::acquire(folder.path())?;
    let (mut pause, mut tried) = (ROSTER_PAUSE, None);
    loop {
        let roster = tokio::select! {
            roster = pinned_roster(&folder, &config) => roster?,
            () = &mut shutdown => return Ok(()),
        };
        let root = roster.root();
        match run_under(&options, &folder, &config, roster, shutdown.as_mut()).await? {
            Ended::Stopped => return Ok(()),
            Ended::OtherRoster => {
                info!("the federation has another roster; fetching and verifying it");
                // One that cannot be followed is asked for again, more and more rarely.
                pause = match tried.replace(root) {
                    Some(before) if before == root => (pause * 2).min(LONGEST_ROSTER_PAUSE),
                    Some(_) | None => ROSTER_PAUSE,
                };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = &mut shutdown => return Ok(()),
                }
            }
        }
    }
}

/// Brings the pinned roster up to date; waits for the first one to be published. What was published and does not follow
/// from what is pinned changes nothing: no answer of the coordinator ends an agent.
async fn pinned_roster(folder: &SiloFolder, config: &Config) -> Result<VerifiedRoster, RunFault> {
    let mut waiting = false;
    loop {
        match enrolment::pin_published(folder, config).await {
            Ok(_) => {}
            Err(fault) if is_foreign(&fault) => {
                warn!("{}; the pinned roster stays", explain(&fault))
            }
            Err(fault) => return Err(fault.into()),
        }
        if let Some(current) = folder.open_roster()?.current() {
            return Ok(current.clone());
        }
        if !waiting {
            info!("no roster is in force yet; waiting until every founder has signed it");
            waiting = true;
        }
        tokio::time::sleep(ROSTER_PAUSE).await;
    }
}

/// Whether a fault lies in the way to the coordinator or in what it sent, not in this silo's folder.
fn is_foreign(fault: &MembershipFault) -> bool {
    match fault {
        MembershipFault::Connect(_)
        | MembershipFault::Refused(_)
        | MembershipFault::Roster(_)
        | MembershipFault::Name(_)
        | MembershipFault::Signature(_)
        | MembershipFault::OtherCoordinator
        | MembershipFault::RosterFolder(
            RosterFolderFault::Roster(_) | RosterFolderFault::AnotherCoordinator,
        ) => true,
        MembershipFault::RosterFolder(
            RosterFolderFault::Damaged { .. }
            | RosterFolderFault::Empty
            | RosterFolderFault::Folder(_)
            | RosterFolderFault::Unavailable { .. },
        )
        | MembershipFault::Invitation(_)
        | MembershipFault::NotForASilo { .. }
        | MembershipFault::JoinedAlready { .. }
        | MembershipFault::Lock(_)
        | MembershipFault::Identity(_)
        | MembershipFault::Enrolment(_)
        | MembershipFault::Tls(_)
        | MembershipFault::Config(_)
        | MembershipFault::File(_)
        | MembershipFault::NoDraft
        | MembershipFault::NotInDraft { .. }
        | MembershipFault::NotSuccessor { .. } => false,
    }
}

async fn run_under(
    options: &RunOptions,
    folder: &SiloFolder,
    config: &Config,
    roster: VerifiedRoster,
    shutdown: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Result<Ended, RunFault> {
    let identity = folder.open_identity()?;
    let (inputs, received) = mpsc::sync_channel(INPUTS_WAITING);
    let (log_size, log_size_read) = watch::channel(0);
    let roster_root = roster.root();
    let parts = AgentParts {
        folder: folder.clone(),
        roster,
        trainer: Trainer::new(options.trainer.clone()),
        crash_point: options.crash_point,
        inputs: inputs.clone(),
        log_size,
    };
    let agent = tokio::task::spawn_blocking(move || Agent::open(parts))
        .await
        .map_err(|_| RunFault::BrokeOff)??;
    let link = Link {
        address: config.coordinator.address.clone(),
        server_name: config.coordinator.server_name.clone(),
        tls: enrolment::tls_config(config, &identity)?,
        identity: folder.identity_key()?,
        name: config.silo.name.to_string(),
        roster_root,
        instance: agent.instance(),
        start_nonce: agent.start_nonce(),
        reconnect: config.reconnect.clone(),
        log_size: log_size_read,
    };
    let (stop, stopped) = watch::channel(false);
    let link = tokio::spawn(link.run(inputs.clone(), stopped));
    let mut agent = pin!(tokio::task::spawn_blocking(move || agent.run(&received)));
    let ended = tokio::select! {
        ended = &mut agent => ended,
        () = shutdown => {
            // Only a loop that has already ended does not take it; one that is behind is waited for elsewhere.
            let inputs = inputs.clone();
            tokio::task::spawn_blocking(move || inputs.send(Input::Stop));
            agent.await
        }
    };
    stop.send_replace(true);
    // A link that broke off has nothing left to stop.
    let _ = link.await;
    Ok(ended.map_err(|_| RunFault::BrokeOff)??)
}

const ROSTER_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_ROSTER_PAUSE: Duration = Duration::from_secs(60);
/// SECURITY: what the coordinator sends waits on the line, not in this process's memory.
const INPUTS_WAITING: usize = 32;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use consilium_certs::{RosterFolder, SignedRoster};

    use super::*;
    use crate::test_federation::Federation;

    #[test]
    fn a_published_roster_that_does_not_follow_leaves_the_pinned_one_and_ends_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let federation = Federation::new();
        let key = federation.coordinator_key().verifying_key();
        let mut pinned = RosterFolder::open(folder.path()).unwrap();
        let unsigned = SignedRoster::unsigned(&federation.roster);
        let malformed = SignedRoster {
            roster: "{}".to_owned(),
            ..unsigned.clone()
        };
        for bad in [malformed, unsigned] {
            let fault = pinned.pin_published(&[bad], &key).unwrap_err();
            assert!(is_foreign(&fault.into()));
            assert!(pinned.current().is_none());
        }
        // What is wrong in this silo's own folder is for a person to mend.
        std::fs::write(folder.path().join("1.json"), "{}").unwrap();
        let fault = RosterFolder::open(folder.path()).unwrap_err();
        assert!(!is_foreign(&fault.into()));
    }
}
