// SPDX-License-Identifier: Apache-2.0
//! The meaning of an epsilon in words: for `privacy explain`, and for the officer who decides about a study.

use std::fmt::Write as _;

use super::Meaning;
use crate::loss::{Delta, Epsilon};

impl Meaning {
    /// Ten lines for somebody who is no statistician.
    #[must_use]
    pub fn words(&self, epsilon: Epsilon, delta: Delta) -> String {
        let mut text = format!(
            "epsilon {epsilon} at delta {delta}: what anybody who sees every result learns about one patient\n\n\
             took part?      the odds change at most {}, except with probability {delta}",
            fold(self.odds_factor)
        );
        for posterior in &self.posteriors {
            let _ = write!(
                text,
                "\n                a suspicion of {} becomes at most {}",
                percent(posterior.prior),
                percent(posterior.posterior)
            );
        }
        let _ = write!(
            text,
            "\nan attribute    of a patient known to take part: at most {}",
            fold(self.attribute_odds_factor)
        );
        for attacker in &self.attackers {
            let _ = write!(
                text,
                "\nan attacker     who accuses {} of the absent finds at most {} of those present; a realistic one {}",
                percent(attacker.false_positives),
                percent(attacker.best),
                percent(attacker.realistic)
            );
        }
        text
    }
}

fn fold(factor: f64) -> String {
    if factor < 1e6 {
        format!("{factor:.1}-fold")
    } else {
        "beyond every bound that matters".to_owned()
    }
}

/// One digit after the point, or two significant ones of less than a percent; never 100 % of less.
fn percent(part: f64) -> String {
    let percent = 100.0 * part;
    if percent > 99.9 && part < 1.0 {
        "over 99.9 %".to_owned()
    } else if percent.fract() == 0.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_one_is_explained_in_the_figures_that_officers_know() {
        let (epsilon, delta) = (Epsilon::new(1.0).unwrap(), Delta::new(1e-5).unwrap());
        let said = Meaning::of(epsilon, delta).words(epsilon, delta);
        for figure in [
            "at most 2.7-fold",
            "a suspicion of 1 % becomes at most 2.7 %",
            "a suspicion of 50 % becomes at most 73.1 %",
            "at most 7.4-fold",
            "a realistic one 2.0 %",
        ] {
            assert!(said.contains(figure), "{said}");
        }
    }

    #[test]
    fn near_certainty_is_not_called_certain() {
        assert_eq!(percent(0.999_999), "over 99.9 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.027_2), "2.7 %");
    }
}
