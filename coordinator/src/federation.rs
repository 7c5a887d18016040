// SPDX-License-Identifier: Apache-2.0
//! What the services, the scheduler and the rounds share: identity, roster, state, log and sessions.

use crate::config::Config;
use crate::input::Input;
use crate::log_keeper::{KeeperFault, LogKeeper, now};
use crate::progress::ProgressBoard;
use crate::replay_desk::ReplayDesk;
use crate::sessions::Sessions;
use crate::silo_service::Departures;
use crate::spool::Spool;
use crate::store::{StoreFault, StoreHandle, StoredRoster};
use consilium_audit::witness::WitnessSetFault;
use consilium_audit::{Actor, Event, EventKind, WitnessSet};
use consilium_certs::folder::roster_folder::{RosterFolder, RosterFolderFault};
use consilium_certs::{
    CertificateAuthority, Name, PeerIdentity, Role, RosterFault, SignedRoster, VerifiedRoster,
    peer_identity,
};
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::{Signature, SigningKey};
use consilium_protocol::{Membership, RoundPlan, SiloName, SiloNameFault};
use consilium_wire::server::PeerInfo;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tonic::Status;

/// Everything that the parts of the service share.
pub struct Federation {
    /// What the operator decided.
    pub config: Config,
    /// The coordinator's name.
    pub name: Name,
    /// Signs every message of the coordinator.
    pub signing_key: SigningKey,
    /// Certifies newcomers. It cannot make a member: the roster does.
    pub authority: CertificateAuthority,
    /// The durable state.
    pub store: StoreHandle,
    /// The blobs.
    pub spool: Arc<Spool>,
    /// The shared audit log.
    pub log: LogKeeper,
    /// The connected silos.
    pub sessions: Sessions,
    /// What researchers see of running studies.
    pub progress: ProgressBoard,
    /// To the scheduler.
    pub inputs: mpsc::Sender<Input>,
    /// Where published rosters lie.
    pub roster_folder: PathBuf,
    /// Held while a signature is added to the draft.
    pub draft: tokio::sync::Mutex<()>,
    /// The roster in force.
    pub roster: watch::Sender<Option<Arc<PublishedRoster>>>,
    /// Changes whenever a silo has signed that it verified a released sum.
    pub(crate) accepted: watch::Sender<()>,
    /// The plan of the attempt in flight: only its chunks are taken.
    pub current_plan: RwLock<Option<Arc<RoundPlan>>>,
    /// Where survivors fetch what it takes to compute a sum again.
    pub(crate) replays: ReplayDesk,
    /// How many large messages leave at a time.
    pub(crate) departures: Departures,
}

/// The roster in force, in the forms that are asked for.
#[derive(Debug)]
pub struct PublishedRoster {
    /// As its members agreed to it.
    pub roster: VerifiedRoster,
    /// As the protocol sees it.
    pub membership: Membership,
}

