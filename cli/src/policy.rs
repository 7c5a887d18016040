// SPDX-License-Identifier: Apache-2.0
//! `consilium policy`: what a compliance officer does before a policy is installed.
//!
//! Its text and its examples are checked, two versions are compared, and a study is decided without running it.

mod dry_run;

use self::dry_run::{DryRun, Situation, dry_run, dry_run_words};
use crate::output::OutputArguments;
use anyhow::Context;
use clap::{Args, Subcommand};
use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_learning::study::Study;
use consilium_policies::{Date, InvalidPolicy, Policy, diff, run_examples};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check a policy file and its examples; with a study, decide it without running it
    #[command(
        after_help = "Examples:\n  consilium policy check policy.toml\n  consilium policy check policy.toml --study study.toml --silos 4\n  consilium policy check policy.toml --study study.toml --date 2027-01-31 --budget-left 40 --json\n\nThe dry run decides as the hospital's agent would, and names what it had to assume.\nExit codes: 0 the file is good and the study permitted, 1 faults or refused."
    )]
    Check(CheckArguments),
    /// Say what a new version of a policy newly permits and newly refuses
    #[command(after_help = "Example:\n  consilium policy diff policy-v1.toml policy-v2.toml")]
    Diff(DiffArguments),
}

#[derive(Args)]
pub(crate) struct CheckArguments {
    /// The policy file
    file: PathBuf,
    /// Decide this study without running it
    #[arg(long, value_name = "STUDY.toml")]
    study: Option<PathBuf>,
    /// How many silos are invited [default: those that the study names, else the policy's fewest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), requires = "study")]
    silos: Option<u32>,
    /// The day of the decision, in UTC [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", requires = "study")]
    date: Option<Date>,
    /// The hour of the decision, in UTC [default: now]
    #[arg(long, value_name = "0-23", value_parser = clap::value_parser!(u8).range(0..24), requires = "study")]
    hour: Option<u8>,
    /// Percent of the data set's privacy budget that is left [default: 100]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100), requires = "study")]
    budget_left: Option<u8>,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args)]
