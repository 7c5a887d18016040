// SPDX-License-Identifier: Apache-2.0
//! Raising a budget: two officers whose keys stand in `silo.toml` sign the same statement with `ssh-keygen -Y sign`.

use consilium_crypto::digest::Digest;
use consilium_privacy::budget::{LedgerEntry, OfficerSignature, TopUp};
use consilium_privacy::loss::Epsilon;

use super::{Ledger, LedgerFault};
use crate::config::Officer;
use crate::journal::Journal;
use crate::ssh_signature::SshPublicKey;

/// What is to be signed, and by it what is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raise<'a> {
    /// The data set.
    pub(crate) data: &'a str,
    /// The epsilon of its budget afterwards.
    pub(crate) epsilon: Epsilon,
    /// Why.
    pub(crate) reason: &'a str,
}

/// Why a budget is not raised.
#[derive(Debug, thiserror::Error)]
pub enum TopUpFault {
    /// No officers.
    #[error(
        "`silo.toml` names {0} officers and two must sign: add `[[officers]]` with `name` and `key`"
    )]
    Officers(usize),
    /// A signature that none of them made.
    #[error(
        "signature {number} is by none of the officers in `silo.toml`, or over another statement; print the statement again and sign it with `ssh-keygen -Y sign -n {NAMESPACE}`"
    )]
    Signature {
        /// Which, from 1.
        number: usize,
    },
    /// An entry that nobody signed.
    #[error("entry {line} raises a budget and is not signed by the officers it names")]
    Unsigned {
        /// The line, from 1.
        line: usize,
    },
    /// A ledger that belongs to no installation names none in a statement.
    #[error("the ledger belongs to no installation yet, start the agent once")]
    NoInstallation,
}

impl Ledger {
    /// The statement that the officers sign.
    pub(crate) fn top_up_statement(&self, raise: &Raise<'_>) -> Result<String, LedgerFault> {
        let instance = self.state.instance().ok_or(TopUpFault::NoInstallation)?;
        Ok(self.unsigned(raise)?.statement(&instance))
    }

    /// Raises a budget, if two different officers have signed.
    pub(crate) fn top_up(
        &mut self,
        journal: &mut Journal,
        officers: &[Officer],
        raise: &Raise<'_>,
        signatures: &[String],
    ) -> Result<(), LedgerFault> {
        if officers.len() < 2 {
            return Err(TopUpFault::Officers(officers.len()).into());
        }
        let statement = self.top_up_statement(raise)?;
        let mut top_up = self.unsigned(raise)?;
        for (number, signature) in (1..).zip(signatures) {
            let signer = officers
                .iter()
                .find(|officer| holds(&officer.key, &statement, signature))
                .ok_or(TopUpFault::Signature { number })?;
            top_up.signed.push(OfficerSignature {
                officer: signer.name.clone(),
                key: signer.key.to_string(),
                signature: signature.trim().to_owned(),
            });
        }
        let raised = self.state.top_up(top_up)?;
        self.append(journal, raised)
    }

    pub(super) fn unsigned(&self, raise: &Raise<'_>) -> Result<TopUp, LedgerFault> {
        Ok(TopUp {
            data_set: raise.data.to_owned(),
            from: self.state.account(raise.data)?.budget().epsilon,
            to: raise.epsilon,
            reason: raise.reason.to_owned(),
            signed: Vec::new(),
        })
    }
}

/// Whether every entry that raises a budget is signed by the keys that it names.
pub(crate) fn check_signatures(
    instance: Option<Digest>,
    entries: &[(u64, LedgerEntry)],
) -> Result<(), TopUpFault> {
    for (line, (_, entry)) in (1..).zip(entries) {
        let LedgerEntry::ToppedUp(top_up) = entry else {
            continue;
        };
        let statement = top_up.statement(&instance.ok_or(TopUpFault::NoInstallation)?);
        let is_signed = top_up.signed.iter().all(|by| {
            let key: Result<SshPublicKey, _> = by.key.parse();
            key.is_ok_and(|key| holds(&key, &statement, &by.signature))
        });
        if !is_signed {
            return Err(TopUpFault::Unsigned { line });
        }
    }
    Ok(())
}

fn holds(key: &SshPublicKey, statement: &str, signature: &str) -> bool {
    key.verify(NAMESPACE, statement.as_bytes(), signature)
        .is_ok()
}

/// What the signatures are for, so that none made for something else counts.
pub(crate) const NAMESPACE: &str = "consilium-privacy-budget";
