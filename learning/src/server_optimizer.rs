// SPDX-License-Identifier: Apache-2.0
//! What everybody makes of a released gradient: a step, and the mean of the last models.
//!
//! Free of any privacy cost, for it sees nothing but released sums. Uses + - * / and square root in a fixed order only, so
//! that every party gets the same bits on every platform.

use crate::study::Optimizer;

/// One gradient method of a study.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerOptimizer {
    pub(crate) optimizer: Optimizer,
    pub(crate) learning_rate: f64,
    pub(crate) average_last: u32,
    pub(crate) rounds: u32,
}

/// The state after a step.
pub(crate) struct Stepped {
    /// The rounds so far.
    pub(crate) rounds: u32,
    /// The next parameters, or the averaged ones after the last round.
    pub(crate) parameters: Vec<f64>,
    /// What the next step needs besides; empty after the last round.
    pub(crate) memory: Vec<f64>,
    /// Whether the rounds are used up.
    pub(crate) finished: bool,
}

impl ServerOptimizer {
    /// How many numbers a model remembers besides its parameters after so many rounds.
    pub(crate) fn memory_length(&self, rounds: u32, parameters: usize) -> usize {
        if rounds == 0 || rounds >= self.rounds {
            return 0;
        }
        let vectors = self.own_vectors() + usize::from(self.is_averaged(rounds));
        vectors * parameters
    }

    /// Takes the mean gradient, of what is maximised, at `parameters` after `rounds` rounds.
    pub(crate) fn step(
        &self,
        rounds: u32,
        parameters: &[f64],
        memory: &[f64],
        gradient: &[f64],
    ) -> Stepped {
        let size = parameters.len();
        let own = self.own_vectors() * size;
        let (state, average) = match memory.split_at_checked(own) {
            Some((state, average)) => (state.to_vec(), average),
            None => (vec![0.0; own], memory),
        };
        let rounds = rounds.saturating_add(1);
        let (mut state, steps) = self.direction(state, gradient, rounds);
        let parameters: Vec<f64> = parameters
            .iter()
            .zip(steps)
            .map(|(parameter, step)| parameter + self.learning_rate * step)
            .collect();
        let sum: Vec<f64> = match (self.is_averaged(rounds), average.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => parameters.clone(),
            (true, false) => {
                let pairs = average.iter().zip(&parameters);
                pairs.map(|(sum, parameter)| sum + parameter).collect()
            }
        };
        if rounds < self.rounds {
            state.extend(sum);
            return Stepped {
                rounds,
                parameters,
                memory: state,
                finished: false,
            };
        }
        let averaged = sum.iter().map(|sum| sum / f64::from(self.average_last));
        Stepped {
            rounds,
            parameters: if sum.is_empty() {
                parameters
            } else {
                averaged.collect()
            },
            memory: Vec::new(),
            finished: true,
        }
    }

    /// The state after this gradient, and the direction of the step.
    fn direction(&self, state: Vec<f64>, gradient: &[f64], rounds: u32) -> (Vec<f64>, Vec<f64>) {
        match self.optimizer {
            Optimizer::Momentum(0.0) => (state, gradient.to_vec()),
            Optimizer::Momentum(share) => {
                let pairs = state.iter().zip(gradient);
                let velocity: Vec<f64> = pairs.map(|(old, new)| share * old + new).collect();
                (velocity.clone(), velocity)
            }
            Optimizer::Adam {
                beta_1,
                beta_2,
                stability,
            } => {
                let (means, squares) = state.split_at(gradient.len().min(state.len()));
                let mean: Vec<f64> = means
                    .iter()
                    .zip(gradient)
                    .map(|(old, new)| beta_1 * old + (1.0 - beta_1) * new)
                    .collect();
                let square: Vec<f64> = squares
                    .iter()
                    .zip(gradient)
                    .map(|(old, new)| beta_2 * old + (1.0 - beta_2) * (new * new))
                    .collect();
                let (known_1, known_2) = (1.0 - power(beta_1, rounds), 1.0 - power(beta_2, rounds));
                let steps = mean
                    .iter()
                    .zip(&square)
                    .map(|(mean, square)| mean / known_1 / ((square / known_2).sqrt() + stability))
                    .collect();
                (mean.into_iter().chain(square).collect(), steps)
            }
        }
    }

