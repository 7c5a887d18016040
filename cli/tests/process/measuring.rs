// SPDX-License-Identifier: Apache-2.0
//! `consilium bench aggregation`: what it reports, not how fast it is.

use crate::executable::run;
use serde_json::Value;

#[test]
fn a_measured_round_has_the_right_sum_and_no_larger_upload_than_promised() {
    let folder = tempfile::tempdir().unwrap();
    let report = measured(folder.path(), &["--silos", "5", "--drop", "1"]);
    assert_eq!(report["sum_correct"], true);
    let upload = report["upload"]["bytes"].as_f64().unwrap();
    assert!(upload >= 1000.0 * 4.0);
    assert!(upload <= 1000.0 * 4.0 * 1.01 + 65_536.0);
    assert!(report["bytes_per_silo"]["up"].as_f64().unwrap() > upload);
    assert!(report["bytes_per_silo"]["down"].as_f64().unwrap() > 4000.0);

    let cpu = &report["cpu_seconds"];
    let total = cpu["total"].as_f64().unwrap();
    let steps = cpu["by_step"].as_object().unwrap();
    for step in [
        "key_agreement",
        "sharing",
        "expansion",
        "packing",
        "unmasking",
        "verification",
    ] {
        assert!(steps[step].as_f64().unwrap() > 0.0, "`{step}`");
    }
    let sum: f64 = steps.values().filter_map(Value::as_f64).sum();
    assert!((sum - total).abs() < 1e-9);
    let parties = cpu["coordinator"].as_f64().unwrap() + 5.0 * cpu["silo_mean"].as_f64().unwrap();
    assert!((parties - total).abs() < 1e-9);

    let mask_loop = &report["mask_loop"];
    assert_eq!(mask_loop["bits"], 32);
    assert_eq!(mask_loop["cipher"], "AES-256-CTR");
    assert!(mask_loop["ratio"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_round_between_processes_costs_the_same_bytes_and_tells_the_memory_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let one = measured(folder.path(), &["--silos", "4"]);
    let own = measured(
        folder.path(),
        &["--silos", "4", "--own-processes", "--threads", "2"],
    );
    assert_eq!(own["sum_correct"], true);
    assert_eq!(one["bytes_per_silo"], own["bytes_per_silo"]);
    for whose in ["coordinator", "silo"] {
        let key = format!("{whose}_peak_memory_bytes");
        assert_eq!(one[&key], Value::Null);
        assert_eq!(own[&key].is_u64(), cfg!(target_os = "linux"));
    }
}

#[test]
fn a_round_that_is_not_safe_is_not_measured() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["bench", "aggregation", "--silos", "5", "--parameters", "10"];
    run(folder.path(), &[&arguments[..], &["--drop", "2"]].concat())
        .failed(2, &["2 dropouts are more than the 1 that safety allows"]);
    run(
        folder.path(),
        &[&arguments[..], &["--drop", "1", "--bits", "17"]].concat(),
    )
    .failed(2, &["choose another `--bits`"]);
}

fn measured(folder: &std::path::Path, arguments: &[&str]) -> Value {
    let bench = ["bench", "aggregation", "--parameters", "1000", "--json"];
    let out = run(folder, &[&bench[..], arguments].concat()).succeeded();
    serde_json::from_str(&out).unwrap()
}
