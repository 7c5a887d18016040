// SPDX-License-Identifier: Apache-2.0

//! Who may do what with which data, and why not.
//!
//! A hospital writes one [`Policy`]: a closed TOML file in which everything is refused that it does not
//! permit. A study becomes a [`Request`], the facts that a policy may ask about, and [`decide`] answers
//! with a [`Decision`]: a [`Permit`] naming the grant that allows it, or a [`Refusal`] with **every**
//! failed [`Condition`], each with its limit, the actual value and the nearest change that would permit.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = consilium_policies::Policy::parse(include_bytes!("../examples/research-hospital.toml"))?;
//! for outcome in consilium_policies::run_examples(&policy) {
//!     assert!(outcome.passed(), "{outcome}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Names to know besides those: [`explain`] shows every grant's findings to an officer, [`diff`] says what
//! a new version newly permits and newly refuses, [`InvalidPolicy`] lists all that is wrong with a file.
//!
//! What this crate refuses to do: it reads no file, no clock and no ledger (the caller states those facts in
//! the request), it never prints a count of patients for others ([`Refusal::conditions_for_others`]), and
//! it holds no default that permits. A silo without a policy answers [`Refusal::without_policy`].

mod condition;
mod date;
mod decision;
mod diff;
mod example;
mod fault;
mod policy;
mod request;
mod words;

pub use condition::{Condition, Nearest, Rule, Term};
pub use date::{Date, Hours, InvalidDate};
pub use decision::{Decision, Explanation, GrantFinding, Permit, Refusal, decide, explain};
pub use diff::{Diff, diff};
pub use example::{ExampleOutcome, run_examples};
pub use fault::{InvalidPolicy, PolicyFault, Problem};
pub use policy::{
    BudgetLimit, ChargedView, Ethics, Example, Expected, Floor, Grant, Never, NoiseRule, Policy,
};
pub use request::{BudgetUse, PatientCount, Request};
pub use words::{Aggregation, Approval, Isolation, Mode, Release, Word};
