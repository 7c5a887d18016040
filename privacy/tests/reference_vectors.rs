// SPDX-License-Identifier: Apache-2.0
//! Every case of the reference vectors, within the tolerances that the accountant promises.
//!
//! `vectors/dp-accounting-0.6.0.json` names what generated it. With `--nocapture` a table is printed of what was
//! allowed and what was measured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use consilium_privacy::accountant::meaning::{Meaning, TradeOff};
use consilium_privacy::accountant::{
    Adjacency, Certificate, FixedSize, Job, Mechanism, NoCertificate, NoiseEvent, RdpCurve,
    Sampling, certificate, estimate, gaussian, pld, zcdp,
};
use consilium_privacy::calibration::calibrate;
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, Rho, SamplingRate};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, View};
use serde_json::Value;

#[test]
fn every_reference_vector_is_met() {
    let text = include_str!("vectors/dp-accounting-0.6.0.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for case in vectors["cases"].as_array().unwrap() {
        let kind = case["kind"].as_str().unwrap();
        FAMILY.set(kind.to_owned());
        match kind {
            "gaussian" => gaussian_case(case),
            "poisson_gaussian" => poisson_case(case),
            "poisson_gaussian_delta1" => delta_case(case),
            "poisson_gaussian_replace_one" => replaced_case(case),
            "wor_gaussian_replace" => fixed_size_case(case),
            "rdp_curve_poisson" => curve_case(case),
            "rdp_poisson_discrete_gaussian" => sampled_discrete_case(case),
            "laplace" => laplace_case(case),
            "discrete_laplace" => discrete_laplace_case(case),
            "skellam" => skellam_case(case),
            "discrete_gaussian" | "discrete_gaussian_poisson" => discrete_case(case),
            "distributed_discrete_gaussian" => sum_case(case),
            "ddgauss_bound" => bound_case(case),
            "heterogeneous" => heterogeneous_case(case),
            "calibrate" => calibrate_case(case),
            "analytic_gaussian_sigma" => analytic_case(case),
            "zcdp_to_eps" => zcdp_case(case),
            "zcdp_to_delta" => zcdp_delta_case(case),
            "dropout_share" => share_case(case),
            "explain" => explain_case(case),
            other => panic!("nothing checks `{other}`"),
        }
        *met.entry(kind.to_owned()).or_default() += 1;
    }
    assert_eq!((met.len(), met.values().sum::<u32>()), (21, 73), "{met:?}");
    println!(
        "| family | cases | what | compared | allowed | measured |\n|---|---|---|---|---|---|"
    );
    MEASURED.with_borrow(|measured| {
        for ((family, what), row) in measured {
            let (cases, [low, high], [least, most]) = (met[family], row.allowed, row.seen);
            println!(
                "| `{family}` | {cases} | {what} | {} | {low:.0e} to {high:.0e} | {least:.1e} to {most:.1e} |",
                row.comparisons
            );
        }
    });
}

/// How far the values of one kind lay from the reference.
struct Row {
    comparisons: u32,
    allowed: [f64; 2],
    seen: [f64; 2],
}

thread_local! {
    /// The family of the case in hand.
    static FAMILY: Cell<String> = const { Cell::new(String::new()) };
    /// By family and by what was compared.
    static MEASURED: RefCell<BTreeMap<(String, String), Row>> = const { RefCell::new(BTreeMap::new()) };
}

/// Asserts that a deviation is allowed, and notes it.
#[track_caller]
fn within(what: &str, allowed: RangeInclusive<f64>, deviation: f64) {
    let family = FAMILY.take();
    FAMILY.set(family.clone());
    assert!(
        allowed.contains(&deviation),
        "{family}: {what} deviates by {deviation}"
    );
    MEASURED.with_borrow_mut(|measured| {
        let row = measured
            .entry((family, what.to_owned()))
            .or_insert_with(|| Row {
                comparisons: 0,
                allowed: [*allowed.start(), *allowed.end()],
                seen: [f64::INFINITY, f64::NEG_INFINITY],
            });
        row.comparisons += 1;
        row.seen = [row.seen[0].min(deviation), row.seen[1].max(deviation)];
    });
}

/// The same of a value against a reference, relatively.
#[track_caller]
fn close(what: &str, ours: f64, reference: f64, relative: f64) {
    within(what, -relative..=relative, ours / reference - 1.0);
}

