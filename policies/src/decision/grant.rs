// SPDX-License-Identifier: Apache-2.0

//! `[[grant]]`: every term of one permission.

use crate::{Condition, Grant, Mode, Request, Rule, Term, Word};

pub(super) fn failed(grant: &Grant, request: &Request) -> Vec<Condition> {
    let of = Of { grant, request };
    [
        of.who(),
        of.data(),
        of.purpose(),
        of.basis(),
        of.ethics_reference(),
        of.ethics_end(),
        of.analysis(),
        of.plan(),
        of.mode(),
        of.unit(),
        of.epsilon(),
        of.delta(),
        of.rounds(),
        of.hours(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

struct Of<'a> {
    grant: &'a Grant,
    request: &'a Request,
}

impl Of<'_> {
    fn condition(
        &self,
        term: Term,
        limit: impl Into<String>,
        statement: impl Into<String>,
    ) -> Condition {
        Condition::new(Rule::Grant(self.grant.name.clone()), term, limit, statement)
    }

    // The names of other researchers and other data sets are nobody's business: neither is suggested.
    fn who(&self) -> Option<Condition> {
        let who = &self.request.who;
        (!self.grant.who.contains(who)).then(|| {
            self.condition(
                Term::Who,
                "researchers named in the grant",
                format!("researcher `{who}` is not named"),
            )
            .actual(who)
            .nothing(format!("for `{who}` under this grant"))
        })
    }

    fn data(&self) -> Option<Condition> {
        let data = &self.request.data;
        (!self.grant.data.contains(data)).then(|| {
            self.condition(
                Term::Data,
                "data sets named in the grant",
                format!("data `{data}` is not covered"),
            )
            .actual(data)
            .nothing(format!("until a grant covers `{data}`"))
        })
    }

    fn purpose(&self) -> Option<Condition> {
        let (purpose, permitted) = (&self.request.purpose, listed(&self.grant.purpose));
        (!self.grant.purpose.contains(purpose)).then(|| {
            self.condition(
                Term::Purpose,
                &permitted,
                format!("purpose `{purpose}` is not {permitted}"),
            )
            .actual(purpose)
            .change(format!("purpose {permitted}"))
        })
    }

    fn basis(&self) -> Option<Condition> {
        let stated = self.request.basis.as_ref()?;
        let granted = self.grant.basis.as_deref().unwrap_or("none");
        (self.grant.basis.as_ref() != Some(stated)).then(|| {
            self.condition(
                Term::Basis,
                granted,
                format!("basis `{stated}` is not `{granted}`"),
            )
            .actual(stated)
            .change(format!("basis `{granted}`"))
        })
    }

    // SECURITY: the right reference is not told to who names another.
    fn ethics_reference(&self) -> Option<Condition> {
        let right = &self.grant.ethics.reference;
        let limit = "the ethics approval of the grant";
        match &self.request.ethics {
            Some(stated) if stated == right => None,
            Some(stated) => Some(
                self.condition(
                    Term::Ethics,
                    limit,
                    format!("ethics {stated} is not the approval of this grant"),
                )
                .actual(stated)
                .change("the ethics approval under which the grant was made"),
            ),
            None => Some(
                self.condition(Term::Ethics, limit, "the study names no ethics approval")
                    .change("the ethics approval under which the grant was made"),
            ),
        }
    }

    // INVARIANT: an approval that has ended is a failed condition whatever reference the study states.
    fn ethics_end(&self) -> Option<Condition> {
        let (ethics, today) = (&self.grant.ethics, self.request.date);
        (today > ethics.until).then(|| {
            let named = match &self.request.ethics {
                Some(stated) if *stated == ethics.reference => format!("ethics {stated}"),
                Some(_) | None => "the ethics approval of this grant".to_owned(),
            };
            self.condition(
                Term::Ethics,
                ethics.until.to_string(),
                format!("{named} ended {}", ethics.until),
            )
            .actual(today.to_string())
            .nothing(format!("until {named} is renewed"))
        })
    }

    fn analysis(&self) -> Option<Condition> {
        let (analysis, permitted) = (&self.request.analysis, listed(&self.grant.analyses));
        (!self.grant.analyses.contains(analysis)).then(|| {
            self.condition(
                Term::Analysis,
                &permitted,
                format!("analysis `{analysis}` is not {permitted}"),
            )
            .actual(analysis)
            .change(format!("analysis {permitted}"))
        })
    }

    fn plan(&self) -> Option<Condition> {
        let plan = self.request.plan.as_ref()?;
        (!self.grant.plans.contains(plan)).then(|| {
            self.condition(
                Term::Plan,
                "plans approved by digest",
                format!("plan {plan} is not approved"),
            )
            .actual(plan)
            .change("a built-in trainer or an approved plan")
        })
    }

    fn mode(&self) -> Option<Condition> {
        let (grant, mode) = (self.grant, self.request.mode);
        let permitted = match mode {
            Mode::None => grant.agreement.is_some(),
            Mode::Distributed | Mode::Local => grant.modes.contains(&mode),
        };
        if permitted {
            return None;
        }
        let without_noise = grant.agreement.as_ref().map(|_| Mode::None);
        let modes: Vec<&str> = without_noise
            .iter()
            .chain(&grant.modes)
            .map(|mode| mode.as_str())
            .collect();
        let statement = match mode {
            Mode::None => "mode `none` without an agreement that permits it".to_owned(),
            Mode::Distributed | Mode::Local => format!("mode `{mode}` is not {}", listed(&modes)),
        };
        Some(
            self.condition(Term::Mode, listed(&modes), statement)
                .actual(mode.as_str())
                .change(format!("mode {}", listed(&modes))),
        )
    }

    /// Another unit is another promise, and a hospital must know that it permits it: the clip then bounds no patient.
    fn unit(&self) -> Option<Condition> {
        let (grant, unit) = (self.grant, self.request.unit);
        if !self.request.mode.is_noised() || grant.units.contains(&unit) {
            return None;
        }
        let units: Vec<&str> = grant.units.iter().map(|unit| unit.as_str()).collect();
        let permitted = listed(&units);
        Some(
            self.condition(
                Term::Unit,
                &permitted,
                format!("unit `{}` is not {permitted}", unit.as_str()),
            )
            .actual(unit.as_str())
            .change(format!("unit {permitted}")),
        )
    }

    fn epsilon(&self) -> Option<Condition> {
        if !self.request.mode.is_noised() {
            return None;
        }
        // A grant without noised modes has no limit; its mode condition fails already.
        let most = self.grant.epsilon_per_job?;
        let change = format!("epsilon at most {most}");
        let Some(asked) = self.request.epsilon else {
            return Some(
                self.condition(
                    Term::Epsilon,
                    most.to_string(),
                    "the study names no epsilon",
                )
                .change(change),
            );
        };
        (asked > most).then(|| {
            self.condition(
                Term::Epsilon,
                most.to_string(),
                format!("epsilon {asked} > {most}"),
            )
            .actual(asked.to_string())
            .change(change)
        })
    }

    // A noised study that names no delta fails at the floor.
    fn delta(&self) -> Option<Condition> {
        let (most, asked) = match (self.grant.delta_per_job, self.request.delta) {
            (Some(most), Some(asked)) if self.request.mode.is_noised() => (most, asked),
            _ => return None,
        };
        (asked > most).then(|| {
            self.condition(
                Term::Delta,
                most.to_string(),
                format!("delta {asked} > {most}"),
            )
            .actual(asked.to_string())
            .change(format!("delta at most {most}"))
        })
    }

    fn rounds(&self) -> Option<Condition> {
        let (most, asked) = (self.grant.rounds_per_job, self.request.rounds);
        (asked > most).then(|| {
            self.condition(
                Term::Rounds,
                most.to_string(),
                format!("rounds {asked} > {most}"),
            )
            .actual(asked.to_string())
            .change(format!("at most {most} rounds"))
        })
    }

    fn hours(&self) -> Option<Condition> {
        let (hours, hour) = (self.grant.hours?, self.request.hour);
        (!hours.contains(hour)).then(|| {
            self.condition(
                Term::Hours,
                hours.to_string(),
                format!("asked at {hour:02}:00 UTC, outside {hours}"),
            )
            .actual(format!("{hour:02}:00 UTC"))
            .change(format!("submission within {hours}"))
        })
    }
}

fn listed<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect();
    quoted.join(" or ")
}
