// SPDX-License-Identifier: Apache-2.0
//! Joining a federation: keys made here, a certificate fetched, the roster signed and pinned.

use std::array::TryFromSliceError;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use consilium_certs::{
    EnrolmentFault, EnrolmentRequest, EnrolmentResponse, FolderLock, IdentityFolder,
    IdentityFolderFault, Invitation, InvitationFault, LockFault, Name, NameFault, Role, Roster,
    RosterFault, RosterFolder, RosterFolderFault, ShortCode, SignedRoster, TlsFault, UnixSeconds,
    tls,
};
use consilium_crypto::signing::Signature;
use consilium_wire::client::{self, ConnectFault, Connection};
use consilium_wire::v1;

use crate::config::{Config, ConfigFault, CoordinatorSection, SiloSection};
use crate::durable_file::{self, FileFault};
use crate::randomness;
use crate::silo_folder::SiloFolder;

/// Why a silo did not join, sign or pin.
#[derive(Debug, thiserror::Error)]
pub enum MembershipFault {
    /// The invitation.
    #[error(transparent)]
    Invitation(#[from] InvitationFault),
    /// An invitation for somebody else than a silo.
    #[error(
        "the invitation is for the {role} `{name}`; a silo joins with an invitation of role `silo`"
    )]
    NotForASilo {
        /// The role it is for.
        role: Role,
        /// The name it is for.
        name: Name,
    },
    /// The folder is a silo's already.
    #[error(
        "`{folder}` belongs to `{name}`, which has joined already; name another folder with `--dir`"
    )]
    JoinedAlready {
        /// The folder.
        folder: String,
        /// Its silo.
        name: Name,
    },
    /// The folder's lock.
    #[error(transparent)]
    Lock(#[from] LockFault),
    /// The keys.
    #[error(transparent)]
    Identity(#[from] IdentityFolderFault),
    /// The request or its answer.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentFault),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The way to the coordinator.
    #[error(transparent)]
    Connect(#[from] ConnectFault),
    /// The coordinator said no.
    #[error("the coordinator refused: {0}")]
    Refused(String),
    /// `silo.toml`.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// A file of the folder.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The roster.
    #[error(transparent)]
    Roster(#[from] RosterFault),
    /// The pinned rosters.
    #[error(transparent)]
    RosterFolder(#[from] RosterFolderFault),
    /// A name in what the coordinator sent.
    #[error(transparent)]
    Name(#[from] NameFault),
    /// A signature in what the coordinator sent.
    #[error("the coordinator sent a signature that is none")]
    Signature(#[from] TryFromSliceError),
    /// No draft waits.
    #[error(
        "no draft roster waits for signatures; ask the operator to propose one: `coordinator roster propose`"
    )]
    NoDraft,
    /// The draft does not hold this silo as it is.
    #[error(
        "the draft roster does not hold `{name}` with the keys in `identity/`; do not sign it and tell the operator"
    )]
    NotInDraft {
        /// This silo.
        name: Name,
    },
    /// The draft names another coordinator.
    #[error(
        "the draft roster names another coordinator key than the invitation did; do not sign it and tell the other hospitals"
    )]
    OtherCoordinator,
    /// The draft does not follow the pinned roster.
    #[error("the draft roster does not follow version {pinned}, which is pinned here")]
    NotSuccessor {
        /// The pinned version.
        pinned: u64,
    },
}

/// A silo that has joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its name.
    pub name: Name,
    /// To be compared by telephone.
    pub short_code: ShortCode,
    /// Where its coordinator is.
    pub coordinator: String,
}

/// Makes this silo's keys and has them certified. Run again after a failure, it goes on with the same keys.
pub async fn join(folder: &Path, line: &str) -> Result<Joined, MembershipFault> {
    let invitation = Invitation::parse(line)?;
    let terms = invitation.terms();
    if terms.role != Role::Silo {
        return Err(MembershipFault::NotForASilo {
            role: terms.role,
            name: terms.name.clone(),
        });
    }
    if Config::exists(folder) {
        let name = Config::read(folder)?.silo.name;
        return Err(MembershipFault::JoinedAlready {
            folder: folder.display().to_string(),
            name,
        });
    }
    let now = UnixSeconds::from_system_time(SystemTime::now());
    invitation.check_time(now)?;
    durable_file::private_folder(folder)?;
    let _lock = FolderLock::acquire(folder)?;
    let silo = SiloFolder::at(folder);
    let mut random = randomness::round_random();
    let identity =
        IdentityFolder::open_or_create(&silo.identity(), Role::Silo, &terms.name, &mut random)?;
    let tls_key = identity.tls_key()?;
    let request = EnrolmentRequest::make(&invitation, &identity.enrolment_keys(&tls_key), now)?;

    let tls = tls::enrolment_client_config(terms.ca_spki, &terms.coordinator)?;
    let connection = client::connect(&terms.address, &terms.server_name, tls).await?;
    let answer = client::enrolment(&connection)
        .join(join_request(&request))
        .await
        .map_err(refused)?
        .into_inner();
    let response = EnrolmentResponse {
        certificate_chain: answer.certificate_chain,
        authorities: answer.authorities,
    };
    let trust = response.check(&invitation, &tls_key, now)?;
    identity.install_certificate(&response.certificate_chain, &trust)?;
    // Last: a folder with `silo.toml` is one whose join is complete.
    let config = Config {
        silo: SiloSection {
            name: terms.name.clone(),
        },
        coordinator: CoordinatorSection {
            address: terms.address.clone(),
            server_name: terms.server_name.clone(),
            name: terms.coordinator.clone(),
            key: terms.coordinator_key,
            ca_spki: terms.ca_spki,
        },
        reconnect: crate::config::ReconnectSection::default(),
        officers: Vec::new(),
    };
    config.write(folder)?;
    Ok(Joined {
        name: terms.name.clone(),
        short_code: identity.short_code(),
        coordinator: terms.address.clone(),
    })
}