fn gaussian_case(case: &Value) {
    let (z, attempts, delta) = (multiplier(case, "sigma"), attempts(case), delta(case));
    let jobs = [job(
        gaussian_event(z.value()),
        Sampling::Everybody,
        attempts,
    )];
    certificate_in_range(case, &jobs, delta);
    let exact = output(case, "eps_exact");
    close(
        "exact epsilon",
        gaussian::estimate(z, attempts, delta).value(),
        exact,
        1e-9,
    );
    close(
        "exact epsilon",
        estimate(&jobs, delta).unwrap().epsilon.value(),
        exact,
        1e-9,
    );
    pld_is_tight(case, &jobs, delta);
    let rho = zcdp::rho(z, attempts);
    close("rho", rho.value(), output(case, "rho"), 1e-9);
    close(
        "zCDP epsilon",
        zcdp::epsilon(rho, delta).value(),
        output(case, "eps_zcdp_cks"),
        1e-9,
    );
}

fn poisson_case(case: &Value) {
    let event = gaussian_event(input(case, "sigma"));
    let jobs = [job(event, Sampling::Poisson(rate(case)), attempts(case))];
    certificate_in_range(case, &jobs, delta(case));
    pld_is_tight(case, &jobs, delta(case));
}

fn delta_case(case: &Value) {
    let event = gaussian_event(input(case, "sigma"));
    let jobs = [job(event, Sampling::Poisson(rate(case)), 1)];
    let epsilon = Epsilon::new(input(case, "eps")).unwrap();
    let ours = pld::delta(&jobs, epsilon).unwrap();
    let exact = output(case, "delta_exact");
    within("delta of one round", -1e-9..=1e-4, ours / exact - 1.0);
}

fn replaced_case(case: &Value) {
    let event = event(
        Mechanism::Gaussian,
        input(case, "sigma"),
        1.0,
        Adjacency::Replace,
    );
    let jobs = [job(event, Sampling::Poisson(rate(case)), attempts(case))];
    let above = output(case, "eps_pld_up");
    let ours = pld::epsilon(&jobs, delta(case)).unwrap().value();
    close("PLD", ours, above, 2e-5);
    match certificate(&jobs, delta(case)) {
        Ok(Certificate { epsilon, .. }) => {
            assert_eq!(input(case, "q"), 1.0);
            let ours = epsilon.value();
            within("certificate above PLD", 0.0..=0.1, ours / above - 1.0);
        }
        Err(refused) => {
            assert_eq!(refused, NoCertificate::ReplaceUnderPoisson);
            assert!(input(case, "q") < 1.0);
        }
    }
}

fn fixed_size_case(case: &Value) {
    let event = event(
        Mechanism::Gaussian,
        input(case, "std_over_clip"),
        1.0,
        Adjacency::Replace,
    );
    let batch = FixedSize::new(input(case, "m") as u64, input(case, "n") as u64).unwrap();
    let jobs = [job(event, Sampling::FixedSize(batch), attempts(case))];
    certificate_in_range(case, &jobs, delta(case));
    let added = NoiseEvent::new(2.0, ClippingNorm::ONE, Adjacency::AddRemove).unwrap();
    assert_eq!(
        certificate(&[job(added, Sampling::FixedSize(batch), 1)], delta(case)),
        Err(NoCertificate::AddRemoveUnderFixedSize)
    );
}

fn laplace_case(case: &Value) {
    let jobs = [job(
        laplace_event(input(case, "b")),
        Sampling::Everybody,
        attempts(case),
    )];
    certificate_in_range(case, &jobs, delta(case));
    let ours = pld::epsilon(&jobs, delta(case)).unwrap().value();
    assert!(ours >= output(case, "eps_pld_lo"), "{}: {ours}", case["id"]);
    let above = ours - output(case, "eps_pld_up");
    within("PLD above the upper one, absolute", -1e-4..=1e-4, above);
}

fn discrete_laplace_case(case: &Value) {
    let rate = input(case, "a");
    // The variance 2t/(1-t)^2 with t = exp(-a).
    let deviation = std::f64::consts::FRAC_1_SQRT_2 / (rate / 2.0).sinh();
    let event = event(
        Mechanism::DiscreteLaplace,
        deviation,
        input(case, "shift"),
        Adjacency::AddRemove,
    );
    integers_are_covered(case, &[job(event, Sampling::Everybody, attempts(case))]);
}

