// SPDX-License-Identifier: Apache-2.0
//! The two fields that secrets are shared in, and what sharing needs of either.

use zeroize::Zeroize;

/// A field of characteristic two. Its elements are the abscissae of shares, zero excepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// GF(2^8), for up to 255 shares of 33 bytes: those of the `shamirsecretsharing` crate.
    Gf256,
    /// GF(2^16), for up to 65535 shares of 34 bytes.
    Gf65536,
}

impl Field {
    /// The smaller field that has room for that many shares.
    pub fn for_shares(shares: u32) -> Self {
        if shares <= Self::Gf256.most_shares() {
            Self::Gf256
        } else {
            Self::Gf65536
        }
    }

    /// How many shares of one secret there can be.
    pub const fn most_shares(self) -> u32 {
        match self {
            Self::Gf256 => 0xff,
            Self::Gf65536 => 0xffff,
        }
    }

    /// How many bytes a share has: the abscissa, little-endian, then the value of 32 bytes.
    pub const fn share_length(self) -> usize {
        match self {
            Self::Gf256 => 33,
            Self::Gf65536 => 34,
        }
    }

    /// Where a share lies, read off its bytes; nothing for bytes that are no share of this field.
    pub fn abscissa(self, share: &[u8]) -> Option<u16> {
        if share.len() != self.share_length() {
            return None;
        }
        let abscissa = match self {
            Self::Gf256 => u16::from(*share.first()?),
            Self::Gf65536 => u16::from_le_bytes(*share.first_chunk()?),
        };
        (abscissa != 0).then_some(abscissa)
    }
}

/// Thirty-two bytes as field elements side by side, computed on without looking at any of them: no
/// table, no branch and no index depends on a value.
pub(crate) trait Lanes: Copy + Zeroize {
    /// Zeros.
    const ZERO: Self;
    /// The binary logarithm of how many elements the field has.
    const DEGREE: u32;
    /// The polynomial that products are reduced by, one bit per power of x.
    const MODULUS: u32;

    fn from_bytes(bytes: &[u8; 32]) -> Self;

    fn write_to(self, bytes: &mut [u8; 32]);

    fn plus(self, other: Self) -> Self;

    /// Every element times one `factor`, which is public: an abscissa or a Lagrange coefficient. Only
    /// how many steps are taken depends on it.
    fn times(self, factor: u32) -> Self;

    /// The product of two public elements.
    fn product(left: u32, right: u32) -> u32 {
        let mut product = 0;
        for bit in (0..Self::DEGREE).rev() {
            product <<= 1;
            product ^= (product >> Self::DEGREE) * Self::MODULUS;
            product ^= left * (right >> bit & 1);
        }
        product
    }

    /// The inverse of a public element other than zero: its power 2^degree - 2.
    fn inverse(element: u32) -> u32 {
        let mut inverse = 1;
        let mut square = element;
        for _ in 1..Self::DEGREE {
            square = Self::product(square, square);
            inverse = Self::product(inverse, square);
        }
        inverse
    }
}
