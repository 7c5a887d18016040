// SPDX-License-Identifier: Apache-2.0
//! `attempts/reached`: how far the journal has gone, kept where no backup holds it.
//!
//! A journal that was put back from a backup has forgotten answers that others hold, votes and charges among them, and
//! the head of the log that this silo cosigned. It would give other answers to the same questions. What is written here
//! after every step of the journal, and before anybody is told of that step, tells such a copy from the newest.

use std::io::ErrorKind;
use std::{fmt, fs};

use super::AttemptFiles;
use crate::durable_file::{self, FileFault};

/// How far a journal has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The number of its last step.
    pub(crate) step: u64,
    /// The size of the shared log that was cosigned last.
    pub(crate) cosigned: u64,
}

impl Reached {
    /// Whether this went further than the other, in steps or in the log.
    pub(crate) fn is_beyond(self, other: Reached) -> bool {
        self.step > other.step || self.cosigned > other.cosigned
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reached { step, cosigned } = self;
        write!(
            formatter,
            "step {step} and {cosigned} entries of the shared log"
        )
    }
}

impl AttemptFiles {
    /// Remembers how far the journal has gone: after the journal holds it, before anybody is told.
    pub(crate) fn record_reached(&self, reached: Reached) -> Result<(), FileFault> {
        let path = self.folder.join("reached");
        let _writing = self.writing(&path)?;
        let text = format!("{} {}", reached.step, reached.cosigned);
        durable_file::write_secret(&path, text.as_bytes())
    }

    /// How far the journal of this installation has gone; nowhere, if nothing was ever written.
    pub(crate) fn reached(&self) -> Result<Reached, FileFault> {
        let path = self.folder.join("reached");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(absent) if absent.kind() == ErrorKind::NotFound => return Ok(Reached::default()),
            Err(fault) => return Err(FileFault::io(&path, "read")(fault)),
        };
        let damaged = || FileFault::io(&path, "read")(ErrorKind::InvalidData.into());
        let (step, cosigned) = text.split_once(' ').ok_or_else(damaged)?;
        match (step.parse(), cosigned.parse()) {
            (Ok(step), Ok(cosigned)) => Ok(Reached { step, cosigned }),
            _ => Err(damaged()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_is_read_again_and_damage_is_no_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        assert_eq!(files.reached().unwrap(), Reached::default());
        let reached = Reached {
            step: 17,
            cosigned: 4_000_000_000_000,
        };
        files.record_reached(reached).unwrap();
        assert_eq!(files.reached().unwrap(), reached);
        for damaged in ["", "17", "17 ", "17 x", "17 1 2", "-1 2"] {
            fs::write(folder.path().join("reached"), damaged).unwrap();
            assert!(files.reached().is_err(), "`{damaged}`");
        }
    }

    #[test]
    fn a_journal_is_old_if_it_is_behind_in_either() {
        let at = |step, cosigned| Reached { step, cosigned };
        assert!(!at(3, 5).is_beyond(at(3, 5)));
        assert!(!at(3, 5).is_beyond(at(4, 5)));
        assert!(at(3, 5).is_beyond(at(2, 9)));
        assert!(at(3, 5).is_beyond(at(9, 4)));
    }
}
