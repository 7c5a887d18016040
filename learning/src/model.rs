// SPDX-License-Identifier: Apache-2.0
//! The public state between two rounds, the same in every silo to the last bit.

use thiserror::Error;

/// What the next round starts from. A study that learns nothing (statistics) has no parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The rounds whose sums went into it.
    pub rounds: u32,
    /// The parameters at which the next contributions are taken.
    pub parameters: Vec<f64>,
    /// What the server optimiser remembers besides, such as the running sum of an average.
    pub memory: Vec<f64>,
    /// What the next sum is for. SECURITY: it stands in the model, whose digest every plan holds: nobody chooses it.
    pub stage: Stage,
}

/// What a sum is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The model is learned, or statistics are taken.
    Training,
    /// The model is learned and tried on patients who were held out.
    Evaluation,
}

impl Model {
    /// The model of a study that learns nothing.
    pub fn none() -> Self {
        Self {
            rounds: 0,
            parameters: Vec::new(),
            memory: Vec::new(),
            stage: Stage::Training,
        }
    }

    /// Whether the study learns nothing.
    pub fn is_none(&self) -> bool {
        self.parameters.is_empty()
    }

    /// The model one round later, each parameter moved by its step; nothing else is remembered.
    pub(crate) fn moved_by(&self, steps: &[f64]) -> Self {
        let pairs = self.parameters.iter().zip(steps);
        Self {
            rounds: self.rounds.saturating_add(1),
            parameters: pairs.map(|(parameter, step)| parameter + step).collect(),
            memory: Vec::new(),
            stage: self.stage,
        }
    }

    /// Canonical bytes: rounds (u32), the two lengths (u64), then every number (f64), little-endian; after the last round of
    /// training, where an evaluation follows, one byte 1.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20 + 8 * (self.parameters.len() + self.memory.len()));
        bytes.extend(self.rounds.to_le_bytes());
        bytes.extend(length(&self.parameters).to_le_bytes());
        bytes.extend(length(&self.memory).to_le_bytes());
        for number in self.parameters.iter().chain(&self.memory) {
            bytes.extend(number.to_le_bytes());
        }
        match self.stage {
            Stage::Training => {}
            Stage::Evaluation => bytes.push(EVALUATION),
        }
        bytes
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`ModelFault`] when they are too short, too long or hold a number that is not finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelFault> {
        let (rounds, rest) = bytes.split_first_chunk().ok_or(ModelFault::Length)?;
        let (parameters, rest) = rest.split_first_chunk().ok_or(ModelFault::Length)?;
        let (memory, rest) = rest.split_first_chunk().ok_or(ModelFault::Length)?;
        let parameters =
            usize::try_from(u64::from_le_bytes(*parameters)).map_err(|_| ModelFault::Length)?;
        let memory =
            usize::try_from(u64::from_le_bytes(*memory)).map_err(|_| ModelFault::Length)?;
        let (rest, stage) = match rest.split_last() {
            Some((&EVALUATION, numbers)) if rest.len() % 8 == 1 => (numbers, Stage::Evaluation),
            Some(_) | None => (rest, Stage::Training),
        };
        let mut numbers = read_numbers(rest).ok_or(ModelFault::Length)?;
        if parameters.checked_add(memory) != Some(numbers.len()) {
            return Err(ModelFault::Length);
        }
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(ModelFault::NotFinite);
        }
        let memory = numbers.split_off(parameters);
        Ok(Self {
            rounds: u32::from_le_bytes(*rounds),
            parameters: numbers,
            memory,
            stage,
        })
    }
}

/// Why bytes are no model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ModelFault {
    /// The lengths inside and outside do not agree.
    #[error("the model has the wrong length")]
    Length,
    /// A parameter is infinite or not a number.
    #[error("the model holds a number that is not finite")]
    NotFinite,
}

/// Little-endian numbers, if the bytes are a whole number of them.
pub(crate) fn read_numbers(bytes: &[u8]) -> Option<Vec<f64>> {
    let (chunks, rest) = bytes.as_chunks();
    rest.is_empty().then(|| {
        chunks
            .iter()
            .map(|chunk| f64::from_le_bytes(*chunk))
            .collect()
    })
}

fn length(numbers: &[f64]) -> u64 {
    // A slice is never longer than the address space, which u64 covers.
    u64::try_from(numbers.len()).unwrap_or(u64::MAX)
}

const EVALUATION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_survives_its_bytes() {
        let model = Model {
            rounds: 7,
            parameters: vec![1.0, -0.0, 1e-300],
            memory: vec![2.5],
            stage: Stage::Training,
        };
        let trained = Model {
            stage: Stage::Evaluation,
            ..model.clone()
        };
        assert_ne!(model.to_bytes(), trained.to_bytes());
        assert_eq!(Model::from_bytes(&trained.to_bytes()), Ok(trained));
        assert_eq!(Model::from_bytes(&model.to_bytes()), Ok(model));
        assert_eq!(
            Model::from_bytes(&Model::none().to_bytes()),
            Ok(Model::none())
        );
    }

    #[test]
    fn bytes_of_another_length_or_with_an_infinite_number_are_no_model() {
        let model = Model {
            rounds: 1,
            parameters: vec![f64::INFINITY],
            memory: vec![],
            stage: Stage::Training,
        };
        let bytes = model.to_bytes();
        assert_eq!(Model::from_bytes(&bytes), Err(ModelFault::NotFinite));
        for length in 0..bytes.len() {
            let short = bytes.get(..length).unwrap_or_default();
            assert_eq!(Model::from_bytes(short), Err(ModelFault::Length));
        }
        let mut huge = Model::none().to_bytes();
        huge.splice(4..12, [0xff; 8]);
        assert_eq!(Model::from_bytes(&huge), Err(ModelFault::Length));
        for other in [0, 2, 255] {
            let mut unknown = Model::none().to_bytes();
            unknown.push(other);
            assert_eq!(Model::from_bytes(&unknown), Err(ModelFault::Length));
        }
    }
}
