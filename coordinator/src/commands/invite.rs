// SPDX-License-Identifier: Apache-2.0
//! `coordinator invite`, also known as `certs invite`.

use super::OutputArguments;
use crate::config::Config;
use crate::folder::{CoordinatorFolder, system_random};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use anyhow::{Context, bail};
use clap::Args;
use consilium_certs::{Invitation, InvitationTerms, Name, Role, UnixSeconds};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Whom to invite.
#[derive(Args)]
pub struct InviteArguments {
    /// The newcomer's name
    name: String,
    /// What the newcomer is to be: silo, researcher, officer or operator
    #[arg(long)]
    role: Role,
    /// The coordinator's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// How long the invitation is good
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
    hours: u32,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Invited {
    invitation: String,
    name: String,
    role: Role,
    expires_unix_seconds: u64,
}

/// Makes an invitation and prints its line.
pub fn invite(arguments: InviteArguments) -> anyhow::Result<()> {
    let InviteArguments {
        name,
        role,
        dir,
        hours,
        output,
    } = arguments;
    let name = Name::parse(&name)?;
    role.accepts(&name)?;
    let folder = CoordinatorFolder::new(&dir);
    let config = Config::read(&dir)?;
    let identity = folder.open_identity()?;
    let mut store = SqliteStore::open(&folder.state())?;
    if store
        .participants()?
        .iter()
        .any(|participant| participant.name == name.as_str())
    {
        bail!("`{name}` has already joined");
    }
    let server_name = config
        .hosts
        .first()
        .context("`hosts` in coordinator.toml is empty")?
        .clone();
    let port = match config.public_port {
        Some(port) => port,
        None => listening_port(&config, &folder)?,
    };
    let address = match server_name.contains(':') {
        true => format!("[{server_name}]:{port}"),
        false => format!("{server_name}:{port}"),
    };
    let terms = InvitationTerms {
        address,
        server_name,
        coordinator: identity.name().clone(),
        coordinator_key: identity.identity_key().verifying_key(),
        ca_spki: identity.authority()?.spki_digest(),
        role,
        name: name.clone(),
    };
    let now = UnixSeconds::from_system_time(SystemTime::now());
    let valid_for = Duration::from_secs(u64::from(hours) * 3600);
    let (invitation, record) = Invitation::issue(terms, now, valid_for, &mut system_random()?)?;
    store.add_invitation(&record.token_hash, &serde_json::to_string(&record)?)?;
    let invited = Invited {
        invitation: invitation.to_line().to_string(),
        name: name.to_string(),
        role,
        expires_unix_seconds: invitation.expires().0,
    };
    output.print(&invited, |invited| invited.invitation.clone())
}

fn listening_port(config: &Config, folder: &CoordinatorFolder) -> anyhow::Result<u16> {
    let port = |address: &str| {
        address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
    };
    match port(&config.listen) {
        Some(0) => folder
            .read_ready()
            .and_then(|ready| port(&ready.address))
            .context("the system chooses the port at each start: start the coordinator first"),
        Some(port) => Ok(port),
        None => bail!("`listen` in coordinator.toml names no port"),
    }
}
