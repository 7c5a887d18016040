// SPDX-License-Identifier: Apache-2.0
//! Witnesses: silos that cosign the log's head after they saw that it only grew
//! ([C2SP tlog-cosignature](https://c2sp.org/tlog-cosignature), Ed25519;
//! [tlog-witness](https://c2sp.org/tlog-witness) for what a witness checks).
//!
//! A coordinator that rewrites an event can sign the new tree with its true key. It cannot make a quorum of witnesses
//! cosign it: each remembers the last head it cosigned and asks for a proof that the new one extends it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use consilium_crypto::{
    digest::Digest,
    merkle,
    signing::{Signature, SigningKey, VerifyingKey},
    transcript::sha256,
};
use serde::{Deserialize, Serialize};

use crate::{
    acceptance::AcceptedRelease,
    checkpoint::{CheckpointFault, CheckpointNote},
    entry::AttemptReference,
    note::{
        self, KeyId, KeyName, NoteFault, NoteSignature, NoteVerifier, SignatureType, SignedNote,
    },
};

/// One witness of one log: its key, the log's key, and the last head it cosigned.
pub struct Witness {
    log: NoteVerifier,
    name: KeyName,
    key: SigningKey,
    head: WitnessHead,
}

impl Witness {
    /// A witness that last cosigned `head`; [`WitnessHead::empty`] for one that never did.
    pub fn new(
        log: NoteVerifier,
        name: &str,
        key: SigningKey,
        head: WitnessHead,
    ) -> Result<Self, NoteFault> {
        Ok(Self {
            log,
            name: KeyName::parse(name)?,
            key,
            head,
        })
    }

    /// The last head it cosigned. Store it before the cosignature leaves the machine.
    pub fn head(&self) -> &WitnessHead {
        &self.head
    }

    /// What others need to check this witness's cosignatures.
    pub fn verifier(&self) -> CosignatureVerifier {
        CosignatureVerifier::of(self.name.clone(), self.key.verifying_key())
    }

    /// Cosigns `checkpoint`, if the log signed it and `consistency` shows that it extends the last cosigned head.
    ///
    /// `old_size` is the size the proof starts from and must be the last cosigned one; `unix_seconds` is the witness's
    /// own clock. Cosigning one head twice is harmless.
    pub fn cosign(
        &mut self,
        checkpoint: &str,
        old_size: u64,
        consistency: &[Digest],
        unix_seconds: u64,
    ) -> Result<NoteSignature, CosignRefusal> {
        let new = CheckpointNote::open(checkpoint, &self.log)?;
        if old_size != self.head.size {
            return Err(CosignRefusal::OtherSize {
                cosigned: self.head.size,
                claimed: old_size,
            });
        }
        if new.size() < self.head.size {
            return Err(CosignRefusal::Shrunk {
                cosigned: self.head.size,
                offered: new.size(),
            });
        }
        let extends = if self.head.size == 0 {
            consistency.is_empty() && (new.size() > 0 || new.root() == self.head.root)
        } else {
            merkle::verify_consistency(
                self.head.size,
                &self.head.root,
                new.size(),
                &new.root(),
                consistency,
            )
        };
        if !extends {
            return Err(CosignRefusal::Fork {
                size: new.size(),
                cosigned: self.head.note.clone(),
                offered: checkpoint.to_owned(),
            });
        }
        let mut log_only = SignedNote::unsigned(new.note().text().to_owned())?;
        new.note()
            .signatures()
            .iter()
            .filter(|line| line.name() == self.log.origin())
            .for_each(|line| log_only.add(line.clone()));
        self.head = WitnessHead {
            size: new.size(),
            root: new.root(),
            note: log_only.to_string(),
        };
        Ok(self.sign(new.note().text(), unix_seconds))
    }

    /// Signs that this silo has verified a released sum. Sign nothing else about that attempt.
    pub fn accept(&self, attempt: AttemptReference, sum: &Digest) -> Signature {
        let origin = self.log.origin();
        AcceptedRelease {
            origin,
            attempt,
            sum,
        }
        .sign(&self.key)
    }