fn skellam_case(case: &Value) {
    let mechanism = Mechanism::Skellam {
        absolute_sum: input(case, "shift_l1"),
    };
    let deviation = input(case, "variance").sqrt();
    let event = event(
        mechanism,
        deviation,
        input(case, "shift_l2"),
        Adjacency::AddRemove,
    );
    let jobs = [job(event, Sampling::Everybody, 1)];
    let ours = certificate(&jobs, delta(case)).unwrap();
    close(
        "certificate",
        ours.epsilon.value(),
        output(case, "eps_rdp_agarwal"),
        1e-6,
    );
    assert_eq!(f64::from(ours.order), output(case, "rdp_order"));
    let exact = output(case, "eps_exact");
    let ours = pld::epsilon(&jobs, delta(case)).unwrap().value();
    above_exact(ours, exact);
}

fn discrete_case(case: &Value) {
    let sampling = case["in"]
        .get("q")
        .map_or(Sampling::Everybody, |_| Sampling::Poisson(rate(case)));
    integers_are_covered(case, &[job(discrete_event(case), sampling, attempts(case))]);
}

fn sum_case(case: &Value) {
    let shares = input(case, "n") as u32;
    let variance = input(case, "sigma2_each");
    let mechanism = Mechanism::SumOfDiscreteGaussians {
        shares,
        dimension: input(case, "dim") as u64,
    };
    let deviation = (variance * f64::from(shares)).sqrt();
    let event = event(
        mechanism,
        deviation,
        input(case, "shift"),
        Adjacency::AddRemove,
    );
    let jobs = [job(event, Sampling::Everybody, 1)];
    let exact = output(case, "eps_exact");
    assert!(certificate(&jobs, delta(case)).unwrap().epsilon.value() >= exact);
    let ours = pld::epsilon(&jobs, delta(case)).unwrap().value();
    above_exact(ours, exact);
    let rho = zcdp::rho_of_sum(variance, shares, input(case, "shift"), 1);
    close("rho", rho.value(), output(case, "rho_bound"), 1e-9);
    let epsilon = zcdp::epsilon(rho, delta(case)).value();
    close(
        "zCDP epsilon",
        epsilon,
        output(case, "eps_zcdp_cks_of_bound"),
        1e-9,
    );
}

fn bound_case(case: &Value) {
    let rho = zcdp::rho_of_sum(
        input(case, "sigma2_each"),
        input(case, "n") as u32,
        input(case, "Delta2"),
        input(case, "dim") as u64,
    );
    close("rho", rho.value(), output(case, "rho"), 1e-9);
    close(
        "concentrated epsilon",
        (2.0 * rho.value()).sqrt(),
        output(case, "eps_conc"),
        1e-9,
    );
}

fn heterogeneous_case(case: &Value) {
    let jobs: Vec<Job> = case["in"]["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|described| {
            let number = |name: &str| described[name].as_f64().unwrap();
            let (event, sampling) = match described["mech"].as_str().unwrap() {
                "gauss" => (gaussian_event(number("sigma")), Sampling::Everybody),
                "lap" => (laplace_event(number("b")), Sampling::Everybody),
                "dgauss" => (
                    event(
                        Mechanism::DiscreteGaussian,
                        number("sigma2").sqrt(),
                        number("shift"),
                        Adjacency::AddRemove,
                    ),
                    Sampling::Everybody,
                ),
                "pois" => (
                    gaussian_event(number("sigma")),
                    Sampling::Poisson(SamplingRate::new(number("q")).unwrap()),
                ),
                other => panic!("{other}"),
            };
            job(event, sampling, number("T") as u32)
        })
        .collect();
    certificate_in_range(case, &jobs, delta(case));
    pld_is_tight(case, &jobs, delta(case));
}

