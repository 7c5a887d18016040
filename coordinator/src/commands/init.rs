// SPDX-License-Identifier: Apache-2.0
//! `coordinator init`.

use super::OutputArguments;
use crate::config::Config;
use crate::folder::{CoordinatorFolder, log_origin, system_random};
use crate::spool::Spool;
use crate::store::sqlite::SqliteStore;
use anyhow::{Context, bail};
use clap::Args;
use consilium_audit::{Log, WitnessSet};
use consilium_certs::{CertificateAuthority, IdentityFolder, Name, Role, UnixSeconds, secret_file};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How long a new certificate authority is valid.
const AUTHORITY_VALIDITY: Duration = Duration::from_secs(10 * 365 * 86_400);

#[derive(Args)]
pub struct InitArguments {
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The coordinator's name in the roster
    #[arg(long)]
    name: String,
    /// The address and port to listen on; port 0 lets the system choose
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "ADDRESS")]
    listen: String,
    /// A host name or address under which silos reach it; the first one stands in invitations
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Initialised {
    dir: PathBuf,
    name: String,
    listen: String,
    hosts: Vec<String>,
    short_code: String,
}

pub(super) fn init(arguments: InitArguments) -> anyhow::Result<()> {
    let InitArguments {
        dir,
        name,
        listen,
        hosts,
        output,
    } = arguments;
    let name = Name::parse(&name)?;
    Role::Coordinator.accepts(&name)?;
    let hosts = if hosts.is_empty() {
        vec![host_of(&listen)?]
    } else {
        hosts
    };
    let folder = CoordinatorFolder::new(&dir);
    if folder.identity().exists() {
        bail!(
            "`{}` already holds a coordinator; choose another folder",
            dir.display()
        );
    }
    secret_file::create_folder(&dir)?;
    let now = UnixSeconds::from_system_time(SystemTime::now());
    let identity = IdentityFolder::create(
        &folder.identity(),
        Role::Coordinator,
        &name,
        &mut system_random()?,
    )?;
    let authority =
        CertificateAuthority::create(&format!("{name} authority"), now, AUTHORITY_VALIDITY)?;
    identity.store_authority(&authority)?;
    let request = identity.tls_key()?.certificate_request(&name)?;
    let certificate = authority.issue_server(&request, &name, &hosts, now)?;
    identity.install_certificate(&certificate.chain_pem(), authority.trust())?;
    let signer = folder.log_signer(&log_origin(name.as_str()))?;
    Log::create(&folder.log(), signer, WitnessSet::none()).context("the log cannot be made")?;
    SqliteStore::open(&folder.state())?;
    Spool::open(&folder.blobs())?;
    // Last: a folder with a configuration is complete.
    Config::new(name.as_str(), &listen, hosts.clone()).write(&dir)?;
    let made = Initialised {
        name: name.to_string(),
        short_code: identity.short_code().to_string(),
        dir,
        listen,
        hosts,
    };
    output.print(&made, |made| {
        format!(
            "made the coordinator `{}` in `{}`; its code for the telephone is {}\nnext: consilium coordinator run --dir {}",
            made.name,
            made.dir.display(),
            made.short_code,
            made.dir.display()
        )
    })
}

fn host_of(listen: &str) -> anyhow::Result<String> {
    let host = listen
        .rsplit_once(':')
        .map(|(host, _)| host.trim_matches(['[', ']']));
    match host {
        Some("" | "0.0.0.0" | "::") | None => {
            bail!(
                "`--listen {listen}` names no host; say with `--host` under which name silos reach it"
            )
        }
        Some(host) => Ok(host.to_owned()),
    }
}
