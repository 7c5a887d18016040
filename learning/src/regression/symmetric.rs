// SPDX-License-Identifier: Apache-2.0
//! Eigenvalues of a symmetric matrix raised to a floor: cyclic Jacobi rotations, by + - * / and square root in a fixed
//! order, so that every silo gets the same bits.

/// The matrix, as its upper triangle row by row, whose eigenvalues below `floor` are raised to it.
pub(super) fn raised(upper: &[f64], size: usize, floor: f64) -> Vec<f64> {
    let mut matrix = full(upper, size);
    let mut vectors: Vec<Vec<f64>> = (0..size).map(|row| unit(row, size)).collect();
    for _ in 0..MOST_SWEEPS {
        let mut changed = false;
        for p in 0..size {
            for q in p + 1..size {
                changed |= rotate(&mut matrix, &mut vectors, p, q);
            }
        }
        if !changed {
            break;
        }
    }
    let lifted: Vec<f64> = (0..size)
        .map(|index| at(&matrix, index, index).max(floor))
        .collect();
    (0..size)
        .flat_map(|row| (row..size).map(move |column| (row, column)))
        .map(|(row, column)| {
            let terms = lifted.iter().enumerate();
            terms
                .map(|(k, value)| at(&vectors, row, k) * value * at(&vectors, column, k))
                .sum()
        })
        .collect()
}

/// Turns the plane of two axes so that their entry vanishes; whether it had to.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) -> bool {
    let (pp, qq, pq) = (at(matrix, p, p), at(matrix, q, q), at(matrix, p, q));
    if pq.abs() <= NOTHING * (pp.abs() + qq.abs()) {
        return false;
    }
    let theta = (qq - pp) / (2.0 * pq);
    let sign = if theta >= 0.0 { 1.0 } else { -1.0 };
    let tangent = sign / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for row in matrix.iter_mut().chain(vectors.iter_mut()) {
        turn_row(row, p, q, cosine, sine);
    }
    for column in 0..matrix.len() {
        let (x, y) = (at(matrix, p, column), at(matrix, q, column));
        put(matrix, p, column, cosine * x - sine * y);
        put(matrix, q, column, sine * x + cosine * y);
    }
    true
}

fn turn_row(row: &mut [f64], p: usize, q: usize, cosine: f64, sine: f64) {
    if let Ok([x, y]) = row.get_disjoint_mut([p, q]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

fn full(upper: &[f64], size: usize) -> Vec<Vec<f64>> {
    let mut matrix = vec![vec![0.0; size]; size];
    let places = (0..size).flat_map(|row| (row..size).map(move |column| (row, column)));
    for ((row, column), value) in places.zip(upper) {
        put(&mut matrix, row, column, *value);
        put(&mut matrix, column, row, *value);
    }
    matrix
}

fn unit(place: usize, size: usize) -> Vec<f64> {
    (0..size)
        .map(|index| f64::from(u8::from(index == place)))
        .collect()
}

fn at(matrix: &[Vec<f64>], row: usize, column: usize) -> f64 {
    let entry = matrix.get(row).and_then(|row| row.get(column));
    entry.copied().unwrap_or_default()
}

fn put(matrix: &mut [Vec<f64>], row: usize, column: usize, value: f64) {
    if let Some(entry) = matrix.get_mut(row).and_then(|row| row.get_mut(column)) {
        *entry = value;
    }
}

/// Sweeps converge quadratically: a dozen suffice for any size that a regression has.
const MOST_SWEEPS: u32 = 60;
/// An entry this small beside the diagonal is rounding.
const NOTHING: f64 = 1e-17;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_negative_direction_is_raised_and_the_others_stay() {
        // [[1, 2], [2, 1]] has the eigenvalues 3 and -1; with the second at 0.5 it is [[1.75, 1.25], [1.25, 1.75]].
        let found = raised(&[1.0, 2.0, 1.0], 2, 0.5);
        for (found, expected) in found.iter().zip([1.75, 1.25, 1.75]) {
            assert!((found - expected).abs() < 1e-14);
        }
    }

    proptest! {
        #[test]
        fn a_floor_below_everything_changes_nothing_and_a_high_one_leaves_it_alone(
            upper in proptest::collection::vec(-1.0..1.0, 15),
        ) {
            let same = raised(&upper, 5, -100.0);
            for (found, expected) in same.iter().zip(&upper) {
                prop_assert!((found - expected).abs() < 1e-12);
            }
            let high = raised(&upper, 5, 100.0);
            for (found, expected) in full(&high, 5).iter().flatten().zip((0..5).flat_map(|row| unit(row, 5))) {
                prop_assert!((found - 100.0 * expected).abs() < 1e-10);
            }
        }
    }
}
