// SPDX-License-Identifier: Apache-2.0
//! Every lie about cohorts and survivors, for three, four and five silos, with the real machines.
//!
//! `machines` runs each (state of a silo, message) once and looks it up afterwards; `liar` holds everything that a
//! coordinator with one colluder can say after the deals; `orders` walks one silo through every order of questions,
//! restarts and restored backups; `splits` gives every silo a view of its own; `attempts` asks again in a second
//! attempt; `loot` is what the liar has, and what it must never have.

mod attempts;
mod liar;
mod loot;
mod machines;
mod orders;
mod splits;

pub(crate) use liar::{Liar, View, everybody, holds, members, sets_of, subsets};
pub(crate) use loot::Loot;