/// Why a roster cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum PublishFault {
    /// It is not agreed, or not the next one.
    #[error(transparent)]
    Roster(#[from] RosterFault),
    /// It cannot be pinned.
    #[error(transparent)]
    Folder(#[from] RosterFolderFault),
    /// A member's name that the protocol does not allow.
    #[error(transparent)]
    SiloName(#[from] SiloNameFault),
    /// Witness keys that make no set.
    #[error("the roster's witness keys make no set of witnesses")]
    Witnesses(#[from] WitnessSetFault),
    /// The log.
    #[error(transparent)]
    Log(#[from] KeeperFault),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A stored roster that cannot be read.
    #[error("the stored draft of the roster cannot be read")]
    Draft(#[source] serde_json::Error),
    /// Nothing to sign.
    #[error("no draft of a roster waits for signatures")]
    NoDraft,
    /// Another draft than the one shown.
    #[error("the draft has changed; read it again before signing")]
    OtherDraft,
    /// The task that did the work ended early.
    #[error("the service is stopping")]
    Stopped,
}

/// What came of a signature on the draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DraftState {
    /// Members that have signed.
    pub signatures: usize,
    /// Members that must sign.
    pub needed: usize,
    /// Whether the roster is in force now.
    pub published: bool,
}

impl PublishedRoster {
    /// Puts a roster that its members agreed to into the forms that are asked for.
    pub fn new(roster: VerifiedRoster) -> Result<Self, SiloNameFault> {
        let silos = roster
            .members()
            .iter()
            .map(|member| Ok((SiloName::parse(member.name.as_str())?, member.identity)))
            .collect::<Result<_, SiloNameFault>>()?;
        let membership = Membership {
            epoch: roster.version(),
            roster_root: roster.root(),
            coordinator: roster.coordinator().key,
            silos,
            colluders: roster.colluders(),
        };
        Ok(Self { roster, membership })
    }

    /// The members as witnesses of the log.
    pub fn witnesses(&self) -> Result<WitnessSet, WitnessSetFault> {
        let keys = self
            .roster
            .members()
            .iter()
            .map(|member| (member.name.to_string(), member.witness));
        let quorum = usize::try_from(self.roster.witness_quorum()).unwrap_or(usize::MAX);
        WitnessSet::new(keys, quorum)
    }
}

impl Federation {
    /// The roster in force.
    #[must_use]
    pub fn roster(&self) -> Option<Arc<PublishedRoster>> {
        self.roster.borrow().clone()
    }

    /// The plan of the attempt in flight.
    #[must_use]
    pub fn current_plan(&self) -> Option<Arc<RoundPlan>> {
        self.current_plan
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Opens or closes the spool for an attempt.
    pub fn set_current_plan(&self, plan: Option<RoundPlan>) {
        *self
            .current_plan
            .write()
            .unwrap_or_else(PoisonError::into_inner) = plan.map(Arc::new);
    }

    /// The coordinator as an actor in the log.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::coordinator(self.name.as_str())
    }

    /// Who is at the other end of a request, by its certificate.
    pub fn peer<T>(&self, request: &tonic::Request<T>) -> Result<PeerIdentity, Status> {
        let peer = request
            .extensions()
            .get::<PeerInfo>()
            .ok_or_else(|| Status::internal("the connection has no peer"))?;
        peer_identity(&peer.certificates)
            .map_err(|fault| Status::unauthenticated(format!("no usable certificate: {fault}")))
    }

    /// Who is at the other end of a request, when the roster in force admits it.
    pub fn member<T>(&self, request: &tonic::Request<T>) -> Result<PeerIdentity, Status> {
        let peer = self.peer(request)?;
        let roster = self.roster().ok_or_else(|| {
            Status::failed_precondition(
                "no roster is in force; every member must sign the founding roster first",
            )
        })?;
        if roster.roster.admits(&peer) {
            Ok(peer)
        } else {
            let why = format!(
                "the {} `{}` is not in the roster in force",
                peer.role, peer.name
            );
            Err(Status::permission_denied(why))
        }
    }

    /// Whether the roster in force is still this one: asked for every frame of a session.
    #[must_use]
    pub fn is_in_force(&self, roster_root: &Digest) -> bool {
        self.roster()
            .is_some_and(|roster| roster.membership.roster_root == *roster_root)
    }

    /// Takes a member's signature on the draft; the last one needed puts the roster in force.
    pub async fn sign_draft(
        &self,
        name: Name,
        root: [u8; 32],
        signature: Signature,
    ) -> Result<DraftState, PublishFault> {
        let _alone = self.draft.lock().await;
        let rosters = self.store.with(|store| store.rosters()).await?;
        let draft = rosters.into_iter().rfind(|roster| !roster.published);
        let draft = draft.ok_or(PublishFault::NoDraft)?;
        let mut signed: SignedRoster =
            serde_json::from_str(&draft.text).map_err(PublishFault::Draft)?;
        let roster = consilium_certs::Roster::parse(&signed.roster)?;
        if roster.root().as_bytes() != &root {
            return Err(PublishFault::OtherDraft);
        }
        let current = self.roster();
        let previous = current.as_deref().map(|current| &current.roster);
        signed.add(previous, &name, signature)?;
        let text = serde_json::to_string(&signed).map_err(PublishFault::Draft)?;
        let stored = StoredRoster { text, ..draft };
        self.store
            .with({
                let stored = stored.clone();
                move |store| store.save_roster(&stored)
            })
            .await?;
        self.log
            .append_one(
                Event::new(EventKind::RosterSigned, now(), Actor::silo(name.as_str()))
                    .with_reference("roster", roster.root()),
            )
            .await?;
        let voters = previous.map_or_else(|| roster.members(), |previous| previous.members());
        let missing = signed.missing(voters).len();
        let needed = match previous {
            None => voters.len(),
            Some(previous) => usize::try_from(previous.witness_quorum()).unwrap_or(usize::MAX),
        };
        let signatures = voters.len() - missing;
        let published = signatures >= needed;
        if published {
            self.publish(signed, stored).await?;
        }
        Ok(DraftState {
            signatures,
            needed,
            published,
        })
    }

    /// Puts an agreed roster in force. Sessions under the one before end.
    async fn publish(
        &self,
        signed: SignedRoster,
        stored: StoredRoster,
    ) -> Result<(), PublishFault> {
        let folder = self.roster_folder.clone();
        let verified = tokio::task::spawn_blocking(move || {
            let mut folder = RosterFolder::open(&folder)?;
            folder.pin(&signed).cloned()
        })
        .await
        .map_err(|_| PublishFault::Stopped)??;
        self.announce(PublishedRoster::new(verified)?, stored).await
    }

    /// Logs and stores that a pinned roster is in force, and puts it in force. Repeated after a kill in between.
    async fn announce(
        &self,
        published: PublishedRoster,
        stored: StoredRoster,
    ) -> Result<(), PublishFault> {
        let witnesses = published.witnesses()?;
        let event = Event::new(EventKind::RosterPublished, now(), self.actor())
            .with_reference("roster", published.roster.root())
            .with_detail("version", published.roster.version().to_string());
        let text = published.roster.text().to_owned();
        self.log
            .with(move |log| log.put_object(text.as_bytes()))
            .await?;
        self.log.append_one(event).await?;
        self.log
            .with(move |log| log.set_witnesses(witnesses))
            .await?;
        let stored = StoredRoster {
            published: true,
            ..stored
        };
        self.store
            .with(move |store| store.save_roster(&stored))
            .await?;
        tracing::info!(version = published.roster.version(), "a roster is in force");
        self.roster.send_replace(Some(Arc::new(published)));
        self.sessions.close_all();
        self.inputs.send(Input::RosterChanged).await.ok();
        Ok(())
    }

    /// After a start: finishes a publication that a kill interrupted once the roster was pinned.
    pub async fn finish_publication(&self) -> Result<(), PublishFault> {
        let Some(current) = self.roster() else {
            return Ok(());
        };
        let version = current.roster.version();
        let rosters = self.store.with(|store| store.rosters()).await?;
        let unfinished = rosters
            .into_iter()
            .find(|stored| stored.version == version && !stored.published);
        match unfinished {
            Some(stored) => {
                let again = PublishedRoster::new(current.roster.clone())?;
                self.announce(again, stored).await
            }
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Federation({})", self.name)
    }
}

/// Milliseconds since the start of 1970.
#[must_use]
pub fn unix_milliseconds() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The role as the log spells it.
#[must_use]
pub fn actor_of(peer: &PeerIdentity) -> Actor {
    let name = peer.name.as_str();
    match peer.role {
        Role::Coordinator => Actor::coordinator(name),
        Role::Silo => Actor::silo(name),
        Role::Researcher => Actor::researcher(name),
        Role::Officer => Actor::officer(name),
        Role::Operator => Actor::operator(name),
    }
}
