// SPDX-License-Identifier: Apache-2.0
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod offers;

use super::*;
use consilium_learning::study::Study;
use consilium_privacy::loss::Delta;
use words::words;

fn noised() -> NoisedStudy {
    let file = include_bytes!("../../../../examples/studies/private-logistic.toml");
    NoisedStudy {
        study: Study::parse(file).unwrap(),
        silos: 4,
        colluders: 1,
        colluders_assumed: false,
    }
}

fn of_four(left_percent: u8) -> Room {
    let (epsilon, delta) = (Epsilon::new(4.0).unwrap(), Delta::new(2e-5).unwrap());
    Room::single(epsilon, delta, left_percent).unwrap()
}

#[test]
fn noise_is_raised_until_the_study_keeps_to_its_share_and_not_further() {
    let planned = plan_within(&noised(), &of_four(100), 25.0).unwrap();
    let raised = planned.raised.as_ref().unwrap();
    assert!(raised.noise_multiplier > raised.noise_multiplier_before);
    assert!(raised.epsilon < raised.epsilon_before);
    let needed = |epsilon: Epsilon| {
        let study = noised().with_epsilon(epsilon).unwrap();
        plan(&study, &of_four(100)).unwrap().budgets[0].needed
    };
    assert!(planned.budgets[0].needed <= Percent::new(25.0));
    assert_eq!(planned.budgets[0].needed, needed(raised.epsilon));
    let larger = Epsilon::new(raised.epsilon.value() + 0.01).unwrap();
    assert!(needed(larger) > Percent::new(25.0));
    let said = words(&planned);
    let named = format!("write `epsilon = \"{}\"`", raised.epsilon);
    assert!(said.contains(&named) && said.contains("25.0 %"), "{said}");
    // What keeps to its share already is left alone, and a share of no budget means nothing.
    let enough = plan_within(&noised(), &of_four(100), 90.0).unwrap();
    assert!(enough.raised.is_none());
    assert!(plan_within(&noised(), &Room::usual(None).unwrap(), 25.0).is_err());
    assert!(plan_within(&noised(), &of_four(100), 1e-3).is_err());
}

#[test]
fn a_plan_without_a_policy_shows_usual_budgets_and_refuses_nothing() {
    let planned = plan(&noised(), &Room::usual(None).unwrap()).unwrap();
    assert!(planned.refusals.is_empty());
    assert!(planned.budgets.len() > 2);
    assert!(planned.budgets.last().unwrap().left_after.is_some());
    assert!(planned.prediction.is_some());
    let said = words(&planned);
    assert!(
        said.contains("LEFT AFTER IT") && said.contains("predicted"),
        "{said}"
    );
}

#[test]
fn a_budget_that_is_too_small_is_refused_with_alternatives_that_fit() {
    let room = of_four(30);
    let planned = plan(&noised(), &room).unwrap();
    let [PlanRefusal { alternatives, .. }] = &planned.refusals[..] else {
        panic!("{:?}", planned.refusals)
    };
    assert!(alternatives.len() >= 3, "{alternatives:?}");
    let smaller = planned.budgets[0].epsilon_that_fits(&noised()).unwrap();
    let fitting = noised().with_epsilon(smaller).unwrap();
    assert!(plan(&fitting, &room).unwrap().refusals.is_empty());
    assert!(smaller.value() > 0.5);
    // What the third alternative asks for.
    let noise = noised().noise().unwrap();
    let attempts = planned.budgets[0].attempts_that_fit(&noise);
    let epsilon = (100.0 * noise.certified(attempts).unwrap().value()).floor() / 100.0;
    let spare = noised().study.rounds.spare_attempts;
    let shorter = noised()
        .with_epsilon(Epsilon::new(epsilon).unwrap())
        .and_then(|study| study.with_rounds(attempts - spare))
        .unwrap();
    assert!(plan(&shorter, &room).unwrap().refusals.is_empty());
}

#[test]
fn a_delta_of_more_than_a_tenth_of_a_patient_is_refused() {
    let generous = noised().with_delta(1e-3).unwrap();
    let planned = plan(&generous, &Room::usual(None).unwrap()).unwrap();
    let said = words(&planned);
    assert!(
        said.contains("`delta` at most 1.6e-4, with") && !said.contains("100 patients"),
        "{said}"
    );
}

