// SPDX-License-Identifier: Apache-2.0
//! Curve25519 eight times at once, in 512-bit vectors of AVX-512 IFMA.
//!
//! Two things are done often enough in a round to be worth it, and both are eight-lane work by nature:
//! - [`EightLanes::multiply`]: one secret scalar meets the points of many peers (X25519, [RFC 7748]);
//! - [`EightLanes::sum_vanishes`]: whether a sum of public products on edwards25519 is zero, which is what verifying a
//!   list of signatures comes to.
//!
//! [`EightLanes::find`] gives the one value that both hang on, where the processor has the instructions.
//!
//! # What it refuses to do
//! It is no library of curves: it makes no keys, no signatures and no protocol, judges no result of zeros, and has no
//! second path for other processors. Callers have one, and the tests hold this one against it. `multiply` branches and
//! indexes on public things only; `sum_vanishes` is for public values and takes its time from them.
//!
//! [RFC 7748]: https://www.rfc-editor.org/rfc/rfc7748

#[cfg(not(target_arch = "x86_64"))]
mod absent;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(not(target_arch = "x86_64"))]
use absent::{Instructions, Prepared};
#[cfg(target_arch = "x86_64")]
use x86::{Instructions, Prepared};

/// How many points are computed on at once.
pub const LANES: usize = 8;

/// That the processor has the instructions.
#[derive(Clone, Copy, Debug)]
pub struct EightLanes(Instructions);

/// A public point of edwards25519, in the encoding of RFC 8032, and a public scalar, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// The point.
    pub point: [u8; 32],
    /// The scalar, below 2^253.
    pub scalar: [u8; 32],
}

/// A public point with the multiples that make its products cheap: 17 KB.
#[derive(Clone, Debug)]
pub struct PreparedPoint(Prepared);

impl EightLanes {
    /// Asks the processor.
    pub fn find() -> Option<Self> {
        Instructions::find().map(Self)
    }

    /// X25519 of one scalar with eight u-coordinates: what section 5 of RFC 7748 defines, for each of them.
    ///
    /// A point of small order gives zeros, which the caller must refuse. Time depends on none of the bytes.
    pub fn multiply(self, scalar: &[u8; 32], points: &[[u8; 32]; LANES]) -> [[u8; 32]; LANES] {
        self.0.multiply(scalar, points)
    }

    /// Prepares points for [`Self::sum_vanishes`]: as much work as some dozens of products with each. Nothing unless
    /// all of them exist, in the sense given there.
    pub fn prepare(self, points: &[[u8; 32]]) -> Option<Vec<PreparedPoint>> {
        let mut prepared = Vec::with_capacity(points.len().next_multiple_of(LANES));
        for points in points.chunks(LANES) {
            let mut eight = [NEUTRAL; LANES];
            for (place, point) in eight.iter_mut().zip(points) {
                *place = *point;
            }
            prepared.extend(self.0.prepare(&eight)?.map(PreparedPoint));
        }
        prepared.truncate(points.len());
        Some(prepared)
    }

    /// Whether all points exist, those of `short` have another order than 1, 2, 4 and 8, and 8 times the sum of all
    /// products is the neutral element. The scalars of `prepared` are below 2^253, those of `short` below 2^128.
    ///
    /// A point exists if its y-coordinate, reduced modulo the prime, has an x-coordinate, whatever sign is asked of zero.
    ///
    /// COST: takes a third of the time that one point after the other takes, for lists of some dozens; a fifth where all
    /// long scalars are of prepared points.
    pub fn sum_vanishes(
        self,
        prepared: &[(&PreparedPoint, [u8; 32])],
        long: &[Product],
        short: &[Product],
    ) -> bool {
        let prepared: Vec<(&Prepared, [u8; 32])> = prepared
            .iter()
            .map(|(PreparedPoint(point), scalar)| (point, *scalar))
            .collect();
        self.0.sum_vanishes(&prepared, long, short)
    }
}

/// The encoding of the neutral element: y = 1.
const NEUTRAL: [u8; 32] = {
    let mut encoded = [0; 32];
    encoded[0] = 1;
    encoded
};
