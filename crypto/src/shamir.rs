// SPDX-License-Identifier: Apache-2.0
//! Shamir's secret sharing ([1979]) of 32-byte secrets, in a field of characteristic two.
//!
//! Up to 255 shares are points over GF(2^8), each byte of the secret on its own, in the form of the
//! `shamirsecretsharing` crate; more are points over GF(2^16), each two bytes on their own. [`Threshold`]
//! chooses the field by the number of shares.
//!
//! [`combine`] demands exactly the threshold of distinct shares at abscissae that were dealt: a forged
//! abscissa of zero would replace the secret. A share carries no proof of its own: check it against its
//! commitment, and the combined secret against the dealer's.
//!
//! [1979]: https://doi.org/10.1145/359168.359176

mod field;
mod gf256;
mod gf65536;
mod interpolation;

use std::fmt;

use zeroize::Zeroizing;

use crate::random::RandomSource;
use crate::secret::{Secret, Secret32};
pub use field::Field;
use field::Lanes;
use gf256::Gf256Lanes;
use gf65536::Gf65536Lanes;
pub use interpolation::Interpolation;

/// How many shares exist, how many of them give the secret, and in which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    threshold: u16,
    shares: u16,
    field: Field,
}

impl Threshold {
    /// `threshold` out of `shares`, with 2 <= threshold <= shares <= 65535, in the smaller field that
    /// has room.
    ///
    /// # Errors
    /// [`ShamirFault::Threshold`] outside that range.
    pub fn new(threshold: u32, shares: u32) -> Result<Self, ShamirFault> {
        Self::within(Field::for_shares(shares), threshold, shares)
    }

    /// The same in a field of the caller's choice.
    ///
    /// # Errors
    /// [`ShamirFault::Threshold`] when the field has no room for that many shares.
    pub fn within(field: Field, threshold: u32, shares: u32) -> Result<Self, ShamirFault> {
        let fault = ShamirFault::Threshold { threshold, shares };
        if threshold < 2 || threshold > shares || shares > field.most_shares() {
            return Err(fault);
        }
        match (u16::try_from(threshold), u16::try_from(shares)) {
            (Ok(threshold), Ok(shares)) => Ok(Self {
                threshold,
                shares,
                field,
            }),
            _ => Err(fault),
        }
    }

    /// How many shares give the secret.
    pub fn threshold(self) -> u32 {
        self.threshold.into()
    }

    /// How many shares there are.
    pub fn shares(self) -> u32 {
        self.shares.into()
    }

    /// The field that shares are points over.
    pub fn field(self) -> Field {
        self.field
    }
}

/// One share: an abscissa and the value there of one polynomial for each element of the secret. Wiped
/// on drop.
pub struct Share {
    field: Field,
    abscissa: u16,
    value: Secret32,
}

impl Share {
    /// Takes the bytes of a share, whose number tells its field.
    ///
    /// # Errors
    /// [`ShamirFault::Length`], or [`ShamirFault::Abscissa`] for an abscissa of zero, where the
    /// secret itself would lie.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ShamirFault> {
        let length = bytes.len();
        let field = [Field::Gf256, Field::Gf65536]
            .into_iter()
            .find(|field| field.share_length() == length)
            .ok_or(ShamirFault::Length { length })?;
        let abscissa = field
            .abscissa(bytes)
            .ok_or(ShamirFault::Abscissa { abscissa: 0 })?;
        let value = bytes
            .last_chunk::<32>()
            .and_then(|value| Secret::from_slice(value))
            .ok_or(ShamirFault::Length { length })?;
        Ok(Self {
            field,
            abscissa,
            value,
        })
    }

    /// The bytes: 33 or 34, as the field says.
    pub fn to_bytes(&self) -> Secret<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.field.share_length());
        let [low, high] = self.abscissa.to_le_bytes();
        bytes.push(low);
        match self.field {
            Field::Gf256 => {}
            Field::Gf65536 => bytes.push(high),
        }
        bytes.extend_from_slice(self.value.expose());
        Secret::new(bytes)
    }

    /// The abscissa: 1 for the first share.
    pub fn index(&self) -> u16 {
        self.abscissa
    }

    /// A second copy.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            field: self.field,
            abscissa: self.abscissa,
            value: self.value.duplicate(),
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Share({}, ..)", self.index())
    }
}

