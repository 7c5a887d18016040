// SPDX-License-Identifier: Apache-2.0
//! What may happen in a simulation: the only input, one line of text for each operation.

use super::faults::{CrashPlace, MESSAGES, Party};
use std::fmt;
use std::str::FromStr;

/// One thing that happens. Whatever does not apply where it stands (a message number where nothing travels, a start of
/// what runs) does nothing, so that any part of a list is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Founds the federation; the first operation, and only there.
    Found {
        /// How many silos.
        silos: usize,
        /// Whether the study has noise, and so tolerates dropouts.
        noise: Noise,
        /// Where keys, vectors and nonces come from.
        seed: u64,
    },
    /// That many events happen.
    Run(u32),
    /// Events happen until the attempt in flight, or else the next one, has ended.
    Finish,
    /// Events happen for that many milliseconds.
    Wait(u32),
    /// From now on messages take up to that many milliseconds longer, each another time, and overtake each other.
    Jitter {
        /// The longest delay.
        spread: u32,
        /// Which delays.
        salt: u32,
    },
    /// A message in flight is lost.
    Lose(u32),
    /// A message in flight arrives twice.
    Repeat(u32),
    /// A message in flight arrives later.
    Delay {
        /// Which one, counted from the next to arrive.
        message: u32,
        /// How much later.
        milliseconds: u32,
    },
    /// Nothing passes between a silo and the coordinator any more.
    Part(usize),
    /// The way is open again and the silo connects.
    Heal(usize),
    /// The next time that the party comes by this place, it dies there.
    Crash {
        /// Who.
        party: Party,
        /// Where.
        place: CrashPlace,
        /// Only in the step that sends this message.
        message: Option<&'static str>,
    },
    /// The party dies between two events.
    Stop(Party),
    /// The party starts again from its disk.
    Start(Party),
    /// The silo's journal is copied, as backups do.
    Backup(usize),
    /// The silo stops and an earlier copy of its journal is put back.
    Restore {
        /// Whose.
        silo: usize,
        /// Which copy, counted from the newest.
        copy: u32,
    },
    /// The silo stops and the files of its running attempt are lost.
    Forget(usize),
    /// The coordinator is told that the silo is gone, true or not.
    Gone(usize),
    /// The coordinator is told that the silo is back, true or not.
    Back(usize),
    /// The coordinator's disk loses the silo's upload.
    Spoil(usize),
    /// Somebody ends the attempt.
    Cancel,
}

/// Whether the vectors of a study carry noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// Exact: no dropout is tolerated.
    Absent,
    /// Noised: as many dropouts as safety allows.
    Present,
}

/// A line that is no operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an operation of the simulator")]
pub struct OperationFault(String);

/// Writes a list, one operation on each line.
#[must_use]
pub fn to_text(operations: &[Operation]) -> String {
    operations
        .iter()
        .map(|operation| format!("{operation}\n"))
        .collect()
}

