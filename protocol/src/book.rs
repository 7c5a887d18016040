// SPDX-License-Identifier: Apache-2.0
//! The lists that everybody checks in the same way: KeyBook, DealBook, cohort, survivors, certificate.
//!
//! Each is built from envelopes, both by the coordinator that assembles it and by every silo that receives
//! it, so there is one definition of what a good list is.

use crate::defence::{Defence, stands};
use crate::envelope::{Envelope, Sender};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::membership::Membership;
use crate::message::{RevealedShare, SecretKind, SiloMessage};
use crate::round_plan::{PROTOCOL_VERSION, RoundPlan};
use crate::signed_list::{Known, verify_silos};
use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::PublicKey;
use consilium_crypto::label::Label;
use consilium_crypto::merkle;
use consilium_crypto::shamir::Field;
use consilium_crypto::transcript::hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The keys of everybody who advertised, in the order that fixes Shamir abscissae.
///
/// COST: encapsulation keys are verified and covered by K, and not kept: they are long, and used once, by the deal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyBook {
    pub(crate) id: AttemptId,
    /// K.
    pub(crate) digest: Digest,
    pub(crate) entries: Vec<KeyEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyEntry {
    pub(crate) silo: SiloName,
    pub(crate) channel: PublicKey,
    pub(crate) mask: PublicKey,
}

/// The public halves of all deals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DealBook {
    /// D.
    pub(crate) digest: Digest,
    /// In the KeyBook's order; a dealer may be missing.
    pub(crate) entries: Vec<DealEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DealEntry {
    pub(crate) silo: SiloName,
    pub(crate) self_mask_commitment: Digest,
    pub(crate) share_root: Digest,
}

/// U2 and the transcript X that every mask is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cohort {
    /// X.
    pub(crate) digest: Digest,
    pub(crate) silos: Vec<SiloName>,
}

/// U3 with the roots of their uploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Survivors {
    pub(crate) digest: Digest,
    pub(crate) uploads: Vec<(SiloName, Digest)>,
}

impl KeyBook {
    /// Verifies advertisements and fixes their order.
    pub(crate) fn new(
        plan: &RoundPlan,
        membership: &Membership,
        advertisements: &[Envelope],
    ) -> Result<Self, Fault> {
        let opening = plan.opening_transcript();
        let mut keys = BTreeSet::new();
        let mut encapsulation_keys = BTreeSet::new();
        let mut entries = Vec::with_capacity(advertisements.len());
        let known = Known::new();
        for verified in verify_silos(advertisements, membership, plan.id, &opening, &known)? {
            let SiloMessage::AdvertiseKeys {
                channel_public_key,
                mask_public_key,
                encapsulation_key,
                ..
            } = verified.message
            else {
                return Err(Fault::Malformed(
                    "a KeyBook holds something else than advertisements",
                ));
            };
            if plan.silos.binary_search(&verified.silo).is_err() {
                return Err(Fault::UnknownSilo {
                    silo: verified.silo,
                });
            }
            for key in [channel_public_key, mask_public_key] {
                let fresh = keys.insert(*key.as_bytes()) || !stands(Defence::DistinctKeys);
                if !key.is_usable() || !fresh {
                    return Err(Fault::WeakKey {
                        silo: verified.silo,
                    });
                }
            }
            if !encapsulation_key.is_well_formed() || !encapsulation_keys.insert(encapsulation_key)
            {
                return Err(Fault::WeakKey {
                    silo: verified.silo,
                });
            }
            entries.push(KeyEntry {
                silo: verified.silo,
                channel: channel_public_key,
                mask: mask_public_key,
            });
        }
        demand_sorted("KeyBook", entries.iter().map(|entry| &entry.silo))?;
        demand_count(entries.len(), plan.thresholds_quorum())?;
        let digest = list_digest(Label::KeyBook, &opening, advertisements);
        Ok(Self {
            id: plan.id,
            digest,
            entries,
        })
    }

    pub(crate) fn position(&self, silo: &SiloName) -> Option<usize> {
        self.entries
            .binary_search_by(|entry| entry.silo.cmp(silo))
            .ok()
    }

    pub(crate) fn entry(&self, silo: &SiloName) -> Option<&KeyEntry> {
        self.entries.get(self.position(silo)?)
    }

    /// The Merkle leaf of one dealt share.
    pub(crate) fn leaf(
        &self,
        dealer: &SiloName,
        recipient: &SiloName,
        kind: SecretKind,
        share: &[u8],
    ) -> Digest {
        hash(
            Label::DealLeaf,
            &[
                &self.id.to_bytes(),
                self.digest.as_bytes(),
                dealer.as_str().as_bytes(),
                recipient.as_str().as_bytes(),
                &[kind_index(kind)],
                share,
            ],
        )
    }

    /// H("b", ...): the commitment to a self-mask seed.
    pub(crate) fn self_mask_commitment(&self, dealer: &SiloName, seed: &[u8; 32]) -> Digest {
        hash(
            Label::SelfMaskCommitment,
            &[
                &self.id.to_bytes(),
                self.digest.as_bytes(),
                dealer.as_str().as_bytes(),
                seed,
            ],
        )
    }

