// SPDX-License-Identifier: Apache-2.0
//! The requests for a cosignature that wait for their answer: at most one for each silo, and one answer to each.
//!
//! SECURITY: what passes here is queued and may be written to the disk, so a silo that floods must not get past.

use consilium_protocol::SiloName;
use consilium_wire::v1;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A line is a name of at most 255 bytes, and 76 bytes in base64.
const LONGEST_LINE: usize = 512;

/// The root that is signed.
const ROOT_BYTES: usize = 32;

/// The size of the head that each silo was asked to cosign.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Arc<Mutex<BTreeMap<SiloName, u64>>>);

impl Requests {
    /// A silo is asked to cosign the head of this size.
    pub(super) fn open(&self, silo: &SiloName, size: u64) {
        self.lock().insert(silo.clone(), size);
    }

    /// No answer of this silo is expected any more.
    pub(super) fn close(&self, silo: &SiloName) {
        self.lock().remove(silo);
    }

    /// Whether this is the answer to an open request, which it closes.
    pub(super) fn answer(&self, silo: &SiloName, cosignature: &v1::Cosignature) -> bool {
        let mut open = self.lock();
        let is_short =
            cosignature.line.len() <= LONGEST_LINE && cosignature.root.len() <= ROOT_BYTES;
        let fits = is_short && open.get(silo) == Some(&cosignature.size);
        if fits {
            open.remove(silo);
        }
        fits
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SiloName, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_silo_that_floods_gets_one_cosignature_for_each_request_through() {
        let requests = Requests::default();
        let [silo, other] = ["1_UM", "2_IU"].map(|name| SiloName::parse(name).unwrap());
        let of = |size, length| v1::Cosignature {
            size,
            root: vec![1; 32],
            line: "x".repeat(length),
        };
        let passed = |silo: &SiloName, cosignature: &v1::Cosignature| {
            (0..1000)
                .filter(|_| requests.answer(silo, cosignature))
                .count()
        };
        assert_eq!(passed(&silo, &of(7, 100)), 0);
        requests.open(&silo, 7);
        assert_eq!(passed(&other, &of(7, 100)), 0);
        assert_eq!(passed(&silo, &of(6, 100)), 0);
        assert_eq!(passed(&silo, &of(7, LONGEST_LINE + 1)), 0);
        assert_eq!(passed(&silo, &of(7, LONGEST_LINE)), 1);
        requests.open(&silo, 8);
        requests.close(&silo);
        assert_eq!(passed(&silo, &of(8, 100)), 0);
    }
}
