#!/usr/bin/env python3
"""Checks what `consilium demo --json FILE` wrote: exact counts, the pooled fit of other software, and every promise.

usage: check_demo.py DEMO.json POOLED.toml
"""
import json
import sys
import tomllib
from pathlib import Path


def main(demo_file: str, pooled_file: str) -> int:
    demo = json.loads(Path(demo_file).read_text())
    pooled = tomllib.loads(Path(pooled_file).read_text())
    failures = []

    def expect(what: str, holds: bool) -> None:
        if not holds:
            failures.append(what)

    def close(ours: list, theirs: list, tolerance: float) -> bool:
        pairs = list(zip(ours, theirs, strict=True))
        return all(abs(left - right) < tolerance for left, right in pairs)

    logistic, private, audit = demo["logistic"], demo["private"], demo["audit"]
    expect("silos", demo["silos"] == ["1_UM", "2_IU", "3_UK", "4_Case"])
    expect("contingency", demo["contingency"] == pooled["contingency"])
    expect("names", logistic["names"] == pooled["names"])
    expect("coefficients", close(logistic["coefficients"], pooled["coefficients"], 1e-6))
    expect("standard errors", close(logistic["standard_errors"], pooled["standard_errors"], 1e-6))
    expect("difference from pooled", 0 <= logistic["max_abs_difference_from_pooled"] < 1e-6)
    treatment = logistic["names"].index("treatment")
    odds = pooled["odds_ratio_of_treatment"]
    expect("odds ratio", abs(logistic["odds_ratios"][treatment] - odds["estimate"]) < 1e-4)
    expect("interval", close(logistic["intervals"][treatment], odds["interval"], 1e-4))
    expect("epsilon", 2.5 < private["epsilon"] <= 3)
    expect("delta", private["delta"] == 1e-5)
    expect("silos at start and end", (private["silos_at_start"], private["silos_at_end"]) == (4, 3))
    expect("dropped", private["dropped"]["silo"] == "3_UK" and private["dropped"]["round"] >= 1)
    expect("private coefficients", len(private["coefficients"]) == 5)
    expect("private is not plain", not close(private["coefficients"], logistic["coefficients"], 1e-3))
    expect("two refusals", len(demo["refusals"]) == 2 and len(demo["refusals"][0]) >= 3)
    expect("the ledger refused", any("budget" in text for text in demo["refusals"][1]))
    expect("audit", audit["verified"] and audit["cosignatures"] >= 3 and audit["entries"] > 100)
    expect("time", 0 < demo["seconds"] < 60)
    for failure in failures:
        print(f"demo: {failure} is not as promised", file=sys.stderr)
    print(f"demo: {len(failures)} failures; {demo['seconds']:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
