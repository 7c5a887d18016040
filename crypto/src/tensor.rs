// SPDX-License-Identifier: Apache-2.0
//! A vector of coefficients modulo 2^61 - 1 that is an outer product: coordinate e stands in row e / 1024
//! and column e % 1024, and its coefficient is the row's times the column's.
//!
//! An inner product then costs one multiplication by a column's coefficient for each coordinate and one
//! by a row's for each 1024, and next to no keystream. For any vector that is not zero modulo the prime,
//! uniform coefficients make the inner product zero with probability at most 2 / (2^61 - 1).
//!
//! Coefficient k is the residue of block k of an AES-256 stream, read little-endian: of column k where k
//! is below 1024, of row k - 1024 otherwise.

use crate::mask::{MaskStream, Sign};
use crate::mersenne::Element;
use crate::ring::WordBits;
use crate::secret::Secret;

/// How many coordinates a row has.
pub const COLUMNS: usize = 1024;

/// The coefficients of one key. They are no secret, unlike what they are multiplied with.
pub struct TensorCoefficients {
    stream: MaskStream,
    columns: Box<Columns>,
    /// The group of rows that was used last, and its coefficients.
    rows: (u64, Vec<Element>),
}

struct Columns {
    values: [Element; COLUMNS],
    /// The coefficients in three limbs of 21 bits, the least significant first.
    limbs: [[u64; COLUMNS]; 3],
    /// The sum of all coefficients of columns.
    total: Element,
}

impl TensorCoefficients {
    /// The coefficients of a derived key: 32 bytes of AES-256 key, then the first nonce.
    pub fn new(key: &Secret<[u8; 44]>) -> Self {
        #[expect(clippy::expect_used, reason = "64 bits are a width of words")]
        let bits = WordBits::new(64).expect("a width of words");
        let stream = MaskStream::new(bits, key);
        let values = elements(&stream, 0, COLUMNS);
        let mut columns = Box::new(Columns {
            values: [Element::ZERO; COLUMNS],
            limbs: [[0; COLUMNS]; 3],
            total: Element::ZERO,
        });
        columns.values.copy_from_slice(&values);
        for (position, limbs) in columns.limbs.iter_mut().enumerate() {
            for (limb, value) in limbs.iter_mut().zip(&values) {
                *limb = value.value() >> (LIMB_BITS * position) & ((1 << LIMB_BITS) - 1);
            }
        }
        columns.total = sum(&values);
        let rows = (0, row_group(&stream, 0));
        Self {
            stream,
            columns,
            rows,
        }
    }

    /// The inner product with coordinates `first`, `first + 1`, and so on, which are words in the centred
    /// range, their higher bits zero.
    pub fn inner_product(&mut self, bits: WordBits, first: u64, words: &[u64]) -> Element {
        let mut product = Element::ZERO;
        let (mut row, mut column) = (first / ROW, place(first % ROW));
        let mut rest = words;
        while !rest.is_empty() {
            let (words, later) = rest.split_at(rest.len().min(COLUMNS - column));
            let of_row = self.columns.inner_product(bits, column, words);
            product = product.plus(of_row.times(self.row(row)));
            (row, column, rest) = (row + 1, 0, later);
        }
        product
    }

    fn row(&mut self, row: u64) -> Element {
        let group = row / ROWS_AT_ONCE;
        if self.rows.0 != group {
            self.rows = (group, row_group(&self.stream, group));
        }
        let of_group = &self.rows.1;
        of_group
            .get(place(row % ROWS_AT_ONCE))
            .copied()
            .unwrap_or_default()
    }
}

impl Columns {
    /// The inner product of columns from `first` on with words in the centred range.
    fn inner_product(&self, bits: WordBits, first: usize, words: &[u64]) -> Element {
        // Words are counted from the lower end of their range, which makes them positive; what that
        // adds is taken away at the end.
        let half = 1 << (bits.bits() - 1);
        let columns = first..first + words.len();
        let (counted, total) = match (<&[u64; COLUMNS]>::try_from(words), bits.bits()) {
            (Ok(words), ..=32) => (self.narrow(half, words), self.total),
            _ => {
                let columns = &self.values[columns];
                (wide(bits, half, columns, words), sum(columns))
            }
        };
        counted.minus(total.times(Element::from_wide(half.into())))
    }

    /// COST: three multiplications of 32 bits, which every processor does on several coordinates at a
    /// time, and no reduction before the row's end: words below 2^32 times limbs below 2^21, 2^10 times,
    /// stay below 2^63.
    fn narrow(&self, half: u64, words: &[u64; COLUMNS]) -> Element {
        // Words and limbs have no higher bits. Masking both by a constant is what tells the compiler that
        // 32 bits are multiplied; by the width's own mask it does not.
        const LOW: u64 = 0xffff_ffff;
        let [low, middle, high] = &self.limbs;
        let mut sums = [0_u64; 3];
        for (((word, low), middle), high) in words.iter().zip(low).zip(middle).zip(high) {
            let word = (word ^ half) & LOW;
            sums[0] = sums[0].wrapping_add(word.wrapping_mul(low & LOW));
            sums[1] = sums[1].wrapping_add(word.wrapping_mul(middle & LOW));
            sums[2] = sums[2].wrapping_add(word.wrapping_mul(high & LOW));
        }
        let [low, middle, high] = sums.map(u128::from);
        // Below 2^106.
        Element::from_wide(low + (middle << LIMB_BITS) + (high << (2 * LIMB_BITS)))
    }
}

/// COST: as many products are summed before a reduction as 128 bits hold: coefficients are below 2^61.
fn wide(bits: WordBits, half: u64, columns: &[Element], words: &[u64]) -> Element {
    let at_once = match bits.bits() {
        ..=57 => COLUMNS,
        _ => 8,
    };
    let mut total = Element::ZERO;
    for (columns, words) in columns.chunks(at_once).zip(words.chunks(at_once)) {
        let products = columns.iter().zip(words).map(|(column, word)| {
            u128::from(column.value()) * u128::from((word ^ half) & bits.mask())
        });
        let part = products.fold(0_u128, u128::wrapping_add);
        total = total.plus(Element::from_wide(part));
    }
    total
}

fn row_group(stream: &MaskStream, group: u64) -> Vec<Element> {
    elements(stream, ROW + group * ROWS_AT_ONCE, place(ROWS_AT_ONCE))
}

/// The residues of `count` blocks, of which the first is a multiple of 64.
fn elements(stream: &MaskStream, first: u64, count: usize) -> Vec<Element> {
    let mut words = vec![0; 2 * count];
    stream.apply(Sign::Add, 2 * first, &mut words);
    let (blocks, _) = words.as_chunks::<2>();
    let residue =
        |[low, high]: &[u64; 2]| Element::from_wide(u128::from(*low) | u128::from(*high) << 64);
    blocks.iter().map(residue).collect()
}

fn sum(elements: &[Element]) -> Element {
    elements
        .iter()
        .fold(Element::ZERO, |sum, one| sum.plus(*one))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "places in a row or a group of rows are below 1024"
)]
fn place(number: u64) -> usize {
    number as usize
}

/// [`COLUMNS`], as coordinates are counted.
const ROW: u64 = COLUMNS as u64;

/// Coefficients of rows are expanded in groups.
const ROWS_AT_ONCE: u64 = 256;

const LIMB_BITS: usize = 21;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
