// SPDX-License-Identifier: Apache-2.0
//! The privacy budget of a data set, and the ledger in which a silo accounts for it.
//!
//! A budget is a Renyi filter at one order, fixed when it is created: whatever studies come, and
//! however later ones depend on earlier results, the divergences at that order add up, and a study
//! that would push the sum above the capacity is refused. Half of delta converts the capacity to the
//! epsilon that was promised; the other half is a linear account for charges that are no divergence.

mod amount;
mod chain;
mod entry;
mod ledger;
mod refusal;
mod share;
mod top_up;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use amount::{Amount, AmountFault, DeltaAmount, RdpAmount};
pub use chain::{LedgerFault, LedgerHead, Replayed, encode_line, replay};
pub use entry::{Charge, LedgerEntry};
pub use ledger::{Account, Job, Ledger};
pub use refusal::BudgetRefusal;
pub use share::Share;
pub use top_up::{OfficerSignature, TopUp};

use crate::accountant::{ORDERS, conversion, price_of_distance};
use crate::loss::{Delta, Epsilon};

/// What may ever be released about a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The epsilon promised to a patient for everything together.
    pub epsilon: Epsilon,
    /// The delta that goes with it.
    pub delta: Delta,
    /// The part of delta that turns the capacity into epsilon; used once.
    pub delta_rdp: Delta,
    /// The order `a*` at which charges are compared with the capacity.
    pub order: u32,
    /// `B(a*)`, rounded down.
    pub capacity: RdpAmount,
    /// The rest of delta, for charges that are probabilities; rounded down.
    pub delta_linear: DeltaAmount,
}

impl Budget {
    /// Splits delta evenly and fixes the order that maximises `B(a)/a`, where
    /// `B(a) = epsilon - ln((a-1)/a) + (ln delta_rdp + ln a)/(a-1)`.
    pub fn create(epsilon: Epsilon, delta: Delta) -> Result<Self, BudgetFault> {
        let delta_rdp = delta.half();
        let capacity = |order: u32| epsilon.value() - conversion(order, delta_rdp);
        let per_order = |order: u32| capacity(order) / f64::from(order);
        let order = ORDERS.into_iter().fold(ORDERS[0], |best, order| {
            if per_order(order) > per_order(best) {
                order
            } else {
                best
            }
        });
        let capacity = RdpAmount::rounded_down(capacity(order));
        if capacity == RdpAmount::ZERO {
            return Err(BudgetFault::Empty { epsilon, delta });
        }
        Ok(Self {
            epsilon,
            delta,
            delta_rdp,
            order,
            capacity,
            delta_linear: DeltaAmount::rounded_down(delta_rdp.value()),
        })
    }

    /// Whether charges up to the capacity and the linear delta keep the promise of epsilon and delta. What was read from
    /// a file need not have been made by [`Budget::create`]; rounding up leaves room for another platform's logarithm.
    pub(crate) fn keeps_its_promise(&self) -> bool {
        if !ORDERS.contains(&self.order) {
            return false;
        }
        let capacity = self.epsilon.value() - conversion(self.order, self.delta_rdp);
        let delta_linear = self.delta.value() - self.delta_rdp.value();
        self.capacity <= RdpAmount::rounded_up(capacity)
            && self.delta_linear <= DeltaAmount::rounded_up(delta_linear)
    }

    /// What noise at a distance from exact costs of delta: what is (epsilon, delta)-private exactly is
    /// (epsilon, delta + (1 + e^epsilon) distance)-private as it is sampled.
    fn price_of(&self, distance: DeltaAmount) -> DeltaAmount {
        if distance == DeltaAmount::ZERO {
            return DeltaAmount::ZERO;
        }
        DeltaAmount::rounded_up(distance.approximate() * price_of_distance(self.epsilon))
    }
}

/// Why a budget cannot be created.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BudgetFault {
    /// Nothing could ever be released under it.
    #[error("a budget of epsilon {epsilon} at delta {delta} permits nothing, raise one of them")]
    Empty {
        /// The epsilon asked for.
        epsilon: Epsilon,
        /// The delta asked for.
        delta: Delta,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn budget(epsilon: f64, delta: f64) -> Budget {
        Budget::create(Epsilon::new(epsilon).unwrap(), Delta::new(delta).unwrap()).unwrap()
    }

    #[test]
    fn the_order_and_capacity_are_those_of_the_table() {
        for (epsilon, order, capacity) in [
            (1.0, 18, 0.550),
            (3.0, 8, 1.786),
            (4.0, 6, 2.238),
            (8.0, 4, 4.912),
        ] {
            let made = budget(epsilon, 2e-5);
            assert_eq!(made.order, order, "epsilon {epsilon}");
            assert!(
                (made.capacity.approximate() - capacity).abs() < 6e-4,
                "{}",
                made.capacity
            );
            assert_eq!(made.delta_rdp.value(), 1e-5);
            assert!((made.delta_linear.approximate() - 1e-5).abs() < 1e-15);
        }
    }

    #[test]
    fn spending_the_whole_capacity_gives_the_epsilon_promised() {
        let made = budget(4.0, 2e-5);
        let epsilon = made.capacity.approximate() + conversion(made.order, made.delta_rdp);
        assert!(epsilon <= 4.0 && epsilon > 4.0 - 1e-9);
    }

    #[test]
    fn a_budget_that_permits_nothing_is_refused() {
        let nothing = Budget::create(Epsilon::new(0.001).unwrap(), Delta::new(1e-9).unwrap());
        assert!(matches!(nothing, Err(BudgetFault::Empty { .. })));
    }
}
