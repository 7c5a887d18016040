// SPDX-License-Identifier: Apache-2.0
//! Widths of fields, and the integers that hold them.

/// The width of a field: 8 to 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width(u8);

impl Width {
    pub(crate) fn new(bits: u8) -> Result<Self, WidthFault> {
        if (8..=64).contains(&bits) {
            Ok(Self(bits))
        } else {
            Err(WidthFault { bits })
        }
    }

    pub(crate) fn bits(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn as_u8(self) -> u8 {
        self.0
    }

    pub(crate) fn mask(self) -> u64 {
        u64::MAX >> (64 - self.0)
    }

    /// How many bytes `count` packed fields take; `usize::MAX` when no memory could hold them.
    pub(crate) fn packed_length(self, count: usize) -> usize {
        let whole_groups = (count / 8).saturating_mul(self.bits());
        whole_groups.saturating_add((count % 8 * self.bits()).div_ceil(8))
    }
}

/// A width that fields cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fields cannot have `{bits}` bits, choose 8 to 64")]
pub struct WidthFault {
    /// The width asked for.
    pub bits: u8,
}

/// An unsigned integer that holds one field of a vector. Bits above the width are ignored.
pub trait Field: Copy + Send + Sync + sealed::Sealed {
    /// The field as the widest of the integers.
    fn widen(self) -> u64;

    #[doc(hidden)]
    fn as_u16(_fields: &[Self]) -> Option<&[u16]> {
        None
    }

    #[doc(hidden)]
    fn as_u32(_fields: &[Self]) -> Option<&[u32]> {
        None
    }

    #[doc(hidden)]
    fn as_u64(_fields: &[Self]) -> Option<&[u64]> {
        None
    }
}

impl Field for u16 {
    fn widen(self) -> u64 {
        u64::from(self)
    }

    fn as_u16(fields: &[Self]) -> Option<&[u16]> {
        Some(fields)
    }
}

impl Field for u32 {
    fn widen(self) -> u64 {
        u64::from(self)
    }

    fn as_u32(fields: &[Self]) -> Option<&[u32]> {
        Some(fields)
    }
}

impl Field for u64 {
    fn widen(self) -> u64 {
        self
    }

    fn as_u64(fields: &[Self]) -> Option<&[u64]> {
        Some(fields)
    }
}

/// The integer in which fields of some width are summed. Whatever stands above the field's width
/// never reaches down into it, so it is left alone until fields are packed or handed back.
pub(crate) trait Lane: Field + Default {
    /// The low bits of `word`.
    fn truncate(word: u64) -> Self;

    fn plus(self, other: Self) -> Self;

    fn minus(self, other: Self) -> Self;

    /// Writes whole lanes, little-endian.
    fn write(lanes: &[Self], packed: &mut [u8]);

    /// `to` becomes `from` combined with whole lanes of keystream.
    fn combine_from(from: &[Self], keystream: &[u8], to: &mut [Self], combine: impl Combine<Self>);

    /// The same, written little-endian.
    fn combine_to(from: &[Self], keystream: &[u8], to: &mut [u8], combine: impl Combine<Self>);

    /// The fields themselves, when they are lanes already.
    fn borrow<F: Field>(fields: &[F]) -> Option<&[Self]>;
}

/// Addition or subtraction.
pub(crate) trait Combine<L>: Fn(L, L) -> L {}

impl<L, C: Fn(L, L) -> L> Combine<L> for C {}

macro_rules! lane {
    ($integer:ty, $borrow:ident) => {
        impl Lane for $integer {
            #[inline]
            fn truncate(word: u64) -> Self {
                // The low bits are asked for.
                word as Self
            }

            #[inline]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            #[inline]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            fn write(lanes: &[Self], packed: &mut [u8]) {
                let (places, _) = packed.as_chunks_mut();
                for (lane, place) in lanes.iter().zip(places) {
                    *place = lane.to_le_bytes();
                }
            }

            fn combine_from(
                from: &[Self],
                keystream: &[u8],
                to: &mut [Self],
                combine: impl Combine<Self>,
            ) {
                let (keystream, _) = keystream.as_chunks();
                for ((to, from), bytes) in to.iter_mut().zip(from).zip(keystream) {
                    *to = combine(*from, Self::from_le_bytes(*bytes));
                }
            }

            fn combine_to(
                from: &[Self],
                keystream: &[u8],
                to: &mut [u8],
                combine: impl Combine<Self>,
            ) {
                let (keystream, _) = keystream.as_chunks();
                let (to, _) = to.as_chunks_mut();
                for ((to, from), bytes) in to.iter_mut().zip(from).zip(keystream) {
                    *to = combine(*from, Self::from_le_bytes(*bytes)).to_le_bytes();
                }
            }

            fn borrow<F: Field>(fields: &[F]) -> Option<&[Self]> {
                F::$borrow(fields)
            }
        }
    };
}

lane!(u16, as_u16);
lane!(u32, as_u32);
lane!(u64, as_u64);

mod sealed {
    pub trait Sealed {}

    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
}
