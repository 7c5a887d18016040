// SPDX-License-Identifier: Apache-2.0
//! What leaves the coordinator for one silo.
//!
//! COST: lists about everybody go to everybody, so all of one message share one envelope. What everybody sealed for
//! everybody grows with the square of the silos: it lies on the driver's disk, is named here by its place, and is read
//! when it is sent.

use crate::envelope::{Delivery, Envelope};
use crate::id::SiloName;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// A message for one silo, as light as it can be while it waits.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The signed part, one for all to whom it goes.
    pub envelope: Arc<Envelope>,
    /// The unsigned part.
    pub beside: Beside,
}

/// What travels beside a signed message.
#[derive(Clone, Debug)]
pub enum Beside {
    /// Log proofs; the same ones are held once, however many silos get them.
    Proofs(Arc<[Vec<u8>]>),
    /// What each of these dealers sealed for the silo at this position of the KeyBook: see
    /// [`crate::CoordinatorEffect::KeepDeal`].
    Deals {
        /// Sorted, as in the DealBook.
        dealers: Arc<[SiloName]>,
        /// The recipient's position in the KeyBook.
        position: usize,
    },
}

/// Reads the ciphertexts that the driver kept.
pub trait DealSource {
    /// What each of these dealers sealed for the silo at `position`, in the order of the dealers.
    ///
    /// # Errors
    /// One that was never kept, or a disk that fails.
    fn sealed_for(&self, position: usize, dealers: &[SiloName]) -> io::Result<Vec<Vec<u8>>>;
}

impl Outgoing {
    /// The message as it travels.
    ///
    /// # Errors
    /// When the ciphertexts that belong to it cannot be read.
    pub fn delivery(&self, deals: &(impl DealSource + ?Sized)) -> io::Result<Delivery> {
        let attachments = match &self.beside {
            Beside::Proofs(proofs) => proofs.to_vec(),
            Beside::Deals { dealers, position } => deals.sealed_for(*position, dealers)?,
        };
        Ok(Delivery {
            envelope: Envelope::clone(&self.envelope),
            attachments,
        })
    }
}

/// Deals in memory, whole: for rounds in which everybody is in one process.
impl DealSource for BTreeMap<SiloName, Vec<Vec<u8>>> {
    fn sealed_for(&self, position: usize, dealers: &[SiloName]) -> io::Result<Vec<Vec<u8>>> {
        let sealed = |dealer| self.get(dealer)?.get(position).cloned();
        dealers
            .iter()
            .map(|dealer| sealed(dealer).ok_or_else(|| io::ErrorKind::NotFound.into()))
            .collect()
    }
}