fn explain_case(case: &Value) {
    let (epsilon, delta) = (Epsilon::new(input(case, "eps")).unwrap(), delta(case));
    let meaning = Meaning::of(epsilon, delta);
    close(
        "odds",
        meaning.odds_factor,
        output(case, "odds_factor"),
        1e-12,
    );
    for (ours, name) in meaning.posteriors.iter().zip(["0.01", "0.1", "0.5"]) {
        let name = format!("posterior_from_prior_{name}");
        close("posterior", ours.posterior, output(case, &name), 1e-12);
    }
    close(
        "separation",
        TradeOff::of(epsilon, delta).separation(),
        output(case, "mu_gdp_gaussian"),
        1e-9,
    );
    let [few, more] = meaning.attackers[..] else {
        panic!("{meaning:?}")
    };
    close(
        "realistic attacker",
        few.realistic,
        output(case, "tpr_at_fpr_0.01_gaussian"),
        1e-9,
    );
    close(
        "realistic attacker",
        more.realistic,
        output(case, "tpr_at_fpr_0.1_gaussian"),
        1e-9,
    );
    // The reference knows one of the two lines that bound the best attacker.
    let reference = output(case, "tpr_at_fpr_0.01_epsdelta");
    assert!(few.best <= reference);
    if reference < 1.0 {
        close("best attacker", few.best, reference, 1e-12);
    } else {
        close(
            "best attacker, of an odds bound that says nothing",
            few.best,
            reference,
            1e-3,
        );
    }
}

fn curve_case(case: &Value) {
    let event = gaussian_event(input(case, "sigma"));
    let curve = RdpCurve::poisson(&event, rate(case), 1).unwrap();
    let orders = case["in"]["orders"].as_array().unwrap();
    let divergences = case["out"]["rdp"].as_array().unwrap();
    for (order, divergence) in orders.iter().zip(divergences) {
        let order = order.as_f64().unwrap();
        if order.fract() == 0.0 {
            close(
                "divergence",
                curve.at(order as u32).unwrap(),
                divergence.as_f64().unwrap(),
                1e-10,
            );
        }
    }
}

fn sampled_discrete_case(case: &Value) {
    let event = discrete_event(case);
    let curve = RdpCurve::poisson(&event, rate(case), 1).unwrap();
    let ours = curve.at(input(case, "order") as u32).unwrap();
    close("divergence", ours, output(case, "rdp_remove_exact"), 1e-10);
    assert!(ours >= output(case, "rdp_add_exact"));
}

fn calibrate_case(case: &Value) {
    let (target, delta) = (Epsilon::new(input(case, "eps")).unwrap(), delta(case));
    let ours = calibrate(target, delta, rate(case), attempts(case)).unwrap();
    let relative = ours.value() / output(case, "sigma_rdp");
    within("noise above RDP's", -1e-9..=0.03, relative - 1.0);
    let certified = |z: f64| {
        RdpCurve::poisson(&gaussian_event(z), rate(case), attempts(case))
            .unwrap()
            .epsilon(delta)
            .epsilon
    };
    assert!(certified(ours.value()) <= target);
    assert!(certified(ours.value() * (1.0 - 1e-4)) > target);
}

fn analytic_case(case: &Value) {
    let ours = gaussian::multiplier(Epsilon::new(input(case, "eps")).unwrap(), delta(case));
    close("noise", ours, output(case, "sigma_exact"), 1e-9);
}

fn zcdp_case(case: &Value) {
    let ours = zcdp::epsilon(Rho::new(input(case, "rho")).unwrap(), delta(case));
    close("epsilon", ours.value(), output(case, "eps_cks"), 1e-9);
}

fn zcdp_delta_case(case: &Value) {
    let epsilon = Epsilon::new(input(case, "eps")).unwrap();
    let ours = zcdp::delta(Rho::new(input(case, "rho")).unwrap(), epsilon);
    close("delta", ours, output(case, "delta_cks"), 1e-9);
}

fn share_case(case: &Value) {
    let plan = NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(input(case, "z_target")).unwrap(),
        silos: input(case, "n") as u32,
        dropouts: input(case, "dropouts") as u32,
        colluders: input(case, "colluders") as u32,
        attempts: 1,
        patients_cap: 1_000,
        dimension: 10,
    })
    .unwrap();
    let seen = |view| plan.multiplier(view).unwrap().value();
    // Never less than the reference, and over-noised by less than 1e-4.
    for (what, ours, name) in [
        ("one share", seen(View::MasksBroken), "share_sigma"),
        (
            "noise that colluders face",
            seen(View::Colluders),
            "z_effective_vs_adversary",
        ),
    ] {
        within(what, -1e-12..=1e-4, ours / output(case, name) - 1.0);
    }
}

