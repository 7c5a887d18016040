// SPDX-License-Identifier: Apache-2.0
//! `consilium certs`: inviting, joining as a person, and looking at who one is.

use crate::output::OutputArguments;
use crate::remote::block_on;
use crate::user;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use consilium_certs::{
    IdentityFolder, Invitation, Name, PeerIdentity, Roster, RosterFolder, UnixSeconds,
};
use consilium_coordinator::InviteArguments;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum CertsCommand {
    /// Invite a silo, researcher or officer (as `consilium coordinator invite`)
    #[command(
        after_help = "Examples:\n  consilium certs invite stmary.example --role silo --dir coordinator\n  consilium certs invite a.ruiz@uni.example --role researcher --dir coordinator\n\nRun it where the coordinator's folder is. Send the printed line by a channel that you trust:\nwhoever has it can join under that name, once."
    )]
    Invite(InviteArguments),
    /// Join as a researcher, officer or operator
    #[command(
        after_help = "Examples:\n  consilium certs join consilium-invitation-1.eyJ... --dir researcher\n  consilium certs join - --dir researcher < invitation.txt\n\nMakes the keys, which never leave the folder, and prints a short code: read it out to the\noperator by telephone. Hospitals join with `consilium silo join`."
    )]
    Join(JoinArguments),
    /// Show who a folder belongs to, how long its certificate lasts, and its roster
    #[command(
        after_help = "Examples:\n  consilium certs show --dir researcher\n  consilium certs show --dir silo --json\n\nExit codes: 0 usable, 1 the certificate has ended or the roster does not name the holder."
    )]
    Show(ShowArguments),
}

#[derive(Args)]
pub(crate) struct JoinArguments {
    /// The line that `consilium certs invite` printed; `-` reads it from standard input
    invitation: String,
    /// The folder to make
    #[arg(long, env = "CONSILIUM_DIR")]
    dir: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args)]
