// SPDX-License-Identifier: Apache-2.0
//! `join`, `roster sign`, `roster show`.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write as _};

use anyhow::{Context, bail};
use consilium_certs::Roster;
use consilium_certs::roster::change::changes;
use serde_json::json;

use super::{Place, answer, runtime};
use crate::enrolment::{self, Signatures};
use crate::silo_folder::SiloFolder;

pub(super) fn join(invitation: &str, place: &Place) -> anyhow::Result<()> {
    let joined = runtime()?.block_on(enrolment::join(&place.dir, invitation))?;
    let json = json!({
        "silo": joined.name.to_string(),
        "coordinator": joined.coordinator,
        "short_code": joined.short_code.to_string(),
    });
    let text = format!(
        "joined as `{}` at {}\n\n  {}\n\nRead this code to the operator over the telephone; it must be the same at both ends.\nNext: install the policy, register data, and sign the roster: `roster sign --dir {}`",
        joined.name,
        joined.coordinator,
        joined.short_code,
        place.dir.display()
    );
    answer(place, &json, &text)
}

pub(super) fn sign(yes: bool, place: &Place) -> anyhow::Result<()> {
    let folder = SiloFolder::at(&place.dir);
    let runtime = runtime()?;
    let draft = runtime.block_on(enrolment::fetch_draft(&folder))?;
    let pinned = folder.open_roster()?;
    if !place.json {
        println!(
            "{}",
            described(&draft, pinned.current().map(|current| &**current))
        );
    }
    if !yes && !confirmed()? {
        bail!("nothing was signed");
    }
    let Signatures { given, needed } = runtime.block_on(enrolment::sign_draft(&folder, &draft))?;
    let json = json!({
        "version": draft.version(),
        "root": draft.root().to_string(),
        "short_code": draft.short_code().to_string(),
        "signatures": given,
        "needed": needed,
    });
    answer(
        place,
        &json,
        &format!("signed; {given} of {needed} signatures are there"),
    )
}

pub(super) fn show(place: &Place) -> anyhow::Result<()> {
    let rosters = SiloFolder::at(&place.dir).open_roster()?;
    let roster = rosters
        .current()
        .context("no roster is pinned here yet; the agent pins it once every founder has signed")?;
    let members: Vec<_> = roster
        .members()
        .iter()
        .map(|member| member.name.to_string())
        .collect();
    let researchers: Vec<_> = roster
        .researchers()
        .iter()
        .map(|person| person.name.to_string())
        .collect();
    let json = json!({
        "version": roster.version(),
        "root": roster.root().to_string(),
        "short_code": roster.short_code().to_string(),
        "coordinator": roster.coordinator().name.to_string(),
        "members": members,
        "researchers": researchers,
        "witness_quorum": roster.witness_quorum(),
        "colluders": roster.colluders(),
    });
    answer(place, &json, &described(roster, None))
}

fn described(roster: &Roster, before: Option<&Roster>) -> String {
    let names = |list: Vec<String>| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(", ")
        }
    };
    let people = |list: &[consilium_certs::Person]| {
        names(list.iter().map(|person| person.name.to_string()).collect())
    };
    let mut text = format!(
        "roster version {}, code {}\n  coordinator  {}\n  members      {}\n  researchers  {}\n  officers     {}\n  operators    {}\n  assumes up to {} colluding silos; {} cosignatures make a quorum\n",
        roster.version(),
        roster.short_code(),
        roster.coordinator().name,
        names(
            roster
                .members()
                .iter()
                .map(|member| member.name.to_string())
                .collect()
        ),
        people(roster.researchers()),
        people(roster.officers()),
        people(roster.operators()),
        roster.colluders(),
        roster.witness_quorum(),
    );
    if let Some(before) = before {
        for change in changes(before, roster) {
            // Writing into a string has no way to fail.
            let _ = writeln!(text, "  {change}");
        }
    }
    text
}

fn confirmed() -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!(
            "a person must look at the roster before it is signed; run this at a terminal, or say `--yes`"
        );
    }
    print!("Do the other hospitals read the same code? Sign? [y/N] ");
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
