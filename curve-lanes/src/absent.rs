// SPDX-License-Identifier: Apache-2.0
//! Processors that do not have the instructions at all.

use crate::{LANES, Product};

/// There is no value of this.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instructions {}

impl Instructions {
    pub(crate) fn find() -> Option<Self> {
        None
    }

    pub(crate) fn multiply(self, _: &[u8; 32], _: &[[u8; 32]; LANES]) -> [[u8; 32]; LANES] {
        match self {}
    }

    pub(crate) fn prepare(self, _: &[[u8; 32]; LANES]) -> Option<[Prepared; LANES]> {
        match self {}
    }

    pub(crate) fn sum_vanishes(
        self,
        _: &[(&Prepared, [u8; 32])],
        _: &[Product],
        _: &[Product],
    ) -> bool {
        match self {}
    }
}

/// There is no value of this.
#[derive(Clone, Debug)]
pub(crate) enum Prepared {}
