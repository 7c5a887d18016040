// SPDX-License-Identifier: Apache-2.0
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::error::Error;

use consilium_privacy::noise_plan::{MOST_SILOS, NoisePlan, Unit, View};
use proptest::prelude::*;

use super::*;
use crate::task::Task;

const GOOD: &str = include_str!("../../../examples/studies/logistic.toml");
const PRIVATE: &str = include_str!("../../../examples/studies/private-logistic.toml");
const LOCAL: &str = include_str!("../../../examples/studies/private-local.toml");
const SILO: &str = include_str!("../../../examples/studies/private-silo.toml");
const STATISTICS: &str = include_str!("../../../examples/studies/statistics.toml");
const PRIVATE_NEWTON: &str = include_str!("../../../examples/studies/private-newton.toml");
const PRIVATE_STATISTICS: &str = include_str!("../../../examples/studies/private-statistics.toml");

/// The text of the fault that a change of a good study leads to.
fn fault(study: &str, old: &str, new: &str) -> String {
    assert_eq!(
        study.matches(old).count(),
        1,
        "`{old}` must stand in the study once"
    );
    let changed = study.replace(old, new);
    match Study::parse(changed.as_bytes()) {
        Ok(_) => panic!("accepted with `{new}`"),
        Err(fault) => {
            let cause = fault
                .source()
                .map_or_else(String::new, |cause| format!(": {cause}"));
            format!("{fault}{cause}")
        }
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    assert_eq!(
        fault(GOOD, "researcher =", "reseacher ="),
        "unknown key `study.reseacher`; did you mean `researcher`?"
    );
    assert_eq!(
        fault(GOOD, "centre = 45", "center = 45"),
        "unknown key `data.columns.age.center`; did you mean `centre`?"
    );
    assert_eq!(
        fault(GOOD, "[rounds]", "[runden]"),
        "unknown key `runden`; did you mean `rounds`?"
    );
    assert_eq!(
        fault(GOOD, "mode =", "zzzzzzzzzz ="),
        "unknown key `privacy.zzzzzzzzzz`"
    );
    assert_eq!(
        fault(STATISTICS, "rows = \"rx\"", "row = \"rx\""),
        "unknown key `analysis.tables[0].row`; did you mean `rows`?"
    );
}

#[test]
fn a_missing_key_is_named_with_what_to_write() {
    assert_eq!(
        fault(GOOD, "ethics = \"IRB-2012-0117\"\n", ""),
        "`study.ethics` is missing; add it as a text in quotes"
    );
    assert_eq!(
        fault(GOOD, "stop_when_step_below = 1e-9\n", ""),
        "`rounds.stop_when_step_below` is missing; add it as a finite number without quotes"
    );
    assert_eq!(
        fault(GOOD, "reference = \"placebo\"\n", ""),
        "`data.columns.rx.reference` is missing; add it as the label that the others are compared with"
    );
    assert!(fault(PRIVATE, "patient = \"id\" ", "#").contains("`data.patient` is missing"));
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    assert_eq!(
        fault(PRIVATE, "epsilon = \"3\"", "epsilon = 3.0"),
        "`privacy.epsilon` must be a text in quotes, found float"
    );
    assert_eq!(
        fault(GOOD, "most = 15", "most = \"15\""),
        "`rounds.most` must be a whole number, not negative, found string"
    );
    assert_eq!(
        fault(GOOD, "scale = 10", "scale = inf"),
        "`data.columns.age.scale` must be a finite number without quotes, found float"
    );
}

#[test]
fn a_column_that_is_not_declared_is_refused_with_the_nearest_declared_one() {
    assert_eq!(
        fault(GOOD, "\"age\", \"gender\"", "\"age\", \"gendre\""),
        "`analysis.features` names the column `gendre`, which has no section `[data.columns.gendre]`; did you mean `gender`?"
    );
    assert_eq!(
        fault(STATISTICS, "rows = \"rx\"", "rows = \"age\""),
        "`analysis.tables[0].rows`: `age` holds numbers; name a category column"
    );
}

#[test]
fn values_that_cannot_be_are_refused_with_a_way_out() {
    for (study, old, new, expected) in [
        (
            GOOD,
            "range = [18, 100]",
            "range = [100, 18]",
            "`data.columns.age.range`: not a lowest and a highest value",
        ),
        (
            GOOD,
            "scale = 10",
            "scale = 0",
            "`data.columns.age.scale`: not above zero; write a positive number",
        ),
        (
            GOOD,
            "positive = \"yes\"",
            "positive = \"ja\"",
            "`ja` is no label of `outcome`; write one of `no`, `yes`",
        ),
        (
            GOOD,
            "\"newton\"",
            "\"adam\"",
            "`analysis.method`: `adam` is not available; write `newton`, `fedsgd` or `fedavg`",
        ),
        (
            GOOD,
            "\"logistic-regression\"",
            "\"cox\"",
            "`analysis.kind`: `cox` is not available",
        ),
        (
            GOOD,
            "mode = \"none\"",
            "mode = \"shuffled\"",
            "`privacy.mode`: `shuffled` is not available; write `none` or `distributed` or `local`",
        ),
        (
            GOOD,
            "mode = \"none\"",
            "mode = \"none\"\nepsilon = \"1\"",
            "`privacy.epsilon`: a study in mode `none` has no such key",
        ),
        (
            GOOD,
            "stop_when_step_below = 1e-9",
            "stop_when_step_below = 1e-9\nlocal_steps = 5",
            "the method `newton` has no such key",
        ),
        (
            GOOD,
            "word_bits = 64",
            "word_bits = 32",
            "32-bit words cannot hold 32 fractional bits",
        ),
        (
            GOOD,
            "most = 15",
            "most = 0",
            "`rounds.most`: zero; write 1 or more",
        ),
        (
            GOOD,
            "deadline_hours = 24",
            "deadline_hours = 0",
            "`study.deadline_hours`: out of bounds",
        ),
        (
            GOOD,
            "\"gender\", \"risk\"",
            "\"risk\", \"risk\"",
            "`risk` is named twice",
        ),
        (
            GOOD,
            "\"gender\", \"risk\"",
            "\"outcome\", \"risk\"",
            "the outcome is among them",
        ),
        (
            STATISTICS,
            "edges = [0, 2, 3, 4, 9]",
            "edges = [0, 2, 3, 4, 8]",
            "do not cover the range of `risk`; begin at 0 or below and end at 9 or above",
        ),
        (
            STATISTICS,
            "edges = [0, 2, 3, 4, 9]",
            "edges = [9, 0]",
            "not in rising order",
        ),
        (
            PRIVATE,
            "method = \"fedsgd\"",
            "method = \"fedavg\"",
            "`fedavg` needs noise at each of its local steps; write `fedsgd`, or `[privacy] mode = \"local\"`",
        ),
        (
            PRIVATE,
            "mode = \"distributed\"",
            "mode = \"local\"",
            "`fedsgd` takes no local steps",
        ),
        (
            PRIVATE_STATISTICS,
            "mode = \"distributed\"",
            "mode = \"local\"",
            "`privacy.mode`: `local` is for the local steps of a regression; write `distributed`",
        ),
        (
            LOCAL,
            "sampling_rate = 1.0",
            "sampling_rate = 0.5",
            "`privacy.sampling_rate`: in mode `local` every local step is on all patients of a silo; write 1.0, or leave it out",
        ),
        (
            LOCAL,
            "local_steps = 3",
            "local_steps = 10001",
            "`rounds.local_steps`: too many steps",
        ),
        (
            LOCAL,
            "average_last = 2",
            "average_last = 5",
            "`rounds.average_last`: more than `rounds.most`",
        ),
        (
            LOCAL,
            "missing = \"complete-case\"",
            "missing = \"complete-case\"\nscaling = \"per-site\"",
            "`data.scaling`",
        ),
        (LOCAL, "patient = \"id\"", "", "`data.patient`"),
        (
            PRIVATE,
            "epsilon = \"3\"",
            "epsilon = \"three\"",
            "is not a decimal number for epsilon",
        ),
        (
            PRIVATE,
            "delta = \"1e-5\"",
            "delta = \"1\"",
            "`privacy.delta`: delta must be above 0 and below 1",
        ),
        (
            PRIVATE,
            "sampling_rate = 1.0",
            "sampling_rate = 1.5",
            "`privacy.sampling_rate`: the sampling rate must be above 0 and at most 1, not `1.5`; write 1.0",
        ),
        (
            PRIVATE,
            "sampling_rate = 1.0",
            "sampling_rate = 0.0",
            "`privacy.sampling_rate`: the sampling rate must be above 0",
        ),
        (
            PRIVATE,
            "sampling_rate = 1.0",
            "sampling_rate = nan",
            "`privacy.sampling_rate` must be a finite number",
        ),
        (
            PRIVATE,
            "sampling_rate = 1.0",
            "sampling_rate = 0.001",
            "`privacy.sampling_rate`: no patient is expected in most rounds; write a rate whose product with `expected_patients` is at least 1",
        ),
        (
            PRIVATE_STATISTICS,
            "mode = \"distributed\"",
            "mode = \"distributed\"\nsampling_rate = 0.5",
            "`privacy.sampling_rate`: only rounds of the method `fedsgd` are on a sample of the patients; write 1.0, or leave it out",
        ),
        (
            PRIVATE_NEWTON,
            "sampling_rate = 1.0",
            "sampling_rate = 0.5",
            "`privacy.sampling_rate`: only rounds of the method `fedsgd` are on a sample of the patients; write 1.0, or leave it out",
        ),
        (
            PRIVATE_NEWTON,
            "most = 4",
            "most = 4\nstop_when_step_below = 1e-9",
            "`rounds.stop_when_step_below`: with noise no step becomes small",
        ),
        (
            STATISTICS,
            "mode = \"none\"",
            "mode = \"none\"\nsampling_rate = 0.5",
            "`privacy.sampling_rate`: a study in mode `none` has no such key",
        ),
        (
            PRIVATE,
            "most_patients_per_silo = 1000",
            "most_patients_per_silo = 0",
            "`privacy.most_patients_per_silo`: out of bounds",
        ),
        (
            PRIVATE,
            "average_last = 10",
            "average_last = 21",
            "`rounds.average_last`: more than `rounds.most`",
        ),
        (
            PRIVATE,
            "[rounds]",
            "[aggregation]\nword_bits = 64\n[rounds]",
            "with noise the words follow from the noise",
        ),
    ] {
        let found = fault(study, old, new);
        assert!(found.contains(expected), "`{found}` lacks `{expected}`");
    }
}

#[test]
fn a_statistic_that_cannot_be_is_refused_with_a_way_out() {
    for (old, new, expected) in [
        (
            "at = [0.5]",
            "at = [0.5, 1.0]",
            "`analysis.quantiles[0].at`: not shares in rising order; write numbers between 0 and 1",
        ),
        (
            "80, 100]",
            "80, 99]",
            "`analysis.quantiles[0].edges`: do not cover the range of `age`",
        ),
        (
            "[[analysis.means]] ",
            "[[analysis.averages]] ",
            "unknown key `analysis.averages`",
        ),
        (
            "[[analysis.means]] ",
            "[[analysis.counts]]\ncolumn = \"age\"\n[[analysis.means]] ",
            "`analysis.counts[0].column`: `age` holds numbers; name a category column",
        ),
        (
            "[[analysis.means]] ",
            "[[analysis.survival]]\ntime = \"age\"\nedges = [18, 100]\nevent = { column = \"outcome\", positive = \"dead\" }\n[[analysis.means]] ",
            "`analysis.survival`: survival curves are an analysis of their own, which a policy must grant; write `kind = \"kaplan-meier\"`",
        ),
        (
            "most_rows_per_patient = 1 ",
            "most_rows_per_patient = 0 ",
            "`privacy.most_rows_per_patient`: out of bounds; write 1 to",
        ),
    ] {
        let found = fault(PRIVATE_STATISTICS, old, new);
        assert!(found.contains(expected), "`{found}` lacks `{expected}`");
    }
}

#[test]
fn a_survival_curve_is_a_study_of_its_own() {
    let (head, _) = PRIVATE_STATISTICS
        .split_once("kind = \"statistics\"")
        .unwrap();
    let (_, privacy) = PRIVATE_STATISTICS.split_once("[privacy]").unwrap();
    let curve =
        "time = \"age\"\nedges = [18, 100]\nevent = { column = \"outcome\", positive = \"yes\" }\n";
    let study =
        format!("{head}kind = \"kaplan-meier\"\n[[analysis.survival]]\n{curve}[privacy]{privacy}");
    let parsed = Study::parse(study.as_bytes()).unwrap();
    assert_eq!(parsed.analysis.kind(), "kaplan-meier");
    assert!(
        fault(&study, "positive = \"yes\"", "positive = \"dead\"").contains(
            "`analysis.survival[0].event.positive`: `dead` is no label of `outcome`; write one of `no`, `yes`"
        )
    );
    assert!(
        fault(
            &study,
            "[[analysis.survival]]",
            "[[analysis.counts]]\ncolumn = \"rx\"\n[[analysis.survival]]"
        )
        .contains("`analysis.counts`: a study of kind `kaplan-meier` has no such key")
    );
}

#[test]
fn a_z_score_of_a_silos_own_rows_is_refused_under_noise_and_named() {
    let found = fault(
        PRIVATE,
        "missing = \"complete-case\"",
        "scaling = \"per-site\"",
    );
    assert!(
        found.starts_with("`data.scaling`: a z-score of a silo's own rows"),
        "{found}"
    );
    assert!(found.contains("write `public-ranges`"), "{found}");
    let plain = GOOD.replace("missing = \"complete-case\"", "scaling = \"per-site\"");
    assert_eq!(
        Study::parse(plain.as_bytes()).unwrap().data.scaling,
        Scaling::PerSite
    );
}

#[test]
fn public_ranges_scale_what_the_study_does_not() {
    let unsaid = GOOD.replace("centre = 45 ", "#").replace("scale = 10", "");
    let study = Study::parse(unsaid.as_bytes()).unwrap();
    let age = study.data.number("a test", "age").unwrap();
    assert_eq!((age.centre, age.scale), (59.0, 41.0));
    assert_eq!((age.standardise(18.0), age.standardise(100.0)), (-1.0, 1.0));
}

#[test]
fn models_and_optimizers_that_cannot_be_are_refused_with_a_way_out() {
    let network = PRIVATE
        .replace(
            "\"logistic-regression\"",
            "\"neural-network\"\nhidden_units = 4",
        )
        .replace(", positive = \"yes\"", "");
    let parsed = Study::parse(network.as_bytes()).unwrap();
    assert_eq!(parsed.analysis.kind(), "neural-network");
    for (study, old, new, expected) in [
        (
            network.as_str(),
            "hidden_units = 4",
            "hidden_units = 0",
            "`analysis.hidden_units`: out of bounds",
        ),
        (
            network.as_str(),
            "clip = 2.0 ",
            "#",
            "`privacy.clip` is missing",
        ),
        (
            PRIVATE,
            "method = \"fedsgd\"",
            "hidden_units = 4\nmethod = \"fedsgd\"",
            "`analysis.hidden_units`: a logistic regression has no such key",
        ),
        (
            PRIVATE,
            "learning_rate = 1.5",
            "learning_rate = 1.5\nmomentum = 1.0",
            "`rounds.momentum`: out of bounds; write 0 or more, below 1",
        ),
        (
            PRIVATE,
            "learning_rate = 1.5",
            "learning_rate = 1.5\noptimizer = \"adam\"\nmomentum = 0.5",
            "`rounds.momentum`: the optimizer `adam` has no such key",
        ),
        (
            PRIVATE,
            "learning_rate = 1.5",
            "learning_rate = 1.5\noptimizer = \"lamb\"",
            "`rounds.optimizer`: `lamb` is not available; write `sgd` or `adam`",
        ),
        (
            GOOD,
            "method = \"newton\"",
            "method = \"newton\"\nridge = 0.1",
            "`analysis.ridge`: the method `newton` has no such key",
        ),
    ] {
        let found = fault(study, old, new);
        assert!(found.contains(expected), "`{found}` lacks `{expected}`");
    }
}

#[test]
fn a_whole_silo_is_the_unit_only_where_its_contribution_is_one_vector() {
    for (study, old, new, expected) in [
        (
            SILO,
            "mode = \"distributed\"",
            "mode = \"local\"",
            "`privacy.unit`: mode `local`",
        ),
        (
            SILO,
            "mode = \"distributed\"",
            "mode = \"none\"",
            "`privacy.unit`: without noise nobody is hidden",
        ),
        (
            SILO,
            "clip = 1.0 ",
            "sampling_rate = 0.5\nclip = 1.0 ",
            "`privacy.sampling_rate`: where the silo is the unit",
        ),
        (
            SILO,
            "clip = 1.0 ",
            "most_patients_per_silo = 1000\nclip = 1.0 ",
            "`privacy.most_patients_per_silo`: where the silo is the unit",
        ),
        (SILO, "clip = 1.0 ", "# ", "`privacy.clip` is missing"),
        (
            PRIVATE_STATISTICS,
            "mode = \"distributed\"",
            "mode = \"distributed\"\nunit = \"silo\"",
            "`privacy.unit`: statistics are sums over patients",
        ),
        (
            PRIVATE_NEWTON,
            "mode = \"distributed\"",
            "mode = \"distributed\"\nunit = \"silo\"",
            "`privacy.unit`: the steps of `newton` are sums over patients",
        ),
        (
            SILO,
            "unit = \"silo\"",
            "unit = \"patient\"",
            "`fedavg` needs noise at each of its local steps",
        ),
        (SILO, "unit = \"silo\"", "unit = \"ward\"", "`patient`"),
    ] {
        let kept = study.lines().filter(|line| {
            !line.starts_with("most_patients_per_silo")
                && !line.starts_with("most_rows_per_patient")
        });
        let study = kept.collect::<Vec<_>>().join("\n");
        let found = fault(&study, old, new);
        assert!(found.contains(expected), "`{found}` lacks `{expected}`");
    }
}

#[test]
fn the_unit_decides_what_is_computed_and_patients_are_it_where_nothing_is_said() {
    let silo = Study::parse(SILO.as_bytes()).unwrap();
    let promise = silo.privacy.promise().unwrap();
    assert_eq!(
        (promise.unit, promise.most_patients_per_silo),
        (Unit::Silo, 1)
    );
    let text = |study: &Study| String::from_utf8(study.task_bytes()).unwrap();
    assert!(text(&silo).contains("\"unit\":\"silo\""));
    let said = PRIVATE.replace("epsilon =", "unit = \"patient\"\nepsilon =");
    let (said, unsaid) = (
        Study::parse(said.as_bytes()).unwrap(),
        Study::parse(PRIVATE.as_bytes()).unwrap(),
    );
    assert_eq!(said.task_bytes(), unsaid.task_bytes());
    assert!(!text(&unsaid).contains("\"unit\":\"patient\""));
    // A gradient of one step has a public bound, so that no clip need be stated: the one of a single row.
    let gradients = SILO
        .replace("\"fedavg\"", "\"fedsgd\"")
        .replace("local_steps = 3 ", "# ")
        .replace("clip = 1.0 ", "# ");
    let gradients = Study::parse(gradients.as_bytes()).unwrap();
    let patients = PRIVATE.replace("clip = 2.0 ", "# ");
    let patients = Study::parse(patients.as_bytes()).unwrap();
    assert_eq!(
        gradients.privacy.promise().unwrap().clip,
        patients.privacy.promise().unwrap().clip
    );
}

#[test]
fn a_silo_is_promised_its_epsilon_whatever_its_data_are_exchanged_for() {
    let study = Study::parse(SILO.as_bytes()).unwrap();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    plan.validate(4).unwrap();
    let noise = plan.noise.unwrap();
    assert_eq!((noise.unit, noise.patients_cap), (Unit::Silo, 1));
    let statement = study.privacy_statement(4, 1, 1).unwrap().unwrap();
    let charged = statement.colluders.epsilon.value();
    assert!(charged <= 3.0 && charged > 2.99, "{charged}");
    // Two clips apart instead of one: exactly twice the noise of the same promise to a patient, on a grid of 2^-20.
    let patients = PRIVATE
        .replace("most = 20", "most = 4")
        .replace("spare_attempts = 2", "spare_attempts = 1")
        .replace("average_last = 10", "average_last = 2");
    let patients = Study::parse(patients.as_bytes()).unwrap();
    assert_eq!(patients.attempts(), study.attempts());
    let of_patient = patients.privacy_statement(4, 1, 1).unwrap().unwrap();
    let ratio = statement.colluders.multiplier.value() / of_patient.colluders.multiplier.value();
    assert!((ratio - 2.0).abs() < 1e-3, "{ratio}");
    // As many silos as a round may have.
    study
        .vector_plan(MOST_SILOS, 333, 333)
        .unwrap()
        .validate(MOST_SILOS)
        .unwrap();
    patients.vector_plan(MOST_SILOS, 333, 333).unwrap();
}

#[test]
fn a_patient_of_several_silos_is_one_of_everybody_under_shared_noise() {
    let two = |study: &str| {
        study.replace(
            "expected_patients =",
            "most_silos_per_patient = 2\nexpected_patients =",
        )
    };
    for (study, old, new, said) in [
        (LOCAL, "", "", "what several of them tell of one patient"),
        (
            PRIVATE,
            "sampling_rate = 1.0",
            "sampling_rate = 0.5",
            "draws its patients for itself",
        ),
        (
            PRIVATE,
            "most_silos_per_patient = 2",
            "most_silos_per_patient = 0",
            "out of bounds; write 1 to",
        ),
        (
            PRIVATE,
            "[study]",
            "[study]\ninvite = [\"1_UM\"]",
            "more silos than are invited",
        ),
    ] {
        let changed = two(study).replace(old, new);
        let fault = Study::parse(changed.as_bytes()).unwrap_err().to_string();
        assert!(
            fault.contains("`privacy.most_silos_per_patient`") && fault.contains(said),
            "{fault}"
        );
    }
    // As much more noise as the sum moves further, and the same promise.
    let (one, both) = (
        Study::parse(PRIVATE.as_bytes()).unwrap(),
        Study::parse(two(PRIVATE).as_bytes()).unwrap(),
    );
    let noise = |study: &Study| study.vector_plan(4, 1, 1).unwrap().noise.unwrap();
    assert_eq!(noise(&both).silos_per_patient, 2);
    let of = |noise: NoisePlan| noise.multiplier(View::Colluders).unwrap().value();
    assert!((of(noise(&both)) / of(noise(&one)) - 2.0).abs() < 1e-3);
    let promised = |study: &Study| study.privacy_statement(4, 1, 1).unwrap().unwrap();
    let (alone, shared) = (promised(&one).colluders, promised(&both).colluders);
    assert!(shared.epsilon.value() <= 3.0 && shared.epsilon.value() > 2.999);
    assert_eq!(shared.order, alone.order);
    // A study that does not say so keeps its bytes.
    let text = String::from_utf8(one.task_bytes()).unwrap();
    assert!(!text.contains("silos_per_patient"));
    // More silos than are asked have no plan.
    let five = PRIVATE.replace(
        "expected_patients =",
        "most_silos_per_patient = 5\nexpected_patients =",
    );
    let five = Study::parse(five.as_bytes()).unwrap();
    assert!(five.vector_plan(4, 1, 1).is_err());
}

#[test]
fn a_study_names_the_share_of_a_budget_that_it_keeps_to_and_computes_the_same() {
    let share =
        |text: &str| PRIVATE.replace("epsilon =", &format!("budget_share = {text}\nepsilon ="));
    let named = Study::parse(share("0.1").as_bytes()).unwrap();
    assert_eq!(named.privacy.promise().unwrap().budget_share, Some(0.1));
    let unnamed = Study::parse(PRIVATE.as_bytes()).unwrap();
    assert_eq!(unnamed.privacy.promise().unwrap().budget_share, None);
    assert_eq!(named.task_bytes(), unnamed.task_bytes());
    assert_eq!(
        named.vector_plan(4, 1, 1).unwrap(),
        unnamed.vector_plan(4, 1, 1).unwrap()
    );
    for bad in ["0.0", "1.5", "-0.1", "nan", "inf"] {
        let found = fault(
            PRIVATE,
            "epsilon =",
            &format!("budget_share = {bad}\nepsilon ="),
        );
        assert!(found.contains("`privacy.budget_share`"), "{found}");
    }
    let found = fault(PRIVATE, "epsilon =", "budget_share = \"10 %\"\nepsilon =");
    assert!(found.contains("`privacy.budget_share`"), "{found}");
    let found = fault(GOOD, "mode =", "budget_share = 0.1\nmode =");
    assert!(found.contains("no such key"), "{found}");
}

#[test]
fn without_a_stated_clip_no_gradient_within_the_public_ranges_is_shortened() {
    let study = PRIVATE.replace("clip = 2.0 ", "#");
    let study = Study::parse(study.as_bytes()).unwrap();
    let Privacy::Distributed(promise) = study.privacy else {
        panic!("the study is noised")
    };
    // Intercept, treatment, (100 - 45)/10, male, 9 - 2.5.
    let expected = (1.0 + 1.0 + 5.5 * 5.5 + 1.0 + 6.5 * 6.5_f64).sqrt();
    assert!((promise.clip.value() - expected).abs() < 1e-12);
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line() {
    let found = fault(GOOD, "most = 15", "most = = 15");
    assert!(
        found.starts_with("the study file is not valid TOML"),
        "{found}"
    );
    assert!(
        found.contains("line 4") || found.contains("line 5") || found.contains("line 3"),
        "{found}"
    );
    assert!(matches!(
        Study::parse(&[0xff, 0xfe]),
        Err(StudyFault::NotText)
    ));
}

#[test]
fn more_silos_than_the_words_hold_are_refused() {
    let narrow = GOOD
        .replace("fraction_bits = 32", "fraction_bits = 20")
        .replace("word_bits = 64", "word_bits = 29");
    let study = Study::parse(narrow.as_bytes()).unwrap();
    assert!(study.vector_plan(4, 0, 1).is_ok());
    assert!(study.vector_plan(u32::MAX, 0, 1).is_err());
    let private = Study::parse(PRIVATE.as_bytes()).unwrap();
    let fault = private.vector_plan(2, 1, 1).unwrap_err();
    assert!(
        fault
            .source()
            .unwrap()
            .to_string()
            .contains("invite more silos")
    );
}

#[test]
fn the_task_is_bound_to_everything_but_who_asks() {
    let study = Study::parse(GOOD.as_bytes()).unwrap();
    let changed = |old: &str, new: &str| {
        Study::parse(GOOD.replace(old, new).as_bytes())
            .unwrap()
            .task_bytes()
    };
    assert_eq!(
        changed("a.ruiz@uni.example", "b.sato@uni.example"),
        study.task_bytes()
    );
    assert_eq!(
        changed("[study]", "[study]\nsubmission = \"second\""),
        study.task_bytes()
    );
    for (old, new) in [
        ("data = \"ercp-trial\"", "data = \"other-trial\""),
        ("centre = 45", "centre = 46"),
        ("most = 15", "most = 16"),
        ("stop_when_step_below = 1e-9", "stop_when_step_below = 1e-8"),
        ("word_bits = 64", "word_bits = 63"),
        ("\"age\", \"gender\"", "\"gender\", \"age\""),
    ] {
        assert_ne!(changed(old, new), study.task_bytes(), "{new}");
    }
}

#[test]
fn only_noised_studies_reserve_spare_attempts() {
    assert_eq!(Study::parse(GOOD.as_bytes()).unwrap().attempts(), 15);
    let unsaid = PRIVATE.replace("spare_attempts = 2 ", "#");
    assert_eq!(
        Study::parse(unsaid.as_bytes()).unwrap().attempts(),
        22,
        "a tenth is the default"
    );
    let short = unsaid
        .replace("most = 20", "most = 3")
        .replace("average_last = 10", "average_last = 1");
    assert_eq!(
        Study::parse(short.as_bytes()).unwrap().attempts(),
        4,
        "at least one"
    );
    let statistics = Study::parse(STATISTICS.as_bytes()).unwrap();
    assert_eq!((statistics.rounds.most, statistics.attempts()), (1, 1));
}

#[test]
fn every_text_of_the_heading_is_short_and_printable() {
    let long = "x".repeat(201);
    for bad in ["", "a\\u0007b", long.as_str()] {
        for key in ["submission", "basis"] {
            let said = fault(GOOD, "[study]", &format!("[study]\n{key} = \"{bad}\""));
            assert!(said.contains(&format!("study.{key}")), "{said}");
        }
        let said = fault(GOOD, "[study]", &format!("[study]\ninvite = [\"{bad}\"]"));
        assert!(said.contains("study.invite"), "{said}");
    }
}

#[test]
fn a_study_may_invite_fewer_silos_each_once() {
    let invited = GOOD.replace("[data]", "[data]\n").replace(
        "deadline_hours = 24",
        "deadline_hours = 24\ninvite = [\"1_UM\", \"2_IU\"]",
    );
    assert_eq!(
        Study::parse(invited.as_bytes()).unwrap().heading.invite,
        ["1_UM", "2_IU"]
    );
    assert!(
        fault(
            GOOD,
            "deadline_hours = 24",
            "deadline_hours = 24\ninvite = [\"a\", \"a\"]"
        )
        .contains("named twice")
    );
}

proptest! {
    #[test]
    fn a_damaged_study_is_read_or_refused_but_never_panics(
        place in 0..PRIVATE.len(),
        bytes in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        for good in [GOOD, PRIVATE, STATISTICS] {
            let mut damaged = good.as_bytes().to_vec();
            let place = place.min(damaged.len());
            let end = (place + bytes.len()).min(damaged.len());
            damaged.splice(place..end, bytes.iter().copied());
            if let Ok(study) = Study::parse(&damaged) {
                // Planning may refuse, too.
                let _ = study.privacy_statement(4, 1, 1);
                let _ = Task::new(&study).unwrap().initial_model();
            }
        }
    }
}
