// SPDX-License-Identifier: Apache-2.0
//! Symmetric positive definite systems, by + - * / and square root in a fixed order.

/// The lower triangular factor of a symmetric matrix.
pub(super) struct Cholesky {
    rows: Vec<Vec<f64>>,
}

impl Cholesky {
    /// Factors the matrix of `size` whose upper triangle is given row by row. `None` when it is not
    /// positive definite, or so nearly singular that rounding decides.
    pub(super) fn of_upper_triangle(upper: &[f64], size: usize) -> Option<Self> {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(size);
        for index in 0..size {
            let mut row = Vec::with_capacity(index + 1);
            for (column, above) in rows.iter().enumerate() {
                let entry = upper.get(position(column, index, size))?;
                row.push((entry - dot(&row, above)) / above.last()?);
            }
            let diagonal = upper.get(position(index, index, size))?;
            let remainder = diagonal - dot(&row, &row);
            if remainder.is_nan()
                || remainder <= diagonal * LEAST_REMAINDER
                || remainder.is_infinite()
            {
                return None;
            }
            row.push(remainder.sqrt());
            rows.push(row);
        }
        Some(Self { rows })
    }

    /// Solves matrix x = right.
    pub(super) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut forward = Vec::with_capacity(self.rows.len());
        for (row, value) in self.rows.iter().zip(right) {
            let diagonal = row.last().copied().unwrap_or(1.0);
            forward.push((value - dot(row, &forward)) / diagonal);
        }
        let mut solution = Vec::with_capacity(forward.len());
        for row in self.rows.iter().rev() {
            let diagonal = row.last().copied().unwrap_or(1.0);
            let value = forward.pop().unwrap_or_default() / diagonal;
            for (earlier, factor) in forward.iter_mut().zip(row) {
                *earlier -= factor * value;
            }
            solution.push(value);
        }
        solution.reverse();
        solution
    }

    /// The diagonal of the inverse matrix.
    pub(super) fn inverse_diagonal(&self) -> Vec<f64> {
        (0..self.rows.len())
            .map(|index| {
                let mut unit = vec![0.0; self.rows.len()];
                if let Some(entry) = unit.get_mut(index) {
                    *entry = 1.0;
                }
                self.solve(&unit).get(index).copied().unwrap_or_default()
            })
            .collect()
    }
}

/// Where entry (row, column), row <= column, stands in the upper triangle.
fn position(row: usize, column: usize, size: usize) -> usize {
    row * size - row * (row + 1) / 2 + column
}

/// The product over the shorter of the two.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

/// What must remain of a diagonal entry after the other features explained their part.
const LEAST_REMAINDER: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_system_is_solved() {
        // [[4, 2], [2, 3]] x = [2, 5] has the solution [-1/2, 2]; the inverse has the diagonal [3/8, 1/2].
        let factor = Cholesky::of_upper_triangle(&[4.0, 2.0, 3.0], 2);
        let factor = factor.as_ref();
        let solution = factor.map(|factor| factor.solve(&[2.0, 5.0]));
        let diagonal = factor.map(Cholesky::inverse_diagonal);
        for (found, expected) in [(solution, [-0.5, 2.0]), (diagonal, [0.375, 0.5])] {
            let found = found.unwrap_or_default();
            assert_eq!(found.len(), 2);
            assert!(
                found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| (found - expected).abs() < 1e-14)
            );
        }
    }

    #[test]
    fn collinear_features_have_no_factor() {
        assert!(Cholesky::of_upper_triangle(&[1.0, 2.0, 4.0], 2).is_none());
        assert!(Cholesky::of_upper_triangle(&[1.0, 2.0, 3.0], 2).is_none());
        assert!(Cholesky::of_upper_triangle(&[0.0], 1).is_none());
        assert!(Cholesky::of_upper_triangle(&[f64::NAN], 1).is_none());
    }

    proptest! {
        #[test]
        fn solutions_satisfy_their_system(
            entries in proptest::collection::vec(-1.0..1.0, 16),
            expected in proptest::collection::vec(-1.0..1.0, 4),
        ) {
            // A^T A + I is positive definite.
            let column = |index: usize| entries.iter().skip(index).step_by(4);
            let full: Vec<Vec<f64>> = (0..4)
                .map(|row| (0..4).map(|other| {
                    let product: f64 = column(row).zip(column(other)).map(|(a, b)| a * b).sum();
                    product + if row == other { 1.0 } else { 0.0 }
                }).collect())
                .collect();
            let upper: Vec<f64> = full.iter().enumerate().flat_map(|(row, values)| values.iter().skip(row).copied()).collect();
            let right: Vec<f64> = full.iter().map(|row| dot(row, &expected)).collect();
            let solution = Cholesky::of_upper_triangle(&upper, 4).map(|factor| factor.solve(&right)).unwrap_or_default();
            prop_assert_eq!(solution.len(), 4);
            for (found, wanted) in solution.iter().zip(&expected) {
                prop_assert!((found - wanted).abs() < 1e-12);
            }
        }
    }
}
