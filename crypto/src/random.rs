// SPDX-License-Identifier: Apache-2.0
//! Randomness that the caller passes in, and the one generator that the release path accepts.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroize;

use thiserror::Error;

use crate::secret::{Secret, Secret32};

/// A source of uniform bytes.
pub trait RandomSource {
    /// Overwrites `bytes` with uniform bytes.
    fn fill(&mut self, bytes: &mut [u8]);

    /// A uniform 64-bit integer.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A fresh uniform 32-byte secret.
    fn secret32(&mut self) -> Secret32 {
        Secret::filled(|bytes| self.fill(bytes))
    }
}

impl<R: RandomSource + ?Sized> RandomSource for &mut R {
    fn fill(&mut self, bytes: &mut [u8]) {
        (**self).fill(bytes);
    }

    fn next_u64(&mut self) -> u64 {
        (**self).next_u64()
    }
}

/// The generator behind everything that a round keeps secret, noise included: ChaCha20 with fast key
/// erasure. Each 4 KiB of output starts from a new key, and the old key and every byte handed out
/// are wiped, so reading the state tells nothing about what came before.
///
/// The release path takes this concrete type, and the operating system is the only thing that seeds it. Bytes that
/// somebody chose make an [`InsecureSeededRandom`], and the compiler lets no such bytes in here:
///
/// ```compile_fail,E0599
/// # use consilium_crypto::{random::RoundRandom, secret::Secret32};
/// let random = RoundRandom::from_seed(Secret32::new([7; 32]));
/// ```
pub struct RoundRandom(Generator);

impl RoundRandom {
    /// Asks the operating system for a seed of 32 bytes, which is used nowhere else.
    ///
    /// ```
    /// # use consilium_crypto::random::{NoSystemRandomness, RandomSource, RoundRandom};
    /// let mut random = RoundRandom::from_operating_system()?;
    /// let drawn = random.next_u64();
    /// # Ok::<(), NoSystemRandomness>(())
    /// ```
    ///
    /// # Errors
    /// [`NoSystemRandomness`], where the operating system gives none.
    pub fn from_operating_system() -> Result<Self, NoSystemRandomness> {
        let mut filled = Ok(());
        #[expect(
            clippy::disallowed_methods,
            reason = "the type says that its seed is the system's; pure crates may not call this either"
        )]
        let seed = Secret::filled(|seed| filled = getrandom::fill(seed));
        filled?;
        Ok(Self(Generator::new(&seed)))
    }
}

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, Error)]
#[error("the operating system gives no randomness")]
pub struct NoSystemRandomness(#[from] getrandom::Error);

impl RandomSource for RoundRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// A repeatable generator for tests and simulations. Anyone who guesses the 64-bit seed knows
/// every byte: never use it where something is to stay secret.
pub struct InsecureSeededRandom(Generator);

impl InsecureSeededRandom {
    /// The same seed gives the same bytes, on every platform.
    pub fn from_seed(seed: u64) -> Self {
        let key = Secret::filled(|key: &mut [u8; 32]| {
            for (byte, seed_byte) in key.iter_mut().zip(seed.to_le_bytes()) {
                *byte = seed_byte;
            }
        });
        Self(Generator::new(&key))
    }

    /// The same for a seed of 32 bytes. Where the bytes are public, so is everything drawn.
    pub fn from_bytes(seed: [u8; 32]) -> Self {
        Self(Generator::new(&Secret::new(seed)))
    }
}

impl RandomSource for InsecureSeededRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl std::fmt::Debug for RoundRandom {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RoundRandom(..)")
    }
}

impl std::fmt::Debug for InsecureSeededRandom {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("InsecureSeededRandom(..)")
    }
}

/// A batch of keystream: the first 32 bytes are the next key, the rest is output.
pub(crate) struct Generator {
    batch: Box<[u8; BATCH]>,
    used: usize,
}