pub(crate) struct ShowArguments {
    /// The folder of a person, of a silo or of the coordinator
    #[arg(long, env = "CONSILIUM_DIR", default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(command: CertsCommand) -> anyhow::Result<ExitCode> {
    match command {
        CertsCommand::Invite(arguments) => {
            consilium_coordinator::invite(arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        CertsCommand::Join(arguments) => join(&arguments),
        CertsCommand::Show(arguments) => show(&arguments),
    }
}

/// Somebody who has just joined.
#[derive(Debug, Serialize)]
struct Joined {
    name: String,
    role: String,
    folder: PathBuf,
    short_code: String,
}

fn join(arguments: &JoinArguments) -> anyhow::Result<ExitCode> {
    let JoinArguments {
        invitation,
        dir,
        output,
    } = arguments;
    let line = match invitation.as_str() {
        "-" => read_line(std::io::stdin().lock())?,
        line => line.to_owned(),
    };
    let (name, role) = {
        let invitation = Invitation::parse(&line)?;
        (
            invitation.terms().name.to_string(),
            invitation.terms().role.to_string(),
        )
    };
    let short_code = block_on(user::join(&line, dir))?;
    output.print(
        &Joined {
            name,
            role,
            folder: dir.clone(),
            short_code,
        },
        joined_words,
    )?;
    Ok(ExitCode::SUCCESS)
}

/// An invitation is a few hundred bytes.
fn read_line(input: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    input
        .take(MOST_INVITATION_BYTES)
        .read_to_string(&mut text)
        .context("the invitation cannot be read from standard input")?;
    if text.trim().is_empty() {
        bail!("standard input is empty: give the invitation there, or as an argument");
    }
    Ok(text.trim().to_owned())
}

fn joined_words(joined: &Joined) -> String {
    let Joined {
        name,
        role,
        folder,
        short_code,
    } = joined;
    format!(
        "joined as {role} `{name}`; the keys are in `{}`\n\
         short code  {short_code}\n\
         Call the operator and compare the code: another code means that somebody else joined in your name.\n\
         You take part once a roster that names you is in force.",
        folder.display()
    )
}

/// What a folder says about its owner.
#[derive(Debug, Serialize)]
struct Shown {
    folder: PathBuf,
    name: Name,
    role: String,
    short_code: String,
    /// Absent before the enrolment is finished.
    certificate: Option<CertificateShown>,
    /// Absent before the first roster is pinned.
    roster: Option<RosterShown>,
}

#[derive(Debug, Serialize)]
struct CertificateShown {
    not_after: String,
    days_left: u64,
    ended: bool,
}

#[derive(Debug, Serialize)]
struct RosterShown {
    version: u64,
    short_code: String,
    coordinator: Name,
    members: Vec<Name>,
    witness_quorum: u32,
    colluders: u32,
    /// Whether it names the holder with the key of this folder.
    names_holder: bool,
}

impl Shown {
    fn is_usable(&self) -> bool {
        self.certificate
            .as_ref()
            .is_some_and(|certificate| !certificate.ended)
            && self
                .roster
                .as_ref()
                .is_none_or(|roster| roster.names_holder)
    }
}

fn show(arguments: &ShowArguments) -> anyhow::Result<ExitCode> {
    let shown = look(&arguments.dir, user::now())?;
    let usable = shown.is_usable();
    arguments.output.print(&shown, shown_words)?;
    Ok(if usable {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn look(folder: &Path, now: UnixSeconds) -> anyhow::Result<Shown> {
    let identity = IdentityFolder::open(&folder.join("identity"))?;
    let certificate = if identity.is_certified() {
        let facts = identity.certificate()?;
        Some(CertificateShown {
            not_after: written(facts.not_after),
            days_left: facts.days_left(now),
            ended: facts.not_after <= now,
        })
    } else {
        None
    };
    Ok(Shown {
        folder: folder.to_owned(),
        name: identity.name().clone(),
        role: identity.role().to_string(),
        short_code: identity.short_code().to_string(),
        certificate,
        roster: pinned(&folder.join("roster"), &identity)?,
    })
}

/// The roster in force, as far as this folder knows. Looking makes no folder.
fn pinned(folder: &Path, identity: &IdentityFolder) -> anyhow::Result<Option<RosterShown>> {
    if !folder.exists() {
        return Ok(None);
    }
    let rosters = RosterFolder::open(folder)?;
    let key = identity.identity_key().verifying_key();
    let shown = |roster: &Roster, holder: &PeerIdentity| RosterShown {
        version: roster.version(),
        short_code: roster.short_code().to_string(),
        coordinator: roster.coordinator().name.clone(),
        members: roster
            .members()
            .iter()
            .map(|member| member.name.clone())
            .collect(),
        witness_quorum: roster.witness_quorum(),
        colluders: roster.colluders(),
        names_holder: roster.key_of(holder) == Some(key),
    };
    Ok(rosters
        .current()
        .map(|roster| shown(roster, &identity.participant())))
}

fn written(time: UnixSeconds) -> String {
    i64::try_from(time.0)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "the end of time".to_owned(), |time| time.to_string())
}

fn shown_words(shown: &Shown) -> String {
    let certificate = match &shown.certificate {
        None => "none: the enrolment was not finished, run it again".to_owned(),
        Some(CertificateShown {
            not_after,
            ended: true,
            ..
        }) => {
            format!("ended {not_after}: ask the operator for an invitation under another name")
        }
        Some(CertificateShown {
            not_after,
            days_left,
            ..
        }) => {
            format!("{days_left} days left, until {not_after}")
        }
    };
    let roster = match &shown.roster {
        None => {
            "none pinned yet: it comes with a connection after every founder has signed".to_owned()
        }
        Some(roster) => roster_words(roster),
    };
    format!(
        "name         {}\nrole         {}\nshort code   {}\ncertificate  {certificate}\nroster       {roster}",
        shown.name, shown.role, shown.short_code
    )
}

fn roster_words(roster: &RosterShown) -> String {
    let members: Vec<&str> = roster.members.iter().map(Name::as_str).collect();
    format!(
        "version {}, code {}, {}\ncoordinator  {}\nmembers      {}\nwitnesses    {} of {} cosign, {} may collude",
        roster.version,
        roster.short_code,
        if roster.names_holder {
            "names you"
        } else {
            "does NOT name you with this key"
        },
        roster.coordinator,
        members.join(", "),
        roster.witness_quorum,
        members.len(),
        roster.colluders
    )
}

const MOST_INVITATION_BYTES: u64 = 16_384;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use consilium_certs::{
        CertificateAuthority, CoordinatorEntry, Member, Person, Role, RosterParts, SignedRoster,
    };
    use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
    use consilium_crypto::signing::SigningKey;
    use std::time::Duration;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    /// A researcher's folder with a certificate; `member` of the roster or not.
    fn researcher(folder: &Path, in_roster: bool) {
        let mut random = InsecureSeededRandom::from_seed(7);
        let holder = name("a.ruiz@uni.example");
        let identity = IdentityFolder::create(
            &folder.join("identity"),
            Role::Researcher,
            &holder,
            &mut random,
        )
        .unwrap();
        let authority =
            CertificateAuthority::create("test", NOW, Duration::from_secs(86_400 * 900)).unwrap();
        let request = identity
            .tls_key()
            .unwrap()
            .certificate_request(&holder)
            .unwrap();
        let issued = authority
            .issue_member(&request, Role::Researcher, &holder, NOW)
            .unwrap();
        identity
            .install_certificate(&issued.chain_pem(), authority.trust())
            .unwrap();

        let mut key = || SigningKey::from_seed(&random.secret32());
        let keys: Vec<(SigningKey, SigningKey)> = (0..3).map(|_| (key(), key())).collect();
        let members = keys
            .iter()
            .zip(["a", "b", "c"])
            .map(|((identity, witness), text)| Member {
                name: name(text),
                identity: identity.verifying_key(),
                witness: witness.verifying_key(),
            });
        let person = Person {
            name: holder,
            key: identity.identity_key().verifying_key(),
        };
        let roster = Roster::found(RosterParts {
            coordinator: CoordinatorEntry {
                key: key().verifying_key(),
                log_key: key().verifying_key(),
                log_origin: "hub/log".to_owned(),
                name: name("hub"),
            },
            members: members.collect(),
            researchers: if in_roster { vec![person] } else { Vec::new() },
            officers: Vec::new(),
            operators: Vec::new(),
            ca_spki: vec![authority.spki_digest()],
            colluders: None,
        })
        .unwrap();
        let mut signed = SignedRoster::unsigned(&roster);
        for ((identity, _), text) in keys.iter().zip(["a", "b", "c"]) {
            signed
                .add(None, &name(text), roster.sign(identity))
                .unwrap();
        }
        RosterFolder::open(&folder.join("roster"))
            .unwrap()
            .pin(&signed)
            .unwrap();
    }

    #[test]
    fn a_folder_tells_who_how_long_and_under_which_roster() {
        let folder = tempfile::tempdir().unwrap();
        researcher(folder.path(), true);
        let shown = look(folder.path(), NOW).unwrap();
        assert!(shown.is_usable());
        let words = shown_words(&shown);
        assert!(
            words.contains("researcher") && words.contains("90 days left, until 2026-12-20"),
            "{words}"
        );
        assert!(
            words.contains("version 1") && words.contains("names you") && words.contains("a, b, c"),
            "{words}"
        );
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["certificate"]["days_left"], 90);
    }

    #[test]
    fn an_ended_certificate_is_not_usable_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        researcher(folder.path(), true);
        let shown = look(folder.path(), NOW.plus(Duration::from_secs(86_400 * 91))).unwrap();
        assert!(!shown.is_usable());
        assert!(shown_words(&shown).contains("invitation under another name"));
    }

    #[test]
    fn a_roster_without_the_holder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        researcher(folder.path(), false);
        let shown = look(folder.path(), NOW).unwrap();
        assert!(!shown.is_usable());
        assert!(shown_words(&shown).contains("does NOT name you"));
    }