/// Reads a list. Empty lines and what follows `#` are left out.
///
/// # Errors
/// [`OperationFault`] names the first line that is no operation.
pub fn from_text(text: &str) -> Result<Vec<Operation>, OperationFault> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(Operation::from_str)
        .collect()
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { silos, noise, seed } => {
                let noise = match noise {
                    Noise::Absent => "exact",
                    Noise::Present => "noised",
                };
                write!(formatter, "found {silos} {noise} {seed}")
            }
            Self::Run(events) => write!(formatter, "run {events}"),
            Self::Finish => write!(formatter, "finish"),
            Self::Wait(milliseconds) => write!(formatter, "wait {milliseconds}"),
            Self::Jitter { spread, salt } => write!(formatter, "jitter {spread} {salt}"),
            Self::Lose(message) => write!(formatter, "lose {message}"),
            Self::Repeat(message) => write!(formatter, "repeat {message}"),
            Self::Delay {
                message,
                milliseconds,
            } => write!(formatter, "delay {message} {milliseconds}"),
            Self::Part(silo) => write!(formatter, "part {}", Party::Silo(*silo)),
            Self::Heal(silo) => write!(formatter, "heal {}", Party::Silo(*silo)),
            Self::Crash {
                party,
                place,
                message,
            } => {
                write!(formatter, "crash {party} {place}")?;
                match message {
                    Some(message) => write!(formatter, " {message}"),
                    None => Ok(()),
                }
            }
            Self::Stop(party) => write!(formatter, "stop {party}"),
            Self::Start(party) => write!(formatter, "start {party}"),
            Self::Backup(silo) => write!(formatter, "backup {}", Party::Silo(*silo)),
            Self::Restore { silo, copy } => {
                write!(formatter, "restore {} {copy}", Party::Silo(*silo))
            }
            Self::Forget(silo) => write!(formatter, "forget {}", Party::Silo(*silo)),
            Self::Gone(silo) => write!(formatter, "gone {}", Party::Silo(*silo)),
            Self::Back(silo) => write!(formatter, "back {}", Party::Silo(*silo)),
            Self::Spoil(silo) => write!(formatter, "spoil {}", Party::Silo(*silo)),
            Self::Cancel => write!(formatter, "cancel"),
        }
    }
}

impl FromStr for Operation {
    type Err = OperationFault;

    fn from_str(line: &str) -> Result<Self, OperationFault> {
        let words: Vec<&str> = line.split_whitespace().collect();
        parse(&words).ok_or_else(|| OperationFault(line.to_owned()))
    }
}

fn parse(words: &[&str]) -> Option<Operation> {
    Some(match words {
        ["found", silos, noise, seed] => Operation::Found {
            silos: silos.parse().ok().filter(|silos| (3..=9).contains(silos))?,
            noise: match *noise {
                "exact" => Noise::Absent,
                "noised" => Noise::Present,
                _ => return None,
            },
            seed: seed.parse().ok()?,
        },
        ["run", events] => Operation::Run(events.parse().ok()?),
        ["finish"] => Operation::Finish,
        ["wait", milliseconds] => Operation::Wait(milliseconds.parse().ok()?),
        ["jitter", spread, salt] => Operation::Jitter {
            spread: spread.parse().ok()?,
            salt: salt.parse().ok()?,
        },
        ["lose", message] => Operation::Lose(message.parse().ok()?),
        ["repeat", message] => Operation::Repeat(message.parse().ok()?),
        ["delay", message, milliseconds] => Operation::Delay {
            message: message.parse().ok()?,
            milliseconds: milliseconds.parse().ok()?,
        },
        ["part", silo] => Operation::Part(silo_of(silo)?),
        ["heal", silo] => Operation::Heal(silo_of(silo)?),
        ["crash", party, place] => Operation::Crash {
            party: party.parse().ok()?,
            place: place.parse().ok()?,
            message: None,
        },
        ["crash", party, place, message] => Operation::Crash {
            party: party.parse().ok()?,
            place: place.parse().ok()?,
            message: Some(MESSAGES.into_iter().find(|name| name == message)?),
        },
        ["stop", party] => Operation::Stop(party.parse().ok()?),
        ["start", party] => Operation::Start(party.parse().ok()?),
        ["backup", silo] => Operation::Backup(silo_of(silo)?),
        ["restore", silo, copy] => Operation::Restore {
            silo: silo_of(silo)?,
            copy: copy.parse().ok()?,
        },
        ["forget", silo] => Operation::Forget(silo_of(silo)?),
        ["gone", silo] => Operation::Gone(silo_of(silo)?),
        ["back", silo] => Operation::Back(silo_of(silo)?),
        ["spoil", silo] => Operation::Spoil(silo_of(silo)?),
        ["cancel"] => Operation::Cancel,
        _ => return None,
    })
}

fn silo_of(word: &str) -> Option<usize> {
    match word.parse().ok()? {
        Party::Silo(silo) => Some(silo),
        Party::Coordinator => None,
    }
}
