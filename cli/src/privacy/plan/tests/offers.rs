// SPDX-License-Identifier: Apache-2.0
//! What a refusal offers fits when it is planned as it is to be written.

use super::*;

fn evaluated() -> NoisedStudy {
    let file = include_bytes!("../../../../../examples/studies/private-evaluated.toml");
    NoisedStudy {
        study: Study::parse(file).unwrap(),
        ..noised()
    }
}

fn of_forty(left_percent: u8) -> Room {
    let (epsilon, delta) = (Epsilon::new(12.0).unwrap(), Delta::new(2e-5).unwrap());
    Room::single(epsilon, delta, left_percent).unwrap()
}

/// The number after these words.
fn number_after(text: &str, words: &str) -> Option<f64> {
    let rest = text.split_once(words)?.1;
    let digits = rest
        .split(|it: char| !it.is_ascii_digit() && it != '.')
        .next()?;
    digits.trim_end_matches('.').parse().ok()
}

#[test]
fn fewer_rounds_and_a_smaller_epsilon_fit_beside_an_evaluation() {
    let mut offered = 0;
    for left in [15, 30, 45] {
        let room = of_forty(left);
        let planned = plan(&evaluated(), &room).unwrap();
        let [PlanRefusal { alternatives, .. }] = &planned.refusals[..] else {
            panic!("{:?}", planned.refusals)
        };
        for text in alternatives {
            let epsilon = number_after(text, "`epsilon` ");
            let Some(epsilon) = epsilon.and_then(|epsilon| Epsilon::new(epsilon).ok()) else {
                continue;
            };
            let mut written = evaluated().with_epsilon(epsilon).unwrap();
            if let Some(rounds) = number_after(text, "`most = ") {
                written = written.with_rounds(rounds as u32).unwrap();
            }
            if let Some(rate) = number_after(text, "`sampling_rate = ") {
                written = written.with_sampling_rate(rate).unwrap();
            }
            let again = plan(&written, &room).unwrap();
            assert!(again.refusals.is_empty(), "{text}: {:?}", again.refusals);
            // The noise of an evaluation follows from the epsilon too.
            assert!(!text.contains("with the same noise"), "{text}");
            offered += 1;
        }
    }
    assert!(offered >= 6, "{offered}");
}

#[test]
fn an_evaluation_has_a_line_of_its_own_beside_the_budget() {
    let planned = plan(&evaluated(), &of_forty(100)).unwrap();
    let budget = &planned.budgets[0];
    let part = budget.needed_by_evaluation.unwrap();
    assert!(
        part > Percent::new(1.0) && part < budget.needed,
        "{budget:?}"
    );
    assert!(words(&planned).contains("of this the evaluation, the rest the training"));
    let alone = plan(&noised(), &of_forty(100)).unwrap();
    assert!(alone.budgets[0].needed_by_evaluation.is_none());
}

#[test]
fn one_round_is_called_one_round() {
    let said: Vec<String> = (1..=12)
        .map(|left| words(&plan(&noised(), &of_four(left)).unwrap()))
        .collect();
    assert!(
        said.iter()
            .any(|text| text.contains("1 round with the same noise"))
    );
    let file = include_bytes!("../../../../../examples/studies/private-statistics.toml");
    let statistics = NoisedStudy {
        study: Study::parse(file).unwrap(),
        ..noised()
    };
    let of_one = words(&plan(&statistics, &of_four(1)).unwrap());
    assert!(of_one.contains("for the one round"), "{of_one}");
    for text in said.iter().chain([&of_one]) {
        assert!(!text.contains(" 1 rounds"), "{text}");
    }
}

#[test]
fn where_the_silo_is_the_unit_no_patients_are_offered() {
    let hidden = of_silos().with_epsilon(Epsilon::new(0.5).unwrap()).unwrap();
    let planned = plan(&hidden, &Room::usual(None).unwrap()).unwrap();
    let offers: Vec<&String> = planned
        .warnings
        .iter()
        .flat_map(|it| &it.alternatives)
        .collect();
    assert!(!offers.is_empty());
    assert!(
        offers.iter().all(|text| !text.contains(" patients: ")),
        "{offers:?}"
    );
}

#[test]
fn what_is_offered_for_a_budget_is_not_refused_for_its_delta() {
    let generous = noised().with_delta(1e-3).unwrap();
    let room = of_four(10);
    let planned = plan(&generous, &room).unwrap();
    let [delta, budget] = &planned.refusals[..] else {
        panic!("{:?}", planned.refusals)
    };
    assert!(delta.alternatives[0].contains("`delta` at most 1.6e-4"));
    let offer = &budget.alternatives[0];
    assert!(
        offer.starts_with("with that smaller `delta`, `epsilon` "),
        "{offer}"
    );
    let epsilon = Epsilon::new(number_after(offer, "`epsilon` ").unwrap()).unwrap();
    let mended = generous.with_delta(1.6e-4).unwrap();
    let written = mended.with_epsilon(epsilon).unwrap();
    assert!(plan(&written, &room).unwrap().refusals.is_empty());
    // The smaller delta is not offered alone where it does not fit.
    assert!(!plan(&mended, &room).unwrap().refusals.is_empty());
}