    fn sign(&self, text: &str, unix_seconds: u64) -> NoteSignature {
        let signature = self
            .key
            .sign_raw(signed_message(text, unix_seconds).as_bytes());
        NoteSignature {
            name: self.name.clone(),
            key_id: KeyId::new(
                &self.name,
                SignatureType::Cosignature,
                &self.key.verifying_key(),
            ),
            bytes: [unix_seconds.to_be_bytes().as_slice(), &signature.to_bytes()].concat(),
        }
    }
}

/// The last head a witness cosigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessHead {
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// The note with the log's signature: the evidence should the log ever show another tree of this size.
    pub note: String,
}

impl WitnessHead {
    /// The head of a log that nothing is known of.
    pub fn empty() -> Self {
        Self {
            size: 0,
            root: sha256(b""),
            note: String::new(),
        }
    }
}

/// Why a witness does not cosign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CosignRefusal {
    /// Not a checkpoint signed by the log.
    #[error("not a checkpoint of this log")]
    Checkpoint(#[from] CheckpointFault),
    /// The proof starts elsewhere; send one from `cosigned`.
    #[error("the proof starts at size `{claimed}`, the last cosigned size is `{cosigned}`")]
    OtherSize {
        /// The last cosigned size.
        cosigned: u64,
        /// The size the proof is said to start from.
        claimed: u64,
    },
    /// The log became shorter.
    #[error("the log shrank from `{cosigned}` to `{offered}` entries")]
    Shrunk {
        /// The last cosigned size.
        cosigned: u64,
        /// The size offered.
        offered: u64,
    },
    /// The log shows a tree that does not contain the cosigned one; both notes are evidence against it.
    #[error("the tree of `{size}` entries does not extend the one cosigned before")]
    Fork {
        /// The size offered.
        size: u64,
        /// The note of the last cosigned head.
        cosigned: String,
        /// The note offered.
        offered: String,
    },
}

impl From<NoteFault> for CosignRefusal {
    fn from(fault: NoteFault) -> Self {
        Self::Checkpoint(fault.into())
    }
}

/// One witness's public key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignatureVerifier {
    name: KeyName,
    key: VerifyingKey,
    key_id: KeyId,
}

impl CosignatureVerifier {
    /// The verifier of the witness of this name.
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteFault> {
        Ok(Self::of(KeyName::parse(name)?, key))
    }

    fn of(name: KeyName, key: VerifyingKey) -> Self {
        Self {
            key_id: KeyId::new(&name, SignatureType::Cosignature, &key),
            name,
            key,
        }
    }

    /// Reads a C2SP vkey of signature type 4.
    pub fn from_vkey(vkey: &str) -> Result<Self, NoteFault> {
        note::parse_vkey(vkey, SignatureType::Cosignature).map(|(name, key)| Self::of(name, key))
    }

    /// The C2SP vkey.
    pub fn to_vkey(&self) -> String {
        note::write_vkey(&self.name, SignatureType::Cosignature, &self.key)
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    pub(crate) fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The time of this witness's cosignature in Unix seconds, `None` when it has none; a wrong one is a fault.
    pub fn verify(&self, checkpoint: &CheckpointNote) -> Result<Option<u64>, NoteFault> {
        let Some(line) = checkpoint.note().by_key(&self.name, self.key_id)? else {
            return Ok(None);
        };
        let wrong = || NoteFault::WrongSignature {
            name: self.name.clone(),
        };
        let (time, signature) = line.bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
        let time = u64::from_be_bytes(*time);
        let signature = <[u8; 64]>::try_from(signature).map_err(|_| wrong())?;
        let message = signed_message(checkpoint.note().text(), time);
        self.key
            .verify_raw(message.as_bytes(), &Signature::from_bytes(signature))
            .map_err(|_| wrong())?;
        Ok(Some(time))
    }
}

/// The witnesses of a log, and how many of them must have cosigned a head before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessSet {
    members: BTreeMap<String, CosignatureVerifier>,
    quorum: usize,
}

