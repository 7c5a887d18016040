// SPDX-License-Identifier: Apache-2.0
//! Identity, membership and mutual TLS: who takes part, and how everybody else can tell.
//!
//! Keys are made where they are used and never sent. A [`Roster`] names the coordinator, the member
//! silos and the people who may submit studies; version 1 is signed by **every** founder, each later
//! version by a quorum of the members before it, so neither the coordinator nor the certificate
//! authority can add a silo that its members did not agree to.
//!
//! Names to know:
//!
//! * [`IdentityFolder`]: the keys and certificates of one participant on disk, and next to it
//!   [`secret_file`], [`FolderLock`] and [`RosterFolder`];
//! * [`Invitation`]: the one line a newcomer receives, and [`EnrolmentRequest`], its answer;
//! * [`Roster`], [`SignedRoster`] and [`VerifiedRoster`]: proposed, signed and believed membership;
//! * [`CertificateAuthority`]: issues the short-lived certificates that TLS needs;
//! * [`tls`]: the three rustls configurations, and [`PeerIdentity`], who is at the other end.
//!
//! What this crate refuses to do: hold a TLS connection open to anything below TLS 1.3, read a secret
//! that other users of the machine may read, take a name or a right from a certificate request (only
//! its public key counts), or treat a certificate as membership. Only the roster is membership.
//!
//! Time and the seeds of identity keys are arguments. The one exception is the P-256 key of TLS, whose
//! randomness is the TLS library's own, as is that of every handshake. Files are touched in [`folder`]
//! only.

pub mod ca;
pub mod certificate;
pub mod channel_binding;
pub mod enrolment;
pub mod folder;
pub mod identity;
pub mod invitation;
pub mod name;
pub mod roster;
pub mod short_code;
pub mod tls;
pub mod unix_seconds;

mod pem;

pub use ca::{AuthorityFault, CertificateAuthority, IssuedCertificate};
pub use certificate::{
    CertificateFacts, CertificateFault, CertificateTrust, PeerIdentity, peer_identity,
};
pub use channel_binding::ChannelBinding;
pub use enrolment::{Enrolled, EnrolmentFault, EnrolmentRequest, EnrolmentResponse};
pub use folder::identity_folder::{IdentityFolder, IdentityFolderFault};
pub use folder::lock::{FolderLock, LockFault};
pub use folder::roster_folder::{RosterFolder, RosterFolderFault};
pub use folder::secret_file::{self, SecretFileFault};
pub use identity::{KeyFault, TlsKey};
pub use invitation::{Invitation, InvitationFault, InvitationRecord, InvitationTerms};
pub use name::{Name, NameFault, Role};
pub use roster::signed::{SignatureOutcome, SignedRoster, VerifiedRoster};
pub use roster::{CoordinatorEntry, Member, Person, Roster, RosterFault, RosterParts};
pub use short_code::ShortCode;
pub use tls::{TlsFault, TlsIdentity};
pub use unix_seconds::UnixSeconds;
