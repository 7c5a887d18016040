// SPDX-License-Identifier: Apache-2.0
//! `coordinator roster`: a draft from everybody who joined, and the rosters so far.

use super::OutputArguments;
use crate::folder::{CoordinatorFolder, log_origin};
use crate::store::sqlite::SqliteStore;
use crate::store::{Participant, Store, StoredRoster};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use consilium_certs::{
    CoordinatorEntry, Member, Name, Person, Role, Roster, RosterFolder, RosterParts, SignedRoster,
};
use serde::Serialize;
use std::path::PathBuf;

/// Propose and look at rosters.
#[derive(Subcommand)]
pub enum RosterCommand {
    /// Put a draft with everybody who joined before the members
    #[command(
        after_help = "Example:\n  consilium coordinator roster propose --dir coordinator\n\nThe founding roster needs every silo's signature, each later one a quorum of the members before it:\n  consilium silo roster sign --dir SILO"
    )]
    Propose(RosterArguments),
    /// Show the draft and the roster in force
    #[command(
        after_help = "Example:\n  consilium coordinator roster show --dir coordinator --json"
    )]
    Show(RosterArguments),
}

/// Which coordinator.
#[derive(Args)]
pub struct RosterArguments {
    /// The coordinator's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// How many silos may collude with the coordinator; a third of them unless given
    #[arg(long, value_name = "N")]
    colluders: Option<u32>,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Shown {
    version: u64,
    published: bool,
    root: String,
    short_code: String,
    silos: Vec<String>,
    researchers: Vec<String>,
    officers: Vec<String>,
    operators: Vec<String>,
    colluders: u32,
    witness_quorum: u32,
    signed_by: Vec<String>,
}

pub(super) fn execute(command: RosterCommand) -> anyhow::Result<()> {
    match command {
        RosterCommand::Propose(arguments) => propose(arguments),
        RosterCommand::Show(arguments) => show(arguments),
    }
}

fn propose(arguments: RosterArguments) -> anyhow::Result<()> {
    let RosterArguments {
        dir,
        colluders,
        output,
    } = arguments;
    let folder = CoordinatorFolder::new(&dir);
    let identity = folder.open_identity()?;
    let mut store = SqliteStore::open(&folder.state())?;
    let participants = store.participants()?;
    let parts = RosterParts {
        coordinator: CoordinatorEntry {
            key: identity.identity_key().verifying_key(),
            log_key: identity.log_key()?.verifying_key(),
            log_origin: log_origin(identity.name().as_str()),
            name: identity.name().clone(),
        },
        members: members(&participants)?,
        researchers: people(&participants, Role::Researcher)?,
        officers: people(&participants, Role::Officer)?,
        operators: people(&participants, Role::Operator)?,
        ca_spki: vec![identity.authority()?.spki_digest()],
        colluders,
    };
    let rosters = RosterFolder::open(&folder.roster())?;
    let roster = match rosters.current() {
        None => Roster::found(parts)?,
        Some(current) if current.to_parts() == parts => {
            bail!(
                "nobody has joined or left since roster version {}",
                current.version()
            )
        }
        Some(current) => current.succeed(parts)?,
    };
    let signed = SignedRoster::unsigned(&roster);
    let repeated = store.rosters()?.into_iter().find(|stored| {
        let same = |signed: SignedRoster| signed.roster == roster.text();
        stored.version == roster.version()
            && serde_json::from_str(&stored.text)
                .map(same)
                .unwrap_or(false)
    });
    let stored = match repeated {
        // The same draft again keeps its signatures.
        Some(stored) => stored,
        None => {
            let text = serde_json::to_string(&signed)?;
            let stored = StoredRoster {
                version: roster.version(),
                published: false,
                text,
            };
            store.save_roster(&stored)?;
            stored
        }
    };
    output.print(&shown(&stored)?, |shown| {
        format!(
            "{}\nnext: every silo signs it with `consilium silo roster sign --dir SILO`",
            words(shown)
        )
    })
}

fn show(arguments: RosterArguments) -> anyhow::Result<()> {
    let folder = CoordinatorFolder::new(&arguments.dir);
    let store = SqliteStore::open(&folder.state())?;
    let rosters = store
        .rosters()?
        .iter()
        .map(shown)
        .collect::<anyhow::Result<Vec<_>>>()?;
    if rosters.is_empty() {
        bail!(
            "no roster has been proposed; invite members, then `consilium coordinator roster propose`"
        );
    }
    arguments.output.print(&rosters, |rosters| {
        rosters.iter().map(words).collect::<Vec<_>>().join("\n\n")
    })
}

fn members(participants: &[Participant]) -> anyhow::Result<Vec<Member>> {
    let silos = participants
        .iter()
        .filter(|participant| participant.role == Role::Silo.as_str());
    silos
        .map(|silo| {
            let witness = silo
                .witness
                .with_context(|| format!("the silo `{}` has no witness key", silo.name))?;
            Ok(Member {
                identity: silo.identity,
                name: Name::parse(&silo.name)?,
                witness,
            })
        })
        .collect()
}

fn people(participants: &[Participant], role: Role) -> anyhow::Result<Vec<Person>> {
    participants
        .iter()
        .filter(|participant| participant.role == role.as_str())
        .map(|person| {
            Ok(Person {
                key: person.identity,
                name: Name::parse(&person.name)?,
            })
        })
        .collect()
}

fn shown(stored: &StoredRoster) -> anyhow::Result<Shown> {
    let signed: SignedRoster = serde_json::from_str(&stored.text)?;
    let roster = Roster::parse(&signed.roster)?;
    let names = |people: &[Person]| {
        people
            .iter()
            .map(|person| person.name.to_string())
            .collect()
    };
    Ok(Shown {
        version: roster.version(),
        published: stored.published,
        root: roster.root().to_string(),
        short_code: roster.short_code().to_string(),
        silos: roster
            .members()
            .iter()
            .map(|member| member.name.to_string())
            .collect(),
        researchers: names(roster.researchers()),
        officers: names(roster.officers()),
        operators: names(roster.operators()),
        colluders: roster.colluders(),
        witness_quorum: roster.witness_quorum(),
        signed_by: signed.signatures.keys().map(Name::to_string).collect(),
    })
}

fn words(shown: &Shown) -> String {
    let state = if shown.published { "in force" } else { "draft" };
    let list = |names: &[String]| {
        if names.is_empty() {
            "nobody".to_owned()
        } else {
            names.join(", ")
        }
    };
    format!(
        "roster version {} ({state}), code {}\n  silos:       {}\n  researchers: {}\n  officers:    {}\n  operators:   {}\n  colluders assumed: {}, witness quorum: {}\n  signed by:   {}",
        shown.version,
        shown.short_code,
        list(&shown.silos),
        list(&shown.researchers),
        list(&shown.officers),
        list(&shown.operators),
        shown.colluders,
        shown.witness_quorum,
        list(&shown.signed_by),
    )
}