/// A connection as this silo.
pub(crate) async fn connect(
    config: &Config,
    identity: &IdentityFolder,
) -> Result<Connection, MembershipFault> {
    let tls = tls_config(config, identity)?;
    Ok(client::connect(
        &config.coordinator.address,
        &config.coordinator.server_name,
        tls,
    )
    .await?)
}

/// Mutual TLS with the coordinator that the invitation named.
pub(crate) fn tls_config(
    config: &Config,
    identity: &IdentityFolder,
) -> Result<Arc<rustls::ClientConfig>, MembershipFault> {
    Ok(tls::client_config(
        &identity.tls_identity()?,
        &config.coordinator.name,
    )?)
}

/// The draft that waits for this silo's signature, checked as far as a program can check it.
pub async fn fetch_draft(folder: &SiloFolder) -> Result<Roster, MembershipFault> {
    let config = Config::read(folder.path())?;
    let identity = folder.open_identity()?;
    let connection = connect(&config, &identity).await?;
    let answer = client::enrolment(&connection)
        .roster(v1::RosterRequest {})
        .await
        .map_err(refused)?
        .into_inner();
    let draft = Roster::parse(&answer.draft.ok_or(MembershipFault::NoDraft)?.roster)?;
    check_draft(&draft, &config, &identity, &folder.open_roster()?)?;
    Ok(draft)
}

fn check_draft(
    draft: &Roster,
    config: &Config,
    identity: &IdentityFolder,
    pinned: &RosterFolder,
) -> Result<(), MembershipFault> {
    if draft.coordinator().key != config.coordinator.key {
        return Err(MembershipFault::OtherCoordinator);
    }
    let witness = identity.witness_key()?.verifying_key();
    let listed = draft
        .member(config.silo.name.as_str())
        .is_some_and(|member| {
            member.identity == identity.identity_key().verifying_key() && member.witness == witness
        });
    if !listed {
        return Err(MembershipFault::NotInDraft {
            name: config.silo.name.clone(),
        });
    }
    match pinned.current() {
        Some(current) if draft.previous() != Some(current.root()) => {
            Err(MembershipFault::NotSuccessor {
                pinned: current.version(),
            })
        }
        Some(_) | None => Ok(()),
    }
}

/// How many have signed, of how many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signatures {
    /// Signatures there are.
    pub given: u32,
    /// Signatures it takes.
    pub needed: u32,
}

/// Signs a draft that a person has looked at.
pub async fn sign_draft(
    folder: &SiloFolder,
    draft: &Roster,
) -> Result<Signatures, MembershipFault> {
    let config = Config::read(folder.path())?;
    let identity = folder.open_identity()?;
    let connection = connect(&config, &identity).await?;
    let request = v1::SignRosterRequest {
        name: config.silo.name.to_string(),
        roster_root: draft.root().as_bytes().to_vec(),
        signature: draft.sign(identity.identity_key()).to_bytes().to_vec(),
    };
    let answer = client::enrolment(&connection)
        .sign_roster(request)
        .await
        .map_err(refused)?
        .into_inner();
    Ok(Signatures {
        given: answer.signatures,
        needed: answer.needed,
    })
}

/// Fetches published rosters and pins those that follow from what is pinned; says whether one is in force here.
pub(crate) async fn pin_published(
    folder: &SiloFolder,
    config: &Config,
) -> Result<bool, MembershipFault> {
    let identity = folder.open_identity()?;
    let connection = connect(config, &identity).await?;
    let answer = client::enrolment(&connection)
        .roster(v1::RosterRequest {})
        .await
        .map_err(refused)?
        .into_inner();
    let published: Vec<SignedRoster> = answer
        .published
        .into_iter()
        .map(signed_roster)
        .collect::<Result<_, _>>()?;
    let mut pinned = folder.open_roster()?;
    pinned.pin_published(&published, &config.coordinator.key)?;
    Ok(pinned.current().is_some())
}

fn signed_roster(published: v1::SignedRoster) -> Result<SignedRoster, MembershipFault> {
    let mut signatures = BTreeMap::new();
    for (name, signature) in published.signatures {
        signatures.insert(
            Name::parse(&name)?,
            Signature::try_from(signature.as_slice())?,
        );
    }
    Ok(SignedRoster {
        roster: published.roster,
        signatures,
    })
}

fn join_request(request: &EnrolmentRequest) -> v1::JoinRequest {
    let optional = |bytes: Option<Vec<u8>>| bytes.unwrap_or_default();
    v1::JoinRequest {
        role: request.role.to_string(),
        name: request.name.to_string(),
        token: request.token.expose().to_vec(),
        certificate_request: request.certificate_request.clone(),
        identity: request.identity.to_bytes().to_vec(),
        witness: optional(request.witness.map(|key| key.to_bytes().to_vec())),
        identity_signature: request.identity_signature.to_bytes().to_vec(),
        witness_signature: optional(
            request
                .witness_signature
                .map(|signature| signature.to_bytes().to_vec()),
        ),
    }
}

fn refused(status: tonic::Status) -> MembershipFault {
    MembershipFault::Refused(status.message().to_owned())
}