    #[test]
    fn a_folder_without_identity_or_roster_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            look(folder.path(), NOW)
                .unwrap_err()
                .to_string()
                .contains("no identity")
        );
        let mut random = InsecureSeededRandom::from_seed(1);
        IdentityFolder::create(
            &folder.path().join("identity"),
            Role::Officer,
            &name("o"),
            &mut random,
        )
        .unwrap();
        let shown = look(folder.path(), NOW).unwrap();
        let words = shown_words(&shown);
        assert!(
            words.contains("not finished") && words.contains("none pinned yet"),
            "{words}"
        );
        assert!(!folder.path().join("roster").exists() && !shown.is_usable());
    }

    #[test]
    fn an_invitation_is_taken_from_standard_input_without_its_line_end() {
        assert_eq!(read_line(&b"  line\n"[..]).unwrap(), "line");
        assert!(read_line(&b"\n"[..]).is_err());
    }

    #[test]
    fn joining_ends_with_the_code_and_what_to_do_with_it() {
        let joined = Joined {
            name: "a.ruiz@uni.example".to_owned(),
            role: "researcher".to_owned(),
            folder: PathBuf::from("researcher"),
            short_code: "AAAA-BBBB-CCCC-DDDD".to_owned(),
        };
        let words = joined_words(&joined);
        assert!(words.contains("AAAA-BBBB-CCCC-DDDD") && words.contains("compare the code"));
    }
}