/// Ours in [reference, 1.03 reference]; equal to 1e-6 where the reference's best order is an integer.
fn certificate_in_range(case: &Value, jobs: &[Job], delta: Delta) {
    let ours = certificate(jobs, delta).unwrap().epsilon.value();
    let reference = output(case, "eps_rdp");
    let above = ours / reference - 1.0;
    if output(case, "rdp_order").fract() == 0.0 {
        within("certificate, best order an integer", -1e-6..=1e-6, above);
    } else {
        within("certificate, best order no integer", -1e-6..=0.03, above);
    }
    for exact in ["eps_exact", "eps_est"] {
        if let Some(exact) = case["out"].get(exact).and_then(Value::as_f64) {
            assert!(
                ours >= exact,
                "{}: {ours} below the exact {exact}",
                case["id"]
            );
        }
    }
}

/// Never below the exact value, and within 1e-4 of the independent estimate.
fn pld_is_tight(case: &Value, jobs: &[Job], delta: Delta) {
    let ours = pld::epsilon(jobs, delta).unwrap().value();
    let estimate = output(case, "eps_est_h2");
    within(
        "PLD from a finer one, absolute",
        -1e-4..=1e-4,
        ours - estimate,
    );
    if let Some(exact) = case["out"].get("eps_exact").and_then(Value::as_f64) {
        assert!(
            ours >= exact * (1.0 - 1e-9),
            "{}: {ours} below {exact}",
            case["id"]
        );
    }
}

/// The certificate and the estimate are at least the exact value, and not far above the reference.
fn integers_are_covered(case: &Value, jobs: &[Job]) {
    let floor = case["out"]
        .get("eps_exact")
        .unwrap_or(&case["out"]["eps_pld_lo"])
        .as_f64()
        .unwrap();
    let above = output(case, "eps_pld_up");
    let ours = certificate(jobs, delta(case)).unwrap().epsilon.value();
    assert!(ours >= floor, "{}: {ours}", case["id"]);
    within(
        "certificate above the upper PLD",
        -0.2..=0.2,
        ours / above - 1.0,
    );
    let ours = pld::epsilon(jobs, delta(case)).unwrap().value();
    assert!(
        ours >= floor * (1.0 - 1e-9),
        "{}: {ours} below {floor}",
        case["id"]
    );
    within(
        "PLD above the upper one, absolute",
        -1e-4..=1e-4,
        ours - above,
    );
}

/// The estimate is not below the exact value, but for rounding, and within 1e-4 of it.
#[track_caller]
fn above_exact(ours: f64, exact: f64) {
    assert!(ours >= exact * (1.0 - 1e-9), "{ours} below {exact}");
    within("PLD above exact, absolute", -1e-9..=1e-4, ours - exact);
}

fn input(case: &Value, name: &str) -> f64 {
    case["in"][name]
        .as_f64()
        .unwrap_or_else(|| panic!("{} has no input {name}", case["id"]))
}

fn output(case: &Value, name: &str) -> f64 {
    case["out"][name]
        .as_f64()
        .unwrap_or_else(|| panic!("{} has no output {name}", case["id"]))
}

fn attempts(case: &Value) -> u32 {
    input(case, "T") as u32
}

fn delta(case: &Value) -> Delta {
    Delta::new(input(case, "delta")).unwrap()
}

fn rate(case: &Value) -> SamplingRate {
    SamplingRate::new(input(case, "q")).unwrap()
}

fn multiplier(case: &Value, name: &str) -> NoiseMultiplier {
    NoiseMultiplier::new(input(case, name)).unwrap()
}

fn discrete_event(case: &Value) -> NoiseEvent {
    event(
        Mechanism::DiscreteGaussian,
        input(case, "sigma2").sqrt(),
        input(case, "shift"),
        Adjacency::AddRemove,
    )
}

fn gaussian_event(deviation: f64) -> NoiseEvent {
    event(Mechanism::Gaussian, deviation, 1.0, Adjacency::AddRemove)
}

fn laplace_event(scale: f64) -> NoiseEvent {
    let deviation = scale * std::f64::consts::SQRT_2;
    event(Mechanism::Laplace, deviation, 1.0, Adjacency::AddRemove)
}

fn event(mechanism: Mechanism, deviation: f64, clip: f64, adjacency: Adjacency) -> NoiseEvent {
    let clip = ClippingNorm::new(clip).unwrap();
    NoiseEvent::of_mechanism(mechanism, deviation, clip, adjacency).unwrap()
}

fn job(event: NoiseEvent, sampling: Sampling, attempts: u32) -> Job {
    Job {
        event,
        sampling,
        attempts,
    }
}