/// Splits `secret` into all the shares of `threshold`, at abscissae 1, 2, 3 and so on.
pub fn split(secret: &Secret32, threshold: Threshold, random: &mut dyn RandomSource) -> Vec<Share> {
    match threshold.field {
        Field::Gf256 => split_over::<Gf256Lanes>(secret, threshold, random),
        Field::Gf65536 => split_over::<Gf65536Lanes>(secret, threshold, random),
    }
}

fn split_over<L: Lanes>(
    secret: &Secret32,
    threshold: Threshold,
    random: &mut dyn RandomSource,
) -> Vec<Share> {
    // Highest power first, the secret last, as Horner's rule takes them.
    let mut coefficients = Zeroizing::new(Vec::with_capacity(threshold.threshold.into()));
    for _ in 1..threshold.threshold {
        coefficients.push(L::from_bytes(random.secret32().expose()));
    }
    coefficients.push(L::from_bytes(secret.expose()));

    (1..=threshold.shares)
        .map(|abscissa| {
            let mut value = L::ZERO;
            for coefficient in coefficients.iter() {
                value = value.times(abscissa.into()).plus(*coefficient);
            }
            Share {
                field: threshold.field,
                abscissa,
                value: Secret::filled(|bytes| {
                    value.write_to(bytes);
                    value.zeroize();
                }),
            }
        })
        .collect()
}

/// Recovers the secret from exactly as many shares as the threshold asks for.
///
/// For several secrets shared at the same abscissae, take one [`Interpolation`]. Nothing here can tell a
/// true share from a false one: check the result against its commitment.
///
/// # Errors
/// [`ShamirFault::Count`], [`ShamirFault::Abscissa`], [`ShamirFault::Duplicate`] or
/// [`ShamirFault::OtherField`].
pub fn combine(shares: &[Share], threshold: Threshold) -> Result<Secret32, ShamirFault> {
    let abscissae: Vec<u16> = shares.iter().map(Share::index).collect();
    Interpolation::new(&abscissae, threshold)?.combine(shares)
}

/// Why shares cannot be made or combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShamirFault {
    /// The parameters are out of range.
    #[error(
        "cannot share `{threshold}` of `{shares}`, choose a threshold of at least 2 and at most the number of shares, which is at most 65535, or 255 over GF(2^8)"
    )]
    Threshold {
        /// The threshold asked for.
        threshold: u32,
        /// The number of shares asked for.
        shares: u32,
    },
    /// A share has another length.
    #[error("share has `{length}` bytes instead of 33 or 34")]
    Length {
        /// Its length in bytes.
        length: usize,
    },
    /// A share lies where no share was dealt.
    #[error("share has abscissa `{abscissa}`, which was never dealt or is not this share's")]
    Abscissa {
        /// The abscissa.
        abscissa: u16,
    },
    /// Two shares lie at the same place.
    #[error("two shares have abscissa `{abscissa}`")]
    Duplicate {
        /// The abscissa.
        abscissa: u16,
    },
    /// A share is a point over the other field.
    #[error("share at abscissa `{abscissa}` has the length of shares of another number of silos")]
    OtherField {
        /// The abscissa.
        abscissa: u16,
    },
    /// More or fewer shares than the threshold.
    #[error("`{given}` shares were given, exactly `{needed}` are needed")]
    Count {
        /// How many were given.
        given: usize,
        /// How many the threshold asks for.
        needed: u32,
    },
}
