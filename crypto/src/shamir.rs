// SPDX-License-Identifier: Apache-2.0
//! Shamir's secret sharing ([1979]) of 32-byte secrets over GF(2^8), each byte on its own.
//!
//! Splitting is ours, because it must be repeatable from injected randomness; shares have the form of
//! the `shamirsecretsharing` crate, which combines. That crate accepts a forged abscissa of zero,
//! duplicates, too few shares and none at all, so [`combine`] checks everything first.
//!
//! A share carries no proof of its own: check it against its commitment, and the combined secret
//! against the dealer's.
//!
//! [1979]: https://doi.org/10.1145/359168.359176

use std::fmt;

use shamirsecretsharing::hazmat::combine_keyshares;
use zeroize::{Zeroize, Zeroizing};

use crate::gf256::Lanes;
use crate::random::RandomSource;
use crate::secret::{Secret, Secret32};

/// How many bytes a share has: the abscissa, then one byte per byte of the secret.
pub const SHARE_LENGTH: usize = 33;

/// How many shares exist and how many of them give the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    threshold: u8,
    shares: u8,
}

impl Threshold {
    /// `threshold` out of `shares`, with 2 <= threshold <= shares <= 255.
    ///
    /// # Errors
    /// [`ShamirFault::Threshold`] outside that range.
    pub fn new(threshold: u32, shares: u32) -> Result<Self, ShamirFault> {
        let fault = ShamirFault::Threshold { threshold, shares };
        if threshold < 2 || threshold > shares {
            return Err(fault);
        }
        match (u8::try_from(threshold), u8::try_from(shares)) {
            (Ok(threshold), Ok(shares)) => Ok(Self { threshold, shares }),
            _ => Err(fault),
        }
    }

    /// How many shares give the secret.
    pub fn threshold(self) -> u8 {
        self.threshold
    }

    /// How many shares there are.
    pub fn shares(self) -> u8 {
        self.shares
    }
}

/// One share: an abscissa and the value there of 32 polynomials. Wiped on drop.
pub struct Share(Secret<[u8; SHARE_LENGTH]>);

impl Share {
    /// Takes the 33 bytes of a share.
    ///
    /// # Errors
    /// [`ShamirFault::Length`], or [`ShamirFault::Abscissa`] for an abscissa of zero, where the
    /// secret itself would lie.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ShamirFault> {
        let share = Secret::from_slice(bytes).ok_or(ShamirFault::Length {
            length: bytes.len(),
        })?;
        if bytes.first() == Some(&0) {
            return Err(ShamirFault::Abscissa { abscissa: 0 });
        }
        Ok(Self(share))
    }

    /// The 33 bytes.
    pub fn to_bytes(&self) -> Secret<[u8; SHARE_LENGTH]> {
        self.0.duplicate()
    }

    /// The abscissa: 1 for the first share.
    pub fn index(&self) -> u8 {
        self.0.expose()[0]
    }

    /// A second copy.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Share({}, ..)", self.index())
    }
}

/// Splits `secret` into all the shares of `threshold`, at abscissae 1, 2, 3 and so on.
pub fn split(secret: &Secret32, threshold: Threshold, random: &mut dyn RandomSource) -> Vec<Share> {
    // Highest power first, the secret last, as Horner's rule takes them.
    let mut coefficients = Zeroizing::new(Vec::with_capacity(threshold.threshold.into()));
    for _ in 1..threshold.threshold {
        coefficients.push(Lanes::from_bytes(random.secret32().expose()));
    }
    coefficients.push(Lanes::from_bytes(secret.expose()));

    (1..=threshold.shares)
        .map(|abscissa| {
            let mut value = Lanes::ZERO;
            for coefficient in coefficients.iter() {
                value = value.times(abscissa).plus(*coefficient);
            }
            Share(Secret::filled(|share: &mut [u8; SHARE_LENGTH]| {
                share[0] = abscissa;
                value.write_to(&mut share[1..]);
                value.zeroize();
            }))
        })
        .collect()
}

/// Recovers the secret from exactly as many shares as the threshold asks for.
///
/// Nothing here can tell a true share from a false one: check the result against its commitment.
///
/// # Errors
/// [`ShamirFault::Count`], [`ShamirFault::Abscissa`] or [`ShamirFault::Duplicate`].
pub fn combine(shares: &[Share], threshold: Threshold) -> Result<Secret32, ShamirFault> {
    if shares.len() != usize::from(threshold.threshold) {
        return Err(ShamirFault::Count {
            given: shares.len(),
            needed: threshold.threshold,
        });
    }
    let mut seen = [false; 256];
    for share in shares {
        let abscissa = share.index();
        if abscissa == 0 || abscissa > threshold.shares {
            return Err(ShamirFault::Abscissa { abscissa });
        }
        if std::mem::replace(&mut seen[usize::from(abscissa)], true) {
            return Err(ShamirFault::Duplicate { abscissa });
        }
    }

    let mut shares_to_wipe = Zeroizing::new(Vec::with_capacity(shares.len()));
    shares_to_wipe.extend(shares.iter().map(|share| share.0.expose().to_vec()));
    #[expect(
        clippy::expect_used,
        reason = "the only failure is another share length"
    )]
    let secret = Zeroizing::new(combine_keyshares(&shares_to_wipe).expect("shares have 33 bytes"));
    Ok(Secret::filled(|bytes| bytes.copy_from_slice(&secret)))
}

/// Why shares cannot be made or combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShamirFault {
    /// The parameters are out of range.
    #[error(
        "cannot share `{threshold}` of `{shares}`, choose a threshold of at least 2 and at most the number of shares, which is at most 255"
    )]
    Threshold {
        /// The threshold asked for.
        threshold: u32,
        /// The number of shares asked for.
        shares: u32,
    },
    /// A share has another length.
    #[error("share has `{length}` bytes instead of 33")]
    Length {
        /// Its length in bytes.
        length: usize,
    },
    /// A share lies where no share was dealt.
    #[error("share has abscissa `{abscissa}`, which was never dealt")]
    Abscissa {
        /// The abscissa.
        abscissa: u8,
    },
    /// Two shares lie at the same place.
    #[error("two shares have abscissa `{abscissa}`")]
    Duplicate {
        /// The abscissa.
        abscissa: u8,
    },
    /// More or fewer shares than the threshold.
    #[error("`{given}` shares were given, exactly `{needed}` are needed")]
    Count {
        /// How many were given.
        given: usize,
        /// How many the threshold asks for.
        needed: u8,
    },
}
