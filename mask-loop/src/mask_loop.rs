// SPDX-License-Identifier: Apache-2.0
//! The public door: vectors masked by many streams at once.

use std::borrow::Borrow;

use crate::fields::{Field, Width, WidthFault};
use crate::implementation::Implementation;
use crate::pieces;
use crate::stream::{Sign, Stream};

/// Where a vector can be entered: any 128 fields begin on a block, whatever their width.
pub const FIELD_ALIGNMENT: u64 = 128;

/// Masks vectors of fields of one width.
///
/// ```
/// use consilium_mask_loop::{MaskLoop, Sign, Stream};
///
/// let mask_loop = MaskLoop::new(20)?;
/// let streams = [
///     (Sign::Add, Stream::new(&[1; 32], &[0; 12])),
///     (Sign::Subtract, Stream::new(&[2; 32], &[0; 12])),
/// ];
/// let fields: Vec<u32> = (0..1000).collect();
/// let mut packed = vec![0; mask_loop.packed_length(fields.len())];
/// mask_loop.mask(&streams, 0, &fields, &mut packed);
/// assert_eq!(packed.len(), 2500);
/// # Ok::<(), consilium_mask_loop::WidthFault>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskLoop {
    width: Width,
    implementation: Implementation,
}

impl MaskLoop {
    /// Fields of `bits` bits, on the fastest implementation that this processor has.
    ///
    /// # Errors
    /// [`WidthFault`] outside 8 to 64 bits.
    pub fn new(bits: u8) -> Result<Self, WidthFault> {
        Ok(Self {
            width: Width::new(bits)?,
            implementation: Implementation::fastest(),
        })
    }

    /// The same on another implementation, or nothing when this processor lacks its instructions.
    #[must_use]
    pub fn on(self, implementation: Implementation) -> Option<Self> {
        implementation.is_available().then_some(Self {
            implementation,
            ..self
        })
    }

    /// The width of a field.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.width.as_u8()
    }

    /// The implementation in use.
    #[must_use]
    pub fn implementation(&self) -> Implementation {
        self.implementation
    }

    /// How many bytes `count` packed fields take; `usize::MAX` when no memory could hold them.
    #[must_use]
    pub fn packed_length(&self, count: usize) -> usize {
        self.width.packed_length(count)
    }

    /// Adds or subtracts the streams' fields `first_field`, `first_field + 1`, and so on, one to each
    /// of `fields`, and packs the sums: the sum of field e takes bits [e * bits, (e + 1) * bits), and
    /// bits left over in the last byte are zero.
    ///
    /// # Panics
    /// When `first_field` is not a multiple of [`FIELD_ALIGNMENT`], or `packed` is not
    /// [`Self::packed_length`] bytes long.
    pub fn mask<F: Field, S: Borrow<Stream>>(
        &self,
        streams: &[(Sign, S)],
        first_field: u64,
        fields: &[F],
        packed: &mut [u8],
    ) {
        assert_eq!(
            packed.len(),
            self.packed_length(fields.len()),
            "masked fields are packed into exactly as many bytes as they take"
        );
        let pieces = self.pieces(streams, first_field);
        match self.width.bits() {
            ..=16 => pieces.mask::<u16, F>(fields, packed),
            17..=32 => pieces.mask::<u32, F>(fields, packed),
            33.. => pieces.mask::<u64, F>(fields, packed),
        }
    }

    /// Adds or subtracts the streams in place. All bits above the width are zero afterwards.
    ///
    /// # Panics
    /// When `first_field` is not a multiple of [`FIELD_ALIGNMENT`].
    pub fn apply<S: Borrow<Stream>>(
        &self,
        streams: &[(Sign, S)],
        first_field: u64,
        words: &mut [u64],
    ) {
        let pieces = self.pieces(streams, first_field);
        match self.width.bits() {
            ..=16 => pieces.apply::<u16>(words),
            17..=32 => pieces.apply::<u32>(words),
            33.. => pieces.apply::<u64>(words),
        }
    }

    fn pieces<S: Borrow<Stream>>(&self, streams: &[(Sign, S)], first_field: u64) -> pieces::Pieces {
        assert!(
            first_field.is_multiple_of(FIELD_ALIGNMENT),
            "a vector is entered at a multiple of {FIELD_ALIGNMENT}"
        );
        let streams = streams
            .iter()
            .map(|(sign, stream)| (*sign, stream.borrow()));
        let first_block = u128::from(first_field / FIELD_ALIGNMENT) * self.width.bits() as u128;
        pieces::Pieces::new(self.width, self.implementation, first_block, streams)
    }
}
