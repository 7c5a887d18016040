// SPDX-License-Identifier: Apache-2.0
//! The keys and certificates of one participant.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use consilium_crypto::random::RandomSource;
use consilium_crypto::signing::SigningKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::secret_file::{self, SecretFileFault};
use super::{sync_parent, write_public};
use crate::ca::{AuthorityFault, CertificateAuthority};
use crate::certificate::{
    CertificateFacts, CertificateFault, CertificateTrust, PeerIdentity, read_chain,
};
use crate::enrolment::{EnrolmentKeys, short_code};
use crate::identity::{KeyFault, TlsKey, seed_from_pem, seed_to_pem};
use crate::name::{Name, Role};
use crate::short_code::ShortCode;
use crate::tls::{TlsFault, TlsIdentity};

/// The folder `identity/` of a participant, with its signing keys read.
#[derive(Debug)]
pub struct IdentityFolder {
    path: PathBuf,
    role: Role,
    name: Name,
    identity: SigningKey,
    /// The key that signs log heads: a silo's witness key, the coordinator's log key.
    log_head: Option<SigningKey>,
}

impl IdentityFolder {
    /// Makes the keys of a participant in a folder that does not exist yet. They appear together or
    /// not at all.
    pub fn create(
        path: &Path,
        role: Role,
        name: &Name,
        random: &mut dyn RandomSource,
    ) -> Result<Self, IdentityFolderFault> {
        if path.exists() {
            return Err(IdentityFolderFault::Exists {
                path: path.to_owned(),
            });
        }
        let unfinished = unfinished(path);
        match fs::remove_dir_all(&unfinished) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
                return Err(unavailable(&unfinished, fault));
            }
            Err(_) | Ok(()) => {}
        }
        secret_file::create_folder(&unfinished)?;
        let seed = seed_to_pem(&random.secret32());
        secret_file::write(&unfinished.join(IDENTITY_KEY), seed.expose())?;
        if let Some(file) = log_head_file(role) {
            let seed = seed_to_pem(&random.secret32());
            secret_file::write(&unfinished.join(file), seed.expose())?;
        }
        let tls_key = TlsKey::generate().map_err(|fault| key_fault(path, TLS_KEY, fault))?;
        secret_file::write(&unfinished.join(TLS_KEY), tls_key.to_pem().expose())?;
        let holder = Holder {
            name: name.clone(),
            role,
        };
        let mut description = serde_json::to_vec_pretty(&holder).map_err(|fault| {
            IdentityFolderFault::Description {
                path: path.to_owned(),
                fault,
            }
        })?;
        description.push(b'\n');
        let file = unfinished.join(DESCRIPTION);
        write_public(&file, &description).map_err(|fault| unavailable(&file, fault))?;
        fs::rename(&unfinished, path).map_err(|fault| unavailable(path, fault))?;
        sync_parent(path).map_err(|fault| unavailable(path, fault))?;
        Self::open(path)
    }

    /// Opens a folder that [`create`](Self::create) made.
    pub fn open(path: &Path) -> Result<Self, IdentityFolderFault> {
        let file = path.join(DESCRIPTION);
        let description = fs::read(&file).map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => IdentityFolderFault::Missing {
                path: path.to_owned(),
            },
            _ => unavailable(&file, fault),
        })?;
        let Holder { name, role } = serde_json::from_slice(&description)
            .map_err(|fault| IdentityFolderFault::Description { path: file, fault })?;
        secret_file::check_folder(path)?;
        let identity = read_signing_key(path, IDENTITY_KEY)?;
        let log_head = log_head_file(role)
            .map(|file| read_signing_key(path, file))
            .transpose()?;
        Ok(Self {
            path: path.to_owned(),
            role,
            name,
            identity,
            log_head,
        })
    }

    /// Opens the folder, or makes it if it does not exist. A folder of somebody else is refused.
    pub fn open_or_create(
        path: &Path,
        role: Role,
        name: &Name,
        random: &mut dyn RandomSource,
    ) -> Result<Self, IdentityFolderFault> {
        if !path.exists() {
            return Self::create(path, role, name, random);
        }
        let folder = Self::open(path)?;
        if folder.role != role || folder.name != *name {
            let holder = folder.participant();
            return Err(IdentityFolderFault::Another {
                path: path.to_owned(),
                holder,
            });
        }
        Ok(folder)
    }

    /// What the participant is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Role and name.
    pub fn participant(&self) -> PeerIdentity {
        PeerIdentity {
            role: self.role,
            name: self.name.clone(),
        }
    }

    /// The key that signs its statements.
    pub fn identity_key(&self) -> &SigningKey {
        &self.identity
    }

    /// The key with which a silo cosigns checkpoints.
    pub fn witness_key(&self) -> Result<&SigningKey, IdentityFolderFault> {
        self.key_of(Role::Silo, WITNESS_KEY)
    }

    /// The key with which the coordinator signs checkpoints.
    pub fn log_key(&self) -> Result<&SigningKey, IdentityFolderFault> {
        self.key_of(Role::Coordinator, LOG_KEY)
    }

    /// The key of its TLS certificate.
    pub fn tls_key(&self) -> Result<TlsKey, IdentityFolderFault> {
        let text = secret_file::read(&self.path.join(TLS_KEY))?;
        TlsKey::from_pem(&text).map_err(|fault| key_fault(&self.path, TLS_KEY, fault))
    }

    /// The keys to enrol with; `tls` is what [`tls_key`](Self::tls_key) gave.
    pub fn enrolment_keys<'a>(&'a self, tls: &'a TlsKey) -> EnrolmentKeys<'a> {
        let witness = match self.role {
            Role::Silo => self.log_head.as_ref(),
            Role::Coordinator | Role::Researcher | Role::Officer | Role::Operator => None,
        };
        EnrolmentKeys {
            identity: &self.identity,
            witness,
            tls,
        }
    }

    /// The code of its public keys, to be compared by telephone.
    pub fn short_code(&self) -> ShortCode {
        let log_head = self.log_head.as_ref().map(SigningKey::verifying_key);
        short_code(
            self.role,
            &self.name,
            &self.identity.verifying_key(),
            log_head.as_ref(),
        )
    }

    /// Keeps the certificate received, and whom to believe. The chain must be for our TLS key.
    pub fn install_certificate(
        &self,
        chain_pem: &str,
        trust: &CertificateTrust,
    ) -> Result<(), IdentityFolderFault> {
        TlsIdentity::new(chain_pem, self.tls_key()?, trust.clone())?;
        // The authorities first: a chain without them would look like a finished enrolment.
        for (file, text) in [(AUTHORITY, trust.to_pem()), (CHAIN, chain_pem.to_owned())] {
            let file = self.path.join(file);
            write_public(&file, text.as_bytes()).map_err(|fault| unavailable(&file, fault))?;
        }
        Ok(())
    }

    /// Whether a certificate has been installed.
    pub fn is_certified(&self) -> bool {
        self.path.join(CHAIN).exists()
    }

    /// The certificate, its key and whom to believe, for [`tls`](crate::tls).
    pub fn tls_identity(&self) -> Result<TlsIdentity, IdentityFolderFault> {
        let chain = self.read_public(CHAIN)?;
        let trust = CertificateTrust::from_pem(&self.read_public(AUTHORITY)?)?;
        Ok(TlsIdentity::new(&chain, self.tls_key()?, trust)?)
    }

    /// What the installed certificate says.
    pub fn certificate(&self) -> Result<CertificateFacts, IdentityFolderFault> {
        let chain = read_chain(&self.read_public(CHAIN)?)?;
        let leaf = chain.first().ok_or(CertificateFault::NotPresented)?;
        Ok(CertificateFacts::read(leaf)?)
    }

    /// Keeps a new certificate authority here. One that is here already is never replaced.
    pub fn store_authority(
        &self,
        authority: &CertificateAuthority,
    ) -> Result<(), IdentityFolderFault> {
        let key = authority.key_to_pem();
        secret_file::write_new(&self.path.join(AUTHORITY_KEY), key.expose())?;
        let file = self.path.join(AUTHORITY);
        write_public(&file, authority.trust().to_pem().as_bytes())
            .map_err(|fault| unavailable(&file, fault))
    }

    /// The certificate authority that is kept here.
    pub fn authority(&self) -> Result<CertificateAuthority, IdentityFolderFault> {
        let key = secret_file::read(&self.path.join(AUTHORITY_KEY))?;
        Ok(CertificateAuthority::from_pem(
            &self.read_public(AUTHORITY)?,
            &key,
        )?)
    }

    fn key_of(&self, role: Role, file: &'static str) -> Result<&SigningKey, IdentityFolderFault> {
        match &self.log_head {
            Some(key) if self.role == role => Ok(key),
            Some(_) | None => Err(IdentityFolderFault::NoSuchKey {
                file,
                role: self.role,
            }),
        }
    }

    fn read_public(&self, file: &str) -> Result<String, IdentityFolderFault> {
        let path = self.path.join(file);
        fs::read_to_string(&path).map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => IdentityFolderFault::NotCertified { path },
            _ => unavailable(&path, fault),
        })
    }
}

