// SPDX-License-Identifier: Apache-2.0
//! The same study with one number changed, to find out what that would lead to.

use super::study_loss::NoisedStudy;
use consilium_learning::study::{Analysis, Method, Mode};
use consilium_privacy::loss::{Delta, Epsilon, SamplingRate};
use consilium_privacy::noise_plan::Unit;

impl NoisedStudy {
    pub(super) fn with_epsilon(&self, epsilon: Epsilon) -> anyhow::Result<Self> {
        let mut study = self.study.clone();
        if let Some(terms) = study.privacy.promise_mut() {
            terms.epsilon = epsilon;
        }
        Ok(Self { study, ..*self })
    }

    pub(super) fn with_delta(&self, delta: f64) -> anyhow::Result<Self> {
        let mut study = self.study.clone();
        if let Some(terms) = study.privacy.promise_mut() {
            terms.delta = Delta::new(delta)?;
        }
        Ok(Self { study, ..*self })
    }

    pub(super) fn with_rounds(&self, rounds: u32) -> anyhow::Result<Self> {
        let mut study = self.study.clone();
        study.rounds.most = rounds;
        // A mean of more models than there are rounds is no study.
        if let Analysis::LogisticRegression(plan)
        | Analysis::LinearRegression(plan)
        | Analysis::SoftmaxRegression(plan)
        | Analysis::NeuralNetwork(plan) = &mut study.analysis
            && let Method::FedSgd { average_last, .. } | Method::FedAvg { average_last, .. } =
                &mut plan.method
        {
            *average_last = rounds.min(*average_last);
        }
        Ok(Self { study, ..*self })
    }

    pub(super) fn with_patients(&self, patients: u64) -> anyhow::Result<Self> {
        let mut study = self.study.clone();
        if let Some(terms) = study.privacy.promise_mut() {
            terms.expected_patients = patients;
        }
        Ok(Self { study, ..*self })
    }

    /// In batches of this rate; `None` where the study could not draw any.
    pub(super) fn with_sampling_rate(&self, rate: f64) -> Option<Self> {
        let steps_on_batches = matches!(
            self.study.analysis.regression()?.method,
            Method::FedSgd { .. }
        );
        let mut study = self.study.clone();
        let patients_take_part = study.privacy.mode() == Mode::Distributed;
        let terms = study.privacy.promise_mut()?;
        terms.sampling_rate = SamplingRate::new(rate).ok()?;
        (steps_on_batches
            && patients_take_part
            && terms.unit == Unit::Patient
            && terms.expected_batch() >= 1.0)
            .then_some(Self { study, ..*self })
    }

    /// With so many silos, of which a third may collude where that was so before.
    pub(super) fn with_silos(&self, silos: u32) -> Self {
        let colluders = if self.colluders == self.silos / 3 {
            silos / 3
        } else {
            self.colluders
        };
        Self {
            study: self.study.clone(),
            silos,
            colluders,
            ..*self
        }
    }
}
