// SPDX-License-Identifier: Apache-2.0
//! Each charge held against the signatures that it brings: first those that need nothing but the words of the accused.

use super::{Charge, Evidence, EvidenceFault, Judgement};
use crate::coordinator::keys_of;
use crate::envelope::{Body, Envelope, Sender, decode};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::membership::Membership;
use crate::message::{CoordinatorMessage, SiloMessage};
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::mersenne::Element;

impl Evidence {
    /// Judges by the roster under which the attempt ran. `logged` is H(S) of the attempt, if the log holds one.
    ///
    /// # Errors
    /// [`EvidenceFault`] when a message in it does not hold, or all hold and show nothing.
    pub fn judge(
        &self,
        membership: &Membership,
        logged: Option<&Digest>,
    ) -> Result<Judgement, EvidenceFault> {
        let case = Case {
            evidence: self,
            membership,
        };
        match &self.charge {
            Charge::SecondAnswer { first, second } => case.second_answer(first, second),
            Charge::WeakKey {
                advertisement,
                equal,
            } => case.weak_key(advertisement, equal.as_ref()),
            Charge::OtherUpload { signed } => case.other_upload(signed),
            Charge::WrongTag { tag } => case.wrong_tag(tag, logged),
            Charge::Messages { messages } => case.messages(messages),
            Charge::BadReveal { reveal } => case.bad_reveal(reveal),
            Charge::BadDeal { shares } => case.bad_deal(shares),
            Charge::BadLength { signed } => case.bad_length(signed),
            Charge::NotPacked {
                signed,
                digests,
                index,
                chunk,
            } => case.not_packed(signed, digests, *index, chunk),
            Charge::OtherVote { vote } => case.other_vote(vote),
            Charge::WrongNonce { nonce } => case.wrong_nonce(nonce, logged),
        }
    }
}

/// An accusation before its judge.
pub(super) struct Case<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) membership: &'a Membership,
}

impl Case<'_> {
    fn second_answer(
        &self,
        first: &Envelope,
        second: &Envelope,
    ) -> Result<Judgement, EvidenceFault> {
        let (said, said_then) = (self.said(first)?, self.said(second)?);
        // Two signatures under one body are one answer.
        if said != said_then || first.body == second.body {
            return Err(EvidenceFault::NotShown);
        }
        Ok(Judgement::proven(said.0))
    }

    fn weak_key(
        &self,
        advertisement: &Envelope,
        equal: Option<&Envelope>,
    ) -> Result<Judgement, EvidenceFault> {
        let (_, body) = self.own_words(advertisement)?;
        let own = keys_of(&body.message).ok_or(EvidenceFault::NotShown)?;
        let ([channel, mask], encapsulation_key) = own;
        let usable = channel.is_usable() && mask.is_usable() && channel != mask;
        if !usable || !encapsulation_key.is_well_formed() {
            return Ok(Judgement::proven(body.id));
        }
        let equal = equal.ok_or(EvidenceFault::NotShown)?;
        let (_, other) = words(equal, self.membership)?;
        let theirs = keys_of(&other.message).ok_or(EvidenceFault::NotShown)?;
        let shared = theirs.0.contains(&channel)
            || theirs.0.contains(&mask)
            || theirs.1 == encapsulation_key;
        if equal.sender == self.evidence.accused || other.id != body.id || !shared {
            return Err(EvidenceFault::NotShown);
        }
        Ok(Judgement::alleged(
            body.id,
            "both silos signed the same key, and signatures do not tell who copied it",
        ))
    }

    fn other_upload(&self, signed: &Envelope) -> Result<Judgement, EvidenceFault> {
        let (_, body) = self.own_words(signed)?;
        if !matches!(body.message, SiloMessage::MaskedInput { .. }) {
            return Err(EvidenceFault::NotShown);
        }
        Ok(Judgement::alleged(
            body.id,
            "a silo signs the root of its upload and not what comes over a session",
        ))
    }

    fn wrong_tag(
        &self,
        tag: &Envelope,
        logged: Option<&Digest>,
    ) -> Result<Judgement, EvidenceFault> {
        let (_, body) = self.own_words(tag)?;
        let SiloMessage::Tag { sum, tag, .. } = body.message else {
            return Err(EvidenceFault::NotShown);
        };
        let of_another_sum = logged.is_some_and(|logged| *logged != sum);
        if Element::from_canonical(tag).is_none() || of_another_sum {
            return Ok(Judgement::proven(body.id));
        }
        Ok(Judgement::alleged(
            body.id,
            "a challenge is made of votes and nonces that the coordinator chooses",
        ))
    }

    fn messages(&self, messages: &[Envelope]) -> Result<Judgement, EvidenceFault> {
        let mut id = None;
        for message in messages {
            let said = match message.sender {
                Sender::Coordinator => message.verify_coordinator(self.membership)?.id,
                Sender::Silo(_) => words(message, self.membership)?.1.id,
            };
            id = id.or(Some(said));
        }
        let id = id.ok_or(EvidenceFault::Lacks("messages"))?;
        if let Some(id) = self.refuted_release(messages)? {
            return Ok(Judgement::proven(id));
        }
        Ok(Judgement::alleged(
            id,
            "what is wrong with them depends on what the silo knew, or on what came beside them unsigned",
        ))
    }

    /// What the accused signed: in which attempt, and which message.
    fn said(&self, envelope: &Envelope) -> Result<(AttemptId, &'static str), EvidenceFault> {
        match envelope.sender {
            Sender::Coordinator if self.evidence.accused == Sender::Coordinator => {
                let body: Body<CoordinatorMessage> =
                    envelope.verify_coordinator(self.membership)?;
                Ok((body.id, body.message.name()))
            }
            Sender::Coordinator | Sender::Silo(_) => {
                let (_, body) = self.own_words(envelope)?;
                Ok((body.id, body.message.name()))
            }
        }
    }

    /// What a silo that is accused signed, of whatever attempt and history it names itself.
    pub(super) fn own_words(
        &self,
        envelope: &Envelope,
    ) -> Result<(SiloName, Body<SiloMessage>), EvidenceFault> {
        if envelope.sender != self.evidence.accused {
            return Err(EvidenceFault::OtherSender);
        }
        words(envelope, self.membership)
    }
}

/// A silo's message under its key of the roster.
fn words(
    envelope: &Envelope,
    membership: &Membership,
) -> Result<(SiloName, Body<SiloMessage>), EvidenceFault> {
    let Sender::Silo(silo) = &envelope.sender else {
        return Err(EvidenceFault::OtherSender);
    };
    let unknown = || Fault::UnknownSilo { silo: silo.clone() };
    let key = membership.silos.get(silo).ok_or_else(unknown)?;
    let parts = [silo.as_str().as_bytes(), &envelope.body];
    key.verify(Label::SiloMessage, &parts, &envelope.signature)
        .map_err(|_| Fault::BadSignature {
            sender: silo.to_string(),
        })?;
    let body: Body<SiloMessage> = decode(&envelope.body)?;
    if body.id.epoch != membership.epoch {
        let message = body.message.name();
        return Err(Fault::OtherTranscript { message }.into());
    }
    Ok((silo.clone(), body))
}
