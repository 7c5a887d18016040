// SPDX-License-Identifier: Apache-2.0
//! Keys whose signatures stand in many lists: a roster's. What a list's check needs of them is computed once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use consilium_curve_lanes::{EightLanes, PreparedPoint};
use curve25519_dalek::constants::ED25519_BASEPOINT_COMPRESSED;

use super::VerifyingKey;

/// Verifying keys and multiples of their points: 17 kB for each, shared by all clones. None are kept where the
/// processor has no use for them.
#[derive(Clone, Default)]
pub struct PreparedKeys(Arc<BTreeMap<VerifyingKey, PreparedPoint>>);

impl PreparedKeys {
    /// Prepares keys.
    ///
    /// COST: a fortieth of a millisecond for each.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        let Some(lanes) = EightLanes::find() else {
            return Self::default();
        };
        let keys: Vec<VerifyingKey> = keys.into_iter().collect();
        let encoded: Vec<[u8; 32]> = keys.iter().map(VerifyingKey::to_bytes).collect();
        let points = lanes.prepare(&encoded).unwrap_or_default();
        Self(Arc::new(keys.into_iter().zip(points).collect()))
    }

    pub(super) fn point(&self, key: &VerifyingKey) -> Option<&PreparedPoint> {
        self.0.get(key)
    }
}

impl fmt::Debug for PreparedKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PreparedKeys(of {})", self.0.len())
    }
}

/// The base point, prepared when it is first asked for.
pub(super) fn base_point(lanes: EightLanes) -> Option<&'static PreparedPoint> {
    static PREPARED: OnceLock<Option<PreparedPoint>> = OnceLock::new();
    let prepare = || {
        lanes
            .prepare(&[ED25519_BASEPOINT_COMPRESSED.to_bytes()])?
            .pop()
    };
    PREPARED.get_or_init(prepare).as_ref()
}
