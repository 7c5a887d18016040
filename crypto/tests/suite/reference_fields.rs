// SPDX-License-Identifier: Apache-2.0
//! Sharing in either field, by tables of logarithms.

use consilium_crypto::shamir::{Field, Share};

/// Either field by its logarithms, written without looking at either implementation.
pub(crate) struct Reference {
    field: Field,
    /// Powers of a generator.
    powers: Vec<u16>,
    logarithms: Vec<usize>,
}

impl Reference {
    pub(crate) fn new(field: Field) -> Self {
        let (order, multiply): (usize, fn(u16, u16) -> u16) = match field {
            Field::Gf256 => (255, |left, right| multiply(left, right, 8, 0x1b)),
            Field::Gf65536 => (65_535, |left, right| multiply(left, right, 16, 0x2b)),
        };
        // A generator's powers reach every element but zero before they return to one.
        let powers = (2..)
            .map(|candidate| {
                let mut powers = vec![1];
                loop {
                    let next = multiply(*powers.last().unwrap(), candidate);
                    if next == 1 || powers.len() > order {
                        break powers;
                    }
                    powers.push(next);
                }
            })
            .find(|powers| powers.len() == order)
            .unwrap();
        let mut logarithms = vec![0; order + 1];
        for (exponent, power) in powers.iter().enumerate() {
            logarithms[usize::from(*power)] = exponent;
        }
        Self {
            field,
            powers,
            logarithms,
        }
    }

    pub(crate) fn element_bytes(&self) -> usize {
        match self.field {
            Field::Gf256 => 1,
            Field::Gf65536 => 2,
        }
    }

    fn times(&self, left: u16, right: u16) -> u16 {
        if left == 0 || right == 0 {
            return 0;
        }
        let exponent = self.logarithms[usize::from(left)] + self.logarithms[usize::from(right)];
        self.powers[exponent % self.powers.len()]
    }

    fn divided(&self, left: u16, right: u16) -> u16 {
        let opposite = self.powers.len() - self.logarithms[usize::from(right)];
        self.times(left, self.powers[opposite % self.powers.len()])
    }

    fn power(&self, base: u16, exponent: usize) -> u16 {
        self.powers[self.logarithms[usize::from(base)] * exponent % self.powers.len()]
    }

    fn elements(&self, bytes: &[u8]) -> Vec<u16> {
        match self.field {
            Field::Gf256 => bytes.iter().map(|byte| (*byte).into()).collect(),
            Field::Gf65536 => bytes
                .chunks_exact(2)
                .map(|pair| u16::from(pair[0]) | u16::from(pair[1]) << 8)
                .collect(),
        }
    }

    fn bytes(&self, elements: &[u16]) -> [u8; 32] {
        let bytes = elements
            .iter()
            .flat_map(|element| element.to_le_bytes()[..self.element_bytes()].to_vec());
        bytes.collect::<Vec<u8>>().try_into().unwrap()
    }

    /// Lagrange's interpolation at zero.
    pub(crate) fn interpolate(&self, shares: &[Share]) -> [u8; 32] {
        let mut secret = vec![0; 32 / self.element_bytes()];
        for share in shares {
            let mut factor = 1;
            for other in shares.iter().filter(|other| other.index() != share.index()) {
                let difference = other.index() ^ share.index();
                factor = self.times(factor, self.divided(other.index(), difference));
            }
            let values = self.elements(&share.to_bytes().expose()[self.element_bytes()..]);
            for (element, value) in secret.iter_mut().zip(values) {
                *element ^= self.times(factor, value);
            }
        }
        self.bytes(&secret)
    }

    /// A polynomial's value as the sum of its terms.
    pub(crate) fn evaluate(
        &self,
        highest_first: &[[u8; 32]],
        constant: &[u8; 32],
        at: u16,
    ) -> [u8; 32] {
        let mut value = self.elements(constant);
        for (row, exponent) in highest_first.iter().rev().zip(1..) {
            for (value, coefficient) in value.iter_mut().zip(self.elements(row)) {
                *value ^= self.times(coefficient, self.power(at, exponent));
            }
        }
        self.bytes(&value)
    }
}

/// By shift and reduce.
fn multiply(left: u16, mut right: u16, degree: u32, reduction: u32) -> u16 {
    let mut left = u32::from(left);
    let mut product = 0;
    while right != 0 {
        if right & 1 == 1 {
            product ^= left;
        }
        left <<= 1;
        if left >> degree == 1 {
            left ^= 1 << degree | reduction;
        }
        right >>= 1;
    }
    u16::try_from(product).unwrap()
}