impl Generator {
    pub(crate) fn new(seed: &Secret32) -> Self {
        let mut generator = Self {
            batch: Box::new([0; BATCH]),
            used: KEY,
        };
        generator.restart(seed);
        generator
    }

    fn restart(&mut self, key: &Secret32) {
        // The zero nonce is used once per key: every batch has a key of its own.
        let mut keystream = ChaCha20::new(key.expose().into(), &[0; 12].into());
        self.batch.fill(0);
        keystream.apply_keystream(self.batch.as_mut_slice());
        self.used = KEY;
    }

    fn refill(&mut self) {
        let key = Secret::filled(|key: &mut [u8; KEY]| {
            for (byte, next) in key.iter_mut().zip(self.batch.iter()) {
                *byte = *next;
            }
        });
        self.restart(&key);
    }

    pub(crate) fn fill(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.used == BATCH {
                self.refill();
            }
            let count = bytes.len().min(BATCH - self.used);
            let (now, later) = bytes.split_at_mut(count);
            let output = &mut self.batch[self.used..self.used + count];
            now.copy_from_slice(output);
            output.fill(0);
            self.used += count;
            bytes = later;
        }
    }

    fn next_u64(&mut self) -> u64 {
        if let Some(word) = self.batch[self.used..].first_chunk_mut::<8>() {
            let value = u64::from_le_bytes(*word);
            *word = [0; 8];
            self.used += 8;
            return value;
        }
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // COST: as a slice it is wiped in one go, as an array byte by byte.
        self.batch.as_mut_slice().zeroize();
    }
}

const KEY: usize = 32;
const BATCH: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_however_they_are_asked_for() {
        let mut whole = [0; 20_000];
        InsecureSeededRandom::from_seed(3).fill(&mut whole);
        let mut pieces = Vec::new();
        let mut random = InsecureSeededRandom::from_seed(3);
        for length in (0..).map(|step| step % 97) {
            let mut piece = vec![0; length];
            random.fill(&mut piece);
            pieces.extend(piece);
            if pieces.len() > whole.len() {
                break;
            }
        }
        assert_eq!(pieces[..whole.len()], whole);

        let mut words = InsecureSeededRandom::from_seed(3);
        for expected in whole.chunks_exact(8) {
            assert_eq!(words.next_u64().to_le_bytes(), expected);
        }
    }

    #[test]
    fn the_first_batch_is_the_chacha20_keystream_after_the_next_key() {
        let mut keystream = [0; 64];
        ChaCha20::new(&[9; 32].into(), &[0; 12].into()).apply_keystream(&mut keystream);
        let mut first = [0; 32];
        InsecureSeededRandom::from_bytes([9; 32]).fill(&mut first);
        assert_eq!(first, keystream[32..]);
    }

    #[test]
    fn the_operating_system_seeds_every_generator_anew() {
        // Equal by chance once in 2^256.
        let draw = || RoundRandom::from_operating_system().unwrap().secret32();
        assert!(!draw().equals(&draw()));
    }

    #[test]
    fn other_seeds_give_other_bytes() {
        let first = InsecureSeededRandom::from_seed(1).next_u64();
        let second = InsecureSeededRandom::from_seed(2).next_u64();
        assert_ne!(first, second);
    }

    #[test]
    fn bytes_handed_out_are_wiped_from_the_state() {
        let mut generator = Generator::new(&Secret32::new([1; 32]));
        generator.fill(&mut [0; 100]);
        let _ = generator.next_u64();
        assert_eq!(generator.batch[KEY..KEY + 108], [0; 108]);
        assert_ne!(generator.batch[KEY + 108..KEY + 124], [0; 16]);
    }

    #[test]
    fn a_source_can_be_lent() {
        fn draw(random: &mut dyn RandomSource) -> u64 {
            random.next_u64()
        }
        let mut random = InsecureSeededRandom::from_seed(5);
        let lent: &mut dyn RandomSource = &mut random;
        assert_ne!(draw(lent), draw(lent));
    }
}