    fn own_vectors(&self) -> usize {
        match self.optimizer {
            Optimizer::Momentum(0.0) => 0,
            Optimizer::Momentum(_) => 1,
            Optimizer::Adam { .. } => 2,
        }
    }

    fn is_averaged(&self, rounds: u32) -> bool {
        self.average_last > 1 && rounds.saturating_add(self.average_last) > self.rounds
    }
}

/// By repeated multiplication: the platform's power may round otherwise elsewhere.
fn power(base: f64, exponent: u32) -> f64 {
    (0..exponent).fold(1.0, |product, _| product * base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(optimizer: Optimizer, average_last: u32, rounds: u32) -> Vec<f64> {
        let server = ServerOptimizer {
            optimizer,
            learning_rate: 0.1,
            average_last,
            rounds,
        };
        let (mut parameters, mut memory) = (vec![1.0, -2.0], Vec::new());
        for round in 0..rounds {
            assert_eq!(memory.len(), server.memory_length(round, 2));
            // The gradient of -(a^2 + 3 b^2)/2.
            let gradient = [-parameters[0], -3.0 * parameters[1]];
            let stepped = server.step(round, &parameters, &memory, &gradient);
            assert_eq!(stepped.finished, round + 1 == rounds);
            (parameters, memory) = (stepped.parameters, stepped.memory);
        }
        assert!(memory.is_empty());
        parameters
    }

    /// By hand, in another program: `for t in 1..=5 { v = .5 v + g; p += .1 v }` and Adam as in its paper.
    #[test]
    fn momentum_and_adam_are_those_of_their_papers() {
        let (mut p, mut v) = ([1.0_f64, -2.0], [0.0_f64; 2]);
        for _ in 0..5 {
            let g = [-p[0], -3.0 * p[1]];
            for at in 0..2 {
                v[at] = 0.5 * v[at] + g[at];
                p[at] += 0.1 * v[at];
            }
        }
        assert_eq!(run(Optimizer::Momentum(0.5), 1, 5), p);

        let adam = Optimizer::Adam {
            beta_1: 0.9,
            beta_2: 0.999,
            stability: 1e-8,
        };
        // The first step of Adam is the learning rate along the sign, whatever the gradient.
        let first = run(adam, 1, 1);
        assert!((first[0] - 0.9).abs() < 1e-8 && (first[1] + 1.9).abs() < 1e-8);
        let (mut p, mut m, mut s) = ([1.0_f64, -2.0], [0.0_f64; 2], [0.0_f64; 2]);
        for t in 1..=7 {
            let g = [-p[0], -3.0 * p[1]];
            for at in 0..2 {
                m[at] = 0.9 * m[at] + 0.1 * g[at];
                s[at] = 0.999 * s[at] + 0.001 * g[at] * g[at];
                let mean = m[at] / (1.0 - 0.9_f64.powi(t));
                let square = s[at] / (1.0 - 0.999_f64.powi(t));
                p[at] += 0.1 * mean / (square.sqrt() + 1e-8);
            }
        }
        for (found, expected) in run(adam, 1, 7).iter().zip(p) {
            assert!((found - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn the_mean_of_the_last_models_goes_with_every_optimizer() {
        for optimizer in [
            Optimizer::Momentum(0.0),
            Optimizer::Momentum(0.9),
            Optimizer::Adam {
                beta_1: 0.9,
                beta_2: 0.99,
                stability: 1e-8,
            },
        ] {
            let last: Vec<f64> = (4..=6).map(|rounds| run(optimizer, 1, rounds)[0]).collect();
            let mean = last.iter().sum::<f64>() / 3.0;
            assert!((run(optimizer, 3, 6)[0] - mean).abs() < 1e-15);
        }
    }
}