impl WitnessSet {
    /// No witnesses: every head of the log counts. For a hospital's own log.
    pub fn none() -> Self {
        Self {
            members: BTreeMap::new(),
            quorum: 0,
        }
    }

    /// These witnesses, `quorum` of which must have cosigned.
    pub fn new(
        keys: impl IntoIterator<Item = (String, VerifyingKey)>,
        quorum: usize,
    ) -> Result<Self, WitnessSetFault> {
        let verifiers: Result<Vec<_>, _> = keys
            .into_iter()
            .map(|(name, key)| CosignatureVerifier::new(&name, key))
            .collect();
        Self::from_verifiers(verifiers?, quorum)
    }

    pub(crate) fn from_verifiers(
        verifiers: impl IntoIterator<Item = CosignatureVerifier>,
        quorum: usize,
    ) -> Result<Self, WitnessSetFault> {
        let (mut members, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for verifier in verifiers {
            let name = verifier.name().to_owned();
            // SECURITY: one key under two names would count twice.
            if !seen.insert(verifier.key.to_bytes())
                || members.insert(name.clone(), verifier).is_some()
            {
                return Err(WitnessSetFault::Repeated { name });
            }
        }
        if quorum == 0 || quorum > members.len() {
            return Err(WitnessSetFault::Quorum {
                quorum,
                witnesses: members.len(),
            });
        }
        Ok(Self { members, quorum })
    }

    /// How many must have cosigned.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// The witnesses in order of their names.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &CosignatureVerifier> {
        self.members.values()
    }

    /// The witness of this name.
    pub fn member(&self, name: &str) -> Option<&CosignatureVerifier> {
        self.members.get(name)
    }

    /// Which witnesses cosigned. Lines by unknown keys are ignored; a wrong line by a known one spoils the note.
    pub fn count_valid(&self, checkpoint: &CheckpointNote) -> Result<BTreeSet<&str>, NoteFault> {
        let mut names = BTreeSet::new();
        for witness in self.members.values() {
            if witness.verify(checkpoint)?.is_some() {
                names.insert(witness.name());
            }
        }
        Ok(names)
    }

    /// Demands a quorum, and returns who is in it.
    pub fn require_quorum(
        &self,
        checkpoint: &CheckpointNote,
    ) -> Result<BTreeSet<&str>, QuorumFault> {
        let names = self.count_valid(checkpoint)?;
        if names.len() < self.quorum {
            return Err(QuorumFault::TooFew {
                size: checkpoint.size(),
                cosigned: names.len(),
                quorum: self.quorum,
            });
        }
        Ok(names)
    }
}

impl fmt::Display for WitnessSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} of {} witnesses",
            self.quorum,
            self.members.len()
        )
    }
}

/// Why a set of witnesses makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessSetFault {
    /// A name that a key cannot have.
    #[error("not a witness")]
    Name(#[from] NoteFault),
    /// One witness twice.
    #[error("witness `{name}` has the name or the key of another one")]
    Repeated {
        /// Its name.
        name: String,
    },
    /// A quorum that nobody or everybody meets.
    #[error("a quorum of {quorum} among {witnesses} witnesses is not possible")]
    Quorum {
        /// The quorum asked for.
        quorum: usize,
        /// The number of witnesses.
        witnesses: usize,
    },
}

/// Why a checkpoint does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumFault {
    /// A cosignature by a known witness is wrong.
    #[error("a cosignature is wrong")]
    Note(#[from] NoteFault),
    /// Not enough cosignatures.
    #[error("checkpoint of `{size}` entries has {cosigned} cosignatures, {quorum} are needed")]
    TooFew {
        /// The checkpoint's size.
        size: u64,
        /// The cosignatures it has.
        cosigned: usize,
        /// The cosignatures it needs.
        quorum: usize,
    },
}

fn signed_message(checkpoint_text: &str, unix_seconds: u64) -> String {
    format!("cosignature/v1\ntime {unix_seconds}\n{checkpoint_text}")
}
