// SPDX-License-Identifier: Apache-2.0
//! The counts behind two survivor views, at any size; `exhaustive` plays them with real machines.

use consilium_protocol::Thresholds;

#[test]
fn no_two_views_can_both_gather_a_quorum_at_any_size() {
    // The counts alone: colluders vote for both views, every honest silo for one.
    for invited in 3..=255_u32 {
        for colluders in 0..invited {
            let Ok(thresholds) = Thresholds::new(invited, colluders, None) else {
                continue;
            };
            for first in 0..=invited - colluders {
                let second = invited - colluders - first;
                let both = first + colluders >= thresholds.quorum
                    && second + colluders >= thresholds.quorum;
                assert!(
                    !both,
                    "{invited} silos, {colluders} colluders, {first} and {second}"
                );
            }
            assert!(thresholds.threshold > colluders);
            assert!(thresholds.quorum - colluders >= 2);
        }
    }
}
