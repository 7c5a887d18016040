// SPDX-License-Identifier: Apache-2.0
//! Proof by attack: whether a patient took part is guessed from what is released, and the guesses must be as good as the
//! accountant says that they may be: no better, for then noise is missing, and hardly worse, for then nothing was proven.
//!
//! - [`canary`]: one patient of exactly the clipping norm, in many rounds and out of as many;
//! - [`local`]: the same in one silo that takes noised local steps, without masks;
//! - [`one_run`]: a thousand patients at once, each in or out by a coin, in one training run;
//! - [`mutation`]: the mistakes that the two must find, as stand-ins for a silo's part in a round;
//! - [`proof`]: what the guesses prove, with which confidence.
//!
//! A silo's part is `simulated_sum` of the privacy crate, which is the `noised_sum` that the agent's pipeline calls but for
//! the type of the generator; the sum is made by the real
//! machines of [`crate::Federation`], with masks, dropouts, votes and tags.

pub mod canary;
pub mod local;
pub mod mutation;
pub mod one_run;
pub mod proof;
