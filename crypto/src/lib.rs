// SPDX-License-Identifier: Apache-2.0
//! Cryptographic primitives composed for secure aggregation; knows nothing of rounds.
//!
//! Names to know:
//!
//! - [`secret::Secret`] holds every key, seed and share: wiped on drop, never shown, never cloned.
//! - [`transcript::hash`] and [`transcript::derive_key`] hash and derive under a [`label::Label`], so a
//!   value made for one purpose is worth nothing for another. [`signing::SigningKey`] signs such hashes.
//! - [`shamir::split`] and [`shamir::combine`] share a secret among silos so that a threshold of them
//!   gives it back.
//! - [`mask::MaskStream`] expands a key that two silos agreed ([`key_agreement`]) into words of a
//!   [`ring`] that cancel in the sum; [`packing`] puts such words on the wire.
//! - [`tensor`] holds the coefficients by which a committed sum is challenged.
//! - [`merkle`] proves that a share, a chunk or an event belongs to a published root.
//!
//! Its functions refuse to draw randomness by themselves: every caller passes a [`random::RandomSource`], and
//! [`random::RoundRandom`] is the one that only the operating system can seed. It reads no
//! file, clock or network, and no branch or index depends on a secret. [`sealing`] encrypts one message
//! per key, and takes the key away; [`key_encapsulation`] agrees keys that stay secret from a quantum computer.

pub mod digest;
mod hex_bytes;
pub mod key_agreement;
pub mod key_encapsulation;
pub mod label;
pub mod mask;
pub mod merkle;
pub mod mersenne;
pub mod packing;
pub mod random;
pub mod ring;
pub mod sealing;
pub mod secret;
pub mod shamir;
pub mod signing;
pub mod tensor;
pub mod transcript;

pub use digest::Digest;
pub use hex_bytes::HexFault;
pub use label::Label;
pub use secret::{Secret, Secret32};
