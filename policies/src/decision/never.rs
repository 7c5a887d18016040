// SPDX-License-Identifier: Apache-2.0

//! `[[never]]`: what is refused whatever a grant says.

use crate::{Condition, Never, Request, Rule, Term};

pub(super) fn failed(nevers: &[Never], request: &Request) -> Vec<Condition> {
    nevers
        .iter()
        .filter(|never| applies(never, request))
        .map(|never| {
            Condition::new(
                Rule::Never(never.name.clone()),
                Term::Never,
                never.reason.clone(),
                never.reason.clone(),
            )
            .nothing(format!("that `{}` does not forbid", never.name))
        })
        .collect()
}

fn applies(never: &Never, request: &Request) -> bool {
    let names = |list: &Option<Vec<String>>, value: &str| {
        list.as_ref()
            .is_none_or(|list| list.iter().any(|item| item == value))
    };
    names(&never.who, &request.who)
        && names(&never.data, &request.data)
        && names(&never.purpose, &request.purpose)
        && names(&never.analyses, &request.analysis)
        && never
            .modes
            .as_ref()
            .is_none_or(|modes| modes.contains(&request.mode))
}