fn of_silos() -> NoisedStudy {
    let file = include_bytes!("../../../../examples/studies/private-silo.toml");
    NoisedStudy {
        study: Study::parse(file).unwrap(),
        ..noised()
    }
}

#[test]
fn four_silos_that_are_hidden_as_a_whole_are_told_how_far_they_drown() {
    let planned = plan(&of_silos(), &Room::usual(None).unwrap()).unwrap();
    let most = planned.noise.signal_to_noise_at_most.unwrap();
    assert!(most < 1.0, "{most}");
    let said = words(&planned);
    assert!(
        said.contains("poor utility") && said.contains("signal   at most"),
        "{said}"
    );
    // What is offered was tried: with so many silos nothing is said of poor utility.
    let offered = &planned.warnings[0].alternatives[0];
    let silos: u32 = offered.split(' ').next().unwrap().parse().unwrap();
    let many = of_silos().with_silos(silos);
    assert!(few_silos(&many, &many.noise().unwrap()).unwrap().is_none());
    let fewer = of_silos().with_silos(silos / 2);
    assert!(
        few_silos(&fewer, &fewer.noise().unwrap())
            .unwrap()
            .is_some()
    );
    // Where patients are the unit nobody hears of it.
    let planned = plan(&noised(), &Room::usual(None).unwrap()).unwrap();
    assert!(planned.noise.signal_to_noise_at_most.is_none() && planned.warnings.is_empty());
}

#[test]
fn a_batch_under_the_same_noise_is_offered_where_it_fits_the_budget() {
    let room = of_four(55);
    let planned = plan(&noised(), &room).unwrap();
    let alternatives = &planned.refusals[0].alternatives;
    let offered = alternatives
        .iter()
        .find_map(|text| text.strip_prefix("`sampling_rate = "))
        .unwrap_or_else(|| panic!("{alternatives:?}"));
    let rate: f64 = offered.split('`').next().unwrap().parse().unwrap();
    let epsilon = offered.split("write `epsilon` ").nth(1).unwrap();
    let epsilon: f64 = epsilon.split(' ').next().unwrap().parse().unwrap();
    let drawn = noised()
        .with_sampling_rate(rate)
        .unwrap()
        .with_epsilon(Epsilon::new(epsilon).unwrap())
        .unwrap();
    assert!(plan(&drawn, &room).unwrap().refusals.is_empty());
    // Where no method draws batches none is offered.
    assert!(of_silos().with_sampling_rate(0.5).is_none());
}

#[test]
fn a_study_that_learns_nothing_is_warned_about() {
    let hidden = noised().with_epsilon(Epsilon::new(0.02).unwrap()).unwrap();
    let planned = plan(&hidden, &Room::usual(None).unwrap()).unwrap();
    let [PlanRefusal { alternatives, .. }] = &planned.warnings[..] else {
        panic!("{:?}", planned.prediction)
    };
    let reached = 100.0 * planned.prediction.as_ref().unwrap().accuracy;
    for offered in alternatives {
        let predicted = offered.split(": ").nth(1).unwrap();
        let predicted: f64 = predicted.split(' ').next().unwrap().parse().unwrap();
        assert!(predicted + 0.05 > reached, "{offered} for {reached}");
    }
    for named in ["`delta`", "patients"] {
        assert!(
            alternatives
                .iter()
                .any(|it| it.contains(named) && it.contains("% predicted")),
            "{alternatives:?}"
        );
    }
}

#[test]
fn an_epsilon_beyond_every_certificate_is_planned_lower_and_says_so() {
    let loose = noised().with_epsilon(Epsilon::new(100.0).unwrap()).unwrap();
    let planned = plan(&loose, &Room::usual(None).unwrap()).unwrap();
    let said = words(&planned);
    assert!(
        said.contains("warning  `privacy.epsilon` 100 is planned at 4"),
        "{said}"
    );
    let usual = plan(&noised(), &Room::usual(None).unwrap()).unwrap();
    assert!(usual.warnings.is_empty());
}

#[test]
fn a_price_as_if_masks_were_broken_is_a_higher_one() {
    let (usual, strict) = (of_four(100), of_four(100).charging(View::MasksBroken));
    let needed = |room: &Room| plan(&noised(), room).unwrap().budgets[0].needed;
    assert!(needed(&strict) > needed(&usual));
    let said = words(&plan(&noised(), &strict).unwrap());
    assert!(said.contains("as if masks were broken"), "{said}");
}
