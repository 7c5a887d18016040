// SPDX-License-Identifier: Apache-2.0
//! What a machine asks to keep until its attempt is over: deals, for those to whom they go; reveals, as evidence.

use super::pieces::Pieces;
use super::{Spool, SpoolFault, make_folder};
use consilium_protocol::{AttemptId, DealSource, Envelope, RevealSource, SiloName};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// One kind of it, of the attempt that was last asked for: one is in flight at a time.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<(AttemptId, Pieces)>>);

impl Kept {
    fn with<T>(
        &self,
        id: AttemptId,
        path: PathBuf,
        call: impl FnOnce(&mut Pieces) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = match open.take() {
            Some((of, pieces)) if of == id => pieces,
            Some(_) | None => {
                make_folder(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
                Pieces::open(&path)?
            }
        };
        let (_, pieces) = open.insert((id, pieces));
        call(pieces)
    }

    /// Forgets an attempt whose folder goes.
    pub(super) fn close_if(&self, goes: impl FnOnce(AttemptId) -> bool) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.take_if(|(id, _)| goes(*id));
    }
}

impl Spool {
    /// Keeps a silo's deal: it is on the disk when this returns.
    pub fn keep_deal(
        &self,
        id: AttemptId,
        dealer: &SiloName,
        ciphertexts: &[Vec<u8>],
    ) -> Result<(), SpoolFault> {
        let path = self.deals_path(id);
        self.deals
            .with(id, path.clone(), |deals| deals.keep(dealer, ciphertexts))
            .map_err(SpoolFault::disk(&path))
    }

    /// The deals of one attempt, for those to whom they go.
    #[must_use]
    pub fn deals_of(self: &Arc<Self>, id: AttemptId) -> AttemptDeals {
        AttemptDeals {
            spool: Arc::clone(self),
            id,
        }
    }

    /// Keeps what a silo revealed: it is on the disk when this returns.
    pub fn keep_reveal(
        &self,
        id: AttemptId,
        silo: &SiloName,
        reveal: &Envelope,
    ) -> Result<(), SpoolFault> {
        let path = self.reveals_path(id);
        postcard::to_allocvec(reveal)
            .map_err(io::Error::other)
            .and_then(|bytes| {
                let keep = |reveals: &mut Pieces| reveals.keep(silo, &[bytes]);
                self.reveals.with(id, path.clone(), keep)
            })
            .map_err(SpoolFault::disk(&path))
    }

    /// What silos revealed in one attempt.
    #[must_use]
    pub fn reveals_of(self: &Arc<Self>, id: AttemptId) -> AttemptReveals {
        AttemptReveals {
            spool: Arc::clone(self),
            id,
        }
    }

    fn deals_path(&self, id: AttemptId) -> PathBuf {
        self.attempt_folder(id).join("+deals")
    }

    fn reveals_path(&self, id: AttemptId) -> PathBuf {
        self.attempt_folder(id).join("+reveals")
    }
}

/// The deals of one attempt.
#[derive(Clone, Debug)]
pub struct AttemptDeals {
    spool: Arc<Spool>,
    id: AttemptId,
}

impl DealSource for AttemptDeals {
    fn sealed_for(&self, position: usize, dealers: &[SiloName]) -> io::Result<Vec<Vec<u8>>> {
        let path = self.spool.deals_path(self.id);
        self.spool.deals.with(self.id, path, |deals| {
            let sealed = dealers.iter().map(|dealer| deals.read(dealer, position));
            sealed.collect()
        })
    }
}

/// What silos revealed in one attempt, as they signed it.
#[derive(Clone, Debug)]
pub struct AttemptReveals {
    spool: Arc<Spool>,
    id: AttemptId,
}

impl RevealSource for AttemptReveals {
    fn reveal(&self, silo: &SiloName) -> io::Result<Envelope> {
        let path = self.spool.reveals_path(self.id);
        let read = |reveals: &mut Pieces| reveals.read(silo, 0);
        let bytes = self.spool.reveals.with(self.id, path, read)?;
        postcard::from_bytes(&bytes).map_err(io::Error::other)
    }
}
