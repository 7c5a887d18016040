// SPDX-License-Identifier: Apache-2.0
//! The ledger: what it refuses, what survives a crash, and that it never overspends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod any_order;
mod file;
mod prices;
mod reservations;
mod top_ups;

use consilium_privacy::accountant::{Adjacency, NoiseEvent, RdpCurve};
use consilium_privacy::budget::{Budget, Charge, Ledger, LedgerEntry};
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon};

const DATA: &str = "ercp-trial";

fn budget() -> Budget {
    Budget::create(Epsilon::new(4.0).unwrap(), Delta::new(2e-5).unwrap()).unwrap()
}

fn charge(multiplier: f64) -> Charge {
    let event = NoiseEvent::new(multiplier, ClippingNorm::ONE, Adjacency::AddRemove).unwrap();
    Charge::exact(RdpCurve::full_batch(&event, 1))
}

/// A ledger with a budget, and the text of its file.
fn founded() -> (Ledger, String) {
    let mut ledger = Ledger::new();
    let entry = ledger.create(DATA, budget()).unwrap();
    let line = ledger.record(&entry, 1).unwrap();
    (ledger, line)
}

fn record(ledger: &mut Ledger, text: &mut String, entry: LedgerEntry) {
    text.push_str(&ledger.record(&entry, 2).unwrap());
}
