// SPDX-License-Identifier: Apache-2.0
//! The folder of a researcher or operator: identity, pinned roster and the coordinator's address.

use anyhow::{Context, bail};
use consilium_certs::folder::write_public;
use consilium_certs::{
    EnrolmentRequest, EnrolmentResponse, IdentityFolder, Invitation, Name, Role, RosterFolder,
    SignedRoster, UnixSeconds, secret_file, tls,
};
use consilium_crypto::random::RoundRandom;
use consilium_crypto::signing::{Signature, VerifyingKey};
use consilium_wire::client::{self, Connection};
use consilium_wire::v1;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What `user.toml` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserConfig {
    /// `host:port` of the coordinator.
    address: String,
    /// The name that its certificate is checked against.
    server_name: String,
    /// The coordinator's name in the roster.
    coordinator: Name,
    /// The key that the founding roster must name.
    coordinator_key: VerifyingKey,
}

/// A person who has joined.
pub(crate) struct User {
    folder: PathBuf,
    identity: IdentityFolder,
    config: UserConfig,
}

impl User {
    /// Opens the folder that [`join`] made.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("user.toml");
        let text = fs::read_to_string(&file).with_context(|| {
            format!(
                "`{}` cannot be read: join first, with `consilium certs join INVITATION --dir {}`",
                file.display(),
                folder.display()
            )
        })?;
        let config = toml::from_str(&text).with_context(|| format!("in `{}`", file.display()))?;
        let identity = IdentityFolder::open(&folder.join("identity"))?;
        Ok(Self {
            folder: folder.to_owned(),
            identity,
            config,
        })
    }

    pub(crate) fn identity(&self) -> &IdentityFolder {
        &self.identity
    }

    /// Connects over mutual TLS and pins any roster that has been published since.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        let config = tls::client_config(&self.identity.tls_identity()?, &self.config.coordinator)?;
        let connection =
            client::connect(&self.config.address, &self.config.server_name, config).await?;
        let response = client::enrolment(&connection)
            .roster(v1::RosterRequest {})
            .await
            .map_err(crate::remote::spoken)?
            .into_inner();
        let published: Vec<SignedRoster> = response
            .published
            .into_iter()
            .map(signed_roster)
            .collect::<anyhow::Result<_>>()?;
        RosterFolder::open(&self.folder.join("roster"))?
            .pin_published(&published, &self.config.coordinator_key)?;
        Ok(connection)
    }
}

/// Makes keys, redeems an invitation and keeps the certificate. Returns the code for the telephone.
pub(crate) async fn join(line: &str, folder: &Path) -> anyhow::Result<String> {
    let invitation = Invitation::parse(line)?;
    let terms = invitation.terms();
    if terms.role == Role::Silo {
        bail!(
            "the invitation is for the silo `{0}`: join with `consilium silo join INVITATION --dir {0}`",
            terms.name
        );
    }
    secret_file::create_folder(folder)?;
    let identity = IdentityFolder::open_or_create(
        &folder.join("identity"),
        terms.role,
        &terms.name,
        &mut random()?,
    )?;
    let key = identity.tls_key()?;
    let request = EnrolmentRequest::make(&invitation, &identity.enrolment_keys(&key), now())?;
    let config = tls::enrolment_client_config(terms.ca_spki, &terms.coordinator)?;
    let connection = client::connect(&terms.address, &terms.server_name, config).await?;
    let response = client::enrolment(&connection)
        .join(join_request(&request))
        .await
        .map_err(crate::remote::spoken)?
        .into_inner();
    let response = EnrolmentResponse {
        certificate_chain: response.certificate_chain,
        authorities: response.authorities,
    };
    let trust = response.check(&invitation, &key, now())?;
    identity.install_certificate(&response.certificate_chain, &trust)?;
    let config = UserConfig {
        address: terms.address.clone(),
        server_name: terms.server_name.clone(),
        coordinator: terms.coordinator.clone(),
        coordinator_key: terms.coordinator_key,
    };
    write_public(
        &folder.join("user.toml"),
        toml::to_string(&config)?.as_bytes(),
    )?;
    Ok(identity.short_code().to_string())
}

fn signed_roster(published: v1::SignedRoster) -> anyhow::Result<SignedRoster> {
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
    v1::JoinRequest {
        role: request.role.as_str().to_owned(),
        name: request.name.as_str().to_owned(),
        token: request.token.expose().to_vec(),
        certificate_request: request.certificate_request.clone(),
        identity: request.identity.to_bytes().to_vec(),
        witness: request
            .witness
            .map(|key| key.to_bytes().to_vec())
            .unwrap_or_default(),
        identity_signature: request.identity_signature.to_bytes().to_vec(),
        witness_signature: request
            .witness_signature
            .map(|signature| signature.to_bytes().to_vec())
            .unwrap_or_default(),
    }
}

/// Randomness of the operating system.
pub(crate) fn random() -> anyhow::Result<RoundRandom> {
    Ok(RoundRandom::from_operating_system()?)
}

pub(crate) fn now() -> UnixSeconds {
    UnixSeconds::from_system_time(SystemTime::now())
}