/// Why an identity folder is of no use.
#[derive(Debug, Error)]
pub enum IdentityFolderFault {
    /// It is there and would be overwritten.
    #[error("`{}` exists already; keys are never overwritten, name another folder", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// It is not there.
    #[error("there is no identity in `{}`; join or initialise first", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error("`{}` holds the identity of {holder}; name another folder", path.display())]
    Another {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        holder: PeerIdentity,
    },
    /// `identity.json` cannot be read.
    #[error("`{}` does not say whose identity this is", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        fault: serde_json::Error,
    },
    /// The role has no such key.
    #[error("a {role} has no `{file}`")]
    NoSuchKey {
        /// The key asked for.
        file: &'static str,
        /// What the participant is.
        role: Role,
    },
    /// No certificate yet.
    #[error("`{}` does not exist: the enrolment was not finished; run it again", path.display())]
    NotCertified {
        /// The missing file.
        path: PathBuf,
    },
    /// A key cannot be read.
    #[error("the key `{}` is of no use", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: KeyFault,
    },
    /// A secret file was refused.
    #[error(transparent)]
    SecretFile(#[from] SecretFileFault),
    /// A certificate is of no use.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// Key and certificate do not go together.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The authority is of no use.
    #[error(transparent)]
    Authority(#[from] AuthorityFault),
    /// The operating system refused.
    #[error("cannot use `{}`", path.display())]
    Unavailable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        fault: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder {
    name: Name,
    role: Role,
}

fn read_signing_key(folder: &Path, file: &str) -> Result<SigningKey, IdentityFolderFault> {
    let text = secret_file::read(&folder.join(file))?;
    let seed = seed_from_pem(&text).map_err(|fault| key_fault(folder, file, fault))?;
    Ok(SigningKey::from_seed(&seed))
}

fn log_head_file(role: Role) -> Option<&'static str> {
    match role {
        Role::Silo => Some(WITNESS_KEY),
        Role::Coordinator => Some(LOG_KEY),
        Role::Researcher | Role::Officer | Role::Operator => None,
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.unfinished"))
}

fn key_fault(folder: &Path, file: &str, fault: KeyFault) -> IdentityFolderFault {
    IdentityFolderFault::Key {
        path: folder.join(file),
        fault,
    }
}

fn unavailable(path: &Path, fault: io::Error) -> IdentityFolderFault {
    IdentityFolderFault::Unavailable {
        path: path.to_owned(),
        fault,
    }
}

const DESCRIPTION: &str = "identity.json";
const IDENTITY_KEY: &str = "identity.key";
const WITNESS_KEY: &str = "witness.key";
const LOG_KEY: &str = "log.key";
const TLS_KEY: &str = "tls.key";
const CHAIN: &str = "tls.crt";
const AUTHORITY: &str = "authority.crt";
const AUTHORITY_KEY: &str = "authority.key";