pub(crate) struct DiffArguments {
    /// The version in force
    old: PathBuf,
    /// The new version
    new: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(command: PolicyCommand) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Check(arguments) => check(&arguments),
        PolicyCommand::Diff(DiffArguments { old, new, output }) => {
            let (old, new) = (read_valid(&old)?, read_valid(&new)?);
            output.print(&diff(&old, &new), |diff| {
                format!(
                    "`{}` v{} -> v{}\n{diff}",
                    new.silo, old.version, new.version
                )
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What a check found.
#[derive(Debug, Serialize)]
struct Checked {
    file: PathBuf,
    valid: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Facts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    study: Option<DryRun>,
}

/// One thing that is wrong with the file.
#[derive(Debug, Serialize)]
struct Fault {
    line: usize,
    key: String,
    problem: String,
}

/// What a good file is.
#[derive(Debug, Serialize)]
struct Facts {
    silo: String,
    version: u32,
    /// SHA-256 of the file, by which decisions cite it.
    digest: Digest,
    grants: usize,
    examples: Vec<ExampleResult>,
}

/// One embedded example.
#[derive(Debug, Serialize)]
struct ExampleResult {
    name: String,
    passed: bool,
    text: String,
}

fn check(arguments: &CheckArguments) -> anyhow::Result<ExitCode> {
    let CheckArguments {
        file,
        study,
        output,
        ..
    } = arguments;
    let bytes = read(file)?;
    // A slip in the study's path is told even if the policy is of no use.
    let study = study.as_deref().map(read_study).transpose()?;
    let mut checked = Checked {
        file: file.clone(),
        valid: false,
        faults: Vec::new(),
        policy: None,
        study: None,
    };
    match Policy::parse(&bytes) {
        Err(invalid) => checked.faults = faults(&invalid),
        Ok(policy) => {
            checked.valid = true;
            checked.policy = Some(facts(&policy, &bytes));
            checked.study = study.map(|study| dry_run(&policy, &study, &Situation::of(arguments)));
        }
    }
    let good = checked.valid && checked.study.as_ref().is_none_or(|study| study.permitted);
    output.print(&checked, checked_words)?;
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("the policy `{}` cannot be read", file.display()))
}

fn read_valid(file: &Path) -> anyhow::Result<Policy> {
    Policy::parse(&read(file)?).with_context(|| format!("`{}` is no policy", file.display()))
}

fn read_study(file: &Path) -> anyhow::Result<Study> {
    let bytes = fs::read(file)
        .with_context(|| format!("the study file `{}` cannot be read", file.display()))?;
    Study::parse(&bytes).with_context(|| format!("in `{}`", file.display()))
}

fn faults(invalid: &InvalidPolicy) -> Vec<Fault> {
    let fault = |fault: &consilium_policies::PolicyFault| Fault {
        line: fault.line,
        key: fault.key.clone(),
        problem: fault.problem.to_string(),
    };
    invalid.faults().iter().map(fault).collect()
}

fn facts(policy: &Policy, bytes: &[u8]) -> Facts {
    let examples = run_examples(policy)
        .into_iter()
        .map(|outcome| ExampleResult {
            passed: outcome.passed(),
            text: outcome.to_string(),
            name: outcome.name,
        });
    Facts {
        silo: policy.silo.clone(),
        version: policy.version,
        digest: sha256(bytes),
        grants: policy.grants.len(),
        examples: examples.collect(),
    }
}

fn checked_words(checked: &Checked) -> String {
    let file = checked.file.display();
    let Some(policy) = &checked.policy else {
        let mut text = format!("`{file}` is no policy, nothing in it is in force:");
        for Fault { line, key, problem } in &checked.faults {
            let key = if key.is_empty() {
                String::new()
            } else {
                format!("`{key}` ")
            };
            text.push_str(&format!("\n  line {line}: {key}{problem}"));
        }
        return text;
    };
    let mut text = policy_words(policy);
    if let Some(study) = &checked.study {
        text.push_str("\n\n");
        text.push_str(&dry_run_words(study));
    }
    text
}

fn policy_words(policy: &Facts) -> String {
    let Facts {
        silo,
        version,
        digest,
        grants,
        examples,
    } = policy;
    let plural = if *grants == 1 { "" } else { "s" };
    let mut text =
        format!("policy    `{silo}` v{version}, {grants} grant{plural}\nsha256    {digest}");
    for example in examples {
        let mark = if example.passed { "pass" } else { "FAIL" };
        text.push_str(&format!("\nexample   {mark}: {}", example.text));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const POLICY: &[u8] = include_bytes!("../../examples/policies/1_UM.toml");

    #[test]
    fn faults_of_a_file_come_with_line_and_key() {
        let invalid = Policy::parse(b"[policy]\nsilo = \"1_UM\"\nversoin = 1\n").unwrap_err();
        let checked = Checked {
            file: PathBuf::from("p.toml"),
            valid: false,
            faults: faults(&invalid),
            policy: None,
            study: None,
        };
        let words = checked_words(&checked);
        assert!(
            words.contains("line 3: `policy.versoin` is not a key of a policy"),
            "{words}"
        );
        let json = serde_json::to_value(&checked).unwrap();
        assert_eq!(
            (
                json["valid"].as_bool(),
                json["faults"][0]["line"].as_u64().is_some()
            ),
            (Some(false), true)
        );
    }

    #[test]
    fn examples_are_shown_with_the_digest_that_decisions_cite() {
        let policy = Policy::parse(POLICY).unwrap();
        let words = policy_words(&facts(&policy, POLICY));
        assert!(words.contains(&sha256(POLICY).to_string()));
        assert_eq!(
            words.matches("example   pass").count(),
            policy.examples.len()
        );
    }
}