    /// Whether a share that `recipient` shows was dealt to it.
    pub(crate) fn share_is_dealt(
        &self,
        deals: &DealBook,
        recipient: &SiloName,
        revealed: &RevealedShare,
    ) -> bool {
        let dealer = usize::try_from(revealed.dealer)
            .ok()
            .and_then(|at| self.entries.get(at));
        let Some(deal) = dealer.and_then(|entry| deals.entry(&entry.silo)) else {
            return false;
        };
        if !stands(Defence::DealtShares) {
            return true;
        }
        let Some(position) = self.position(recipient) else {
            return false;
        };
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let abscissa = Field::for_shares(count).abscissa(&revealed.share);
        if abscissa.map(usize::from) != Some(position + 1) {
            return false;
        }
        let leaf = self.leaf(&deal.silo, recipient, revealed.kind, &revealed.share);
        merkle::verify_inclusion(
            &merkle::leaf_hash(leaf.as_bytes()),
            leaf_index(position, revealed.kind),
            leaf_count(self.entries.len()),
            &revealed.path,
            &deal.share_root,
        )
    }
}

impl DealBook {
    /// Verifies the signed deals.
    pub(crate) fn new(
        plan: &RoundPlan,
        membership: &Membership,
        keys: &KeyBook,
        deals: &[Envelope],
    ) -> Result<Self, Fault> {
        let mut entries = Vec::with_capacity(deals.len());
        let known = Known::new();
        for verified in verify_silos(deals, membership, plan.id, &keys.digest, &known)? {
            let SiloMessage::ShareKeys {
                self_mask_commitment,
                share_root,
            } = verified.message
            else {
                return Err(Fault::Malformed(
                    "a DealBook holds something else than deals",
                ));
            };
            if keys.position(&verified.silo).is_none() {
                return Err(Fault::UnknownSilo {
                    silo: verified.silo,
                });
            }
            entries.push(DealEntry {
                silo: verified.silo,
                self_mask_commitment,
                share_root,
            });
        }
        demand_sorted("DealBook", entries.iter().map(|entry| &entry.silo))?;
        demand_count(entries.len(), plan.thresholds_quorum())?;
        Ok(Self {
            digest: list_digest(Label::DealBook, &keys.digest, deals),
            entries,
        })
    }

    pub(crate) fn entry(&self, silo: &SiloName) -> Option<&DealEntry> {
        let at = self
            .entries
            .binary_search_by(|entry| entry.silo.cmp(silo))
            .ok()?;
        self.entries.get(at)
    }
}

impl Cohort {
    /// Verifies that every member is ready and holds good shares of every member, and derives X.
    pub(crate) fn new(
        plan: &RoundPlan,
        membership: &Membership,
        keys: &KeyBook,
        deals: &DealBook,
        receipts: &[Envelope],
        ready: &[Envelope],
    ) -> Result<Self, Fault> {
        let mut silos = Vec::with_capacity(ready.len());
        // COST: in one list, because whoever signed both counts only once.
        let both = ready.iter().chain(receipts);
        let mut are_ready = verify_silos(both, membership, plan.id, &deals.digest, &Known::new())?;
        let hold = are_ready.split_off(ready.len());
        for verified in are_ready {
            if verified.message != SiloMessage::Ready {
                return Err(Fault::Malformed("a cohort lists something else than Ready"));
            }
            silos.push(verified.silo);
        }
        demand_sorted("cohort", silos.iter())?;
        demand_count(silos.len(), plan.fewest())?;
        // COST: looked up once, and not again for each receipt.
        let dealt: Vec<Option<usize>> = silos
            .iter()
            .map(|dealer| deals.entry(dealer).and_then(|_| keys.position(dealer)))
            .collect();
        let mut holders = Vec::with_capacity(receipts.len());
        for verified in hold {
            let SiloMessage::DealReceipt { good } = verified.message else {
                return Err(Fault::Malformed(
                    "a cohort lists something else than receipts",
                ));
            };
            for (dealer, position) in silos.iter().zip(&dealt) {
                let holds = position
                    .and_then(|at| good.get(at))
                    .copied()
                    .unwrap_or(false);
                let holds = holds || !stands(Defence::Receipts);
                if !holds {
                    return Err(Fault::MissingReceipt {
                        holder: verified.silo,
                        dealer: dealer.clone(),
                    });
                }
            }
            if good.len() > keys.entries.len() {
                return Err(Fault::Malformed(
                    "a receipt without one mark for every silo",
                ));
            }
            holders.push(verified.silo);
        }
        if holders != silos {
            return Err(Fault::BadList {
                list: "cohort's receipts",
            });
        }
        let digest = cohort_digest(plan, &keys.digest, &deals.digest, &silos);
        Ok(Self { digest, silos })
    }
}

