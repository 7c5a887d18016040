// SPDX-License-Identifier: Apache-2.0
//! The code for processors with AVX-512 IFMA, and the one door to it.

mod edwards;
mod field;
mod montgomery;
mod prepared;
mod straus;

use crate::{LANES, Product};
pub(crate) use prepared::Prepared;

/// That `avx512f` and `avx512ifma` are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instructions(());

impl Instructions {
    pub(crate) fn find() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma");
        found.then_some(Self(()))
    }

    #[expect(unsafe_code, reason = "the door to instructions found at run time")]
    pub(crate) fn multiply(
        self,
        scalar: &[u8; 32],
        points: &[[u8; 32]; LANES],
    ) -> [[u8; 32]; LANES] {
        // SAFETY: a value of this type exists only where `find` found both features.
        unsafe { montgomery::multiply(scalar, points) }
    }

    #[expect(unsafe_code, reason = "the door to instructions found at run time")]
    pub(crate) fn prepare(self, points: &[[u8; 32]; LANES]) -> Option<[Prepared; LANES]> {
        // SAFETY: a value of this type exists only where `find` found both features.
        unsafe { Prepared::eight(points) }
    }

    #[expect(unsafe_code, reason = "the door to instructions found at run time")]
    pub(crate) fn sum_vanishes(
        self,
        prepared: &[(&Prepared, [u8; 32])],
        long: &[Product],
        short: &[Product],
    ) -> bool {
        // SAFETY: a value of this type exists only where `find` found both features.
        unsafe { straus::sum_vanishes(prepared, long, short) }
    }
}