impl Survivors {
    /// Verifies the uploads' commitments under X.
    pub(crate) fn new(
        plan: &RoundPlan,
        membership: &Membership,
        cohort: &Cohort,
        uploads: &[Envelope],
    ) -> Result<Self, Fault> {
        let mut listed = Vec::with_capacity(uploads.len());
        let known = Known::new();
        for verified in verify_silos(uploads, membership, plan.id, &cohort.digest, &known)? {
            let SiloMessage::MaskedInput { root, length } = verified.message else {
                return Err(Fault::Malformed(
                    "a proposal lists something else than uploads",
                ));
            };
            let within = cohort.silos.binary_search(&verified.silo).is_ok();
            if stands(Defence::SurvivorsWithinCohort) && !within {
                return Err(Fault::BadList {
                    list: "survivor set",
                });
            }
            if length != plan.packed_length() {
                return Err(Fault::BadUpload {
                    silo: verified.silo,
                });
            }
            listed.push((verified.silo, root));
        }
        Self::from_roots(plan, cohort, listed)
    }

    /// The survivor set of already verified roots.
    pub(crate) fn from_roots(
        plan: &RoundPlan,
        cohort: &Cohort,
        uploads: Vec<(SiloName, Digest)>,
    ) -> Result<Self, Fault> {
        demand_sorted("survivor set", uploads.iter().map(|(silo, _)| silo))?;
        demand_count(uploads.len(), plan.fewest())?;
        let mut parts: Vec<&[u8]> = vec![cohort.digest.as_bytes()];
        for (silo, root) in &uploads {
            parts.push(silo.as_str().as_bytes());
            parts.push(root.as_bytes());
        }
        Ok(Self {
            digest: hash(Label::Survivors, &parts),
            uploads,
        })
    }

    pub(crate) fn contains(&self, silo: &SiloName) -> bool {
        self.root(silo).is_some()
    }

    pub(crate) fn root(&self, silo: &SiloName) -> Option<&Digest> {
        let at = self
            .uploads
            .binary_search_by(|(name, _)| name.cmp(silo))
            .ok()?;
        self.uploads.get(at).map(|(_, root)| root)
    }
}

impl RoundPlan {
    pub(crate) fn thresholds_quorum(&self) -> usize {
        usize::try_from(self.thresholds.quorum).unwrap_or(usize::MAX)
    }
}

/// X = H(version, attempt, H(model), H(task), H(P), roster root, K, D, sorted U2).
pub(crate) fn cohort_digest(
    plan: &RoundPlan,
    key_book: &Digest,
    deal_book: &Digest,
    silos: &[SiloName],
) -> Digest {
    let version = PROTOCOL_VERSION.to_le_bytes();
    let id = plan.id.to_bytes();
    let parameters = plan.digest();
    let mut parts: Vec<&[u8]> = vec![
        &version,
        &id,
        plan.model.as_bytes(),
        plan.task.as_bytes(),
        parameters.as_bytes(),
        plan.roster_root.as_bytes(),
        key_book.as_bytes(),
        deal_book.as_bytes(),
    ];
    parts.extend(silos.iter().map(|silo| silo.as_str().as_bytes()));
    hash(Label::Cohort, &parts)
}

/// The position of a share among a dealer's leaves.
pub(crate) fn leaf_index(position: usize, kind: SecretKind) -> u64 {
    u64::try_from(2 * position).unwrap_or(u64::MAX) + u64::from(kind_index(kind))
}

/// How many leaves a dealer's tree has.
pub(crate) fn leaf_count(silos: usize) -> u64 {
    u64::try_from(2 * silos).unwrap_or(u64::MAX)
}

fn kind_index(kind: SecretKind) -> u8 {
    match kind {
        SecretKind::SelfMask => 0,
        SecretKind::MaskKey => 1,
    }
}

/// A digest over who said what, bound to the transcript before it. Signatures stay outside: they are
/// verified one by one and could be varied without changing what was said.
pub(crate) fn list_digest(label: Label, before: &Digest, envelopes: &[Envelope]) -> Digest {
    let mut parts: Vec<&[u8]> = vec![before.as_bytes()];
    for envelope in envelopes {
        if let Sender::Silo(silo) = &envelope.sender {
            parts.push(silo.as_str().as_bytes());
            parts.push(&envelope.body);
        }
    }
    hash(label, &parts)
}

pub(crate) fn demand_sorted<'a>(
    list: &'static str,
    silos: impl Iterator<Item = &'a SiloName>,
) -> Result<(), Fault> {
    let mut previous: Option<&SiloName> = None;
    for silo in silos {
        if stands(Defence::SortedUnique) && previous.is_some_and(|before| before >= silo) {
            return Err(Fault::BadList { list });
        }
        previous = Some(silo);
    }
    Ok(())
}

fn demand_count(present: usize, fewest: usize) -> Result<(), Fault> {
    if present < fewest {
        Err(Fault::TooFewSilos { present, fewest })
    } else {
        Ok(())
    }
}
