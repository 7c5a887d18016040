// SPDX-License-Identifier: Apache-2.0
//! Real silos as a table of answers: each state of a silo meets each message once, and the answer is kept.
//!
//! A machine is a function of its journal, its secrets, the message and the randomness, which is a function of the
//! message here. So an enumeration that looks an answer up has the real machine's answer, whatever came before. Every
//! question is asked of a silo that was just restarted from its journal.

use consilium_crypto::random::InsecureSeededRandom;
use consilium_protocol::{Delivery, Fault};
use std::collections::HashMap;
use std::rc::Rc;

use crate::table::{Picture, Table};

/// A silo's journal and secrets file, by number.
pub(crate) type State = usize;
/// A message of the coordinator, by number.
pub(crate) type Question = usize;

/// What a silo did with one question.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) next: State,
    pub(crate) sent: Vec<Delivery>,
    /// Why it ended the attempt.
    pub(crate) fault: Option<Fault>,
}

pub(crate) struct Machines {
    pub(crate) table: Table,
    pictures: Vec<Picture>,
    states: HashMap<Picture, State>,
    questions: Vec<Delivery>,
    answers: HashMap<(usize, State, Question), Rc<Answer>>,
    restored: HashMap<(usize, State), State>,
}

impl Machines {
    pub(crate) fn new(table: Table) -> Self {
        Self {
            table,
            pictures: Vec::new(),
            states: HashMap::new(),
            questions: Vec::new(),
            answers: HashMap::new(),
            restored: HashMap::new(),
        }
    }

    /// How many questions the real machines have answered.
    pub(crate) fn runs(&self) -> usize {
        self.answers.len()
    }

    /// Where a silo stands now. A restart there changes nothing.
    pub(crate) fn state_of(&mut self, seat: usize) -> State {
        let picture = self.table.picture(seat);
        if let Some(state) = self.states.get(&picture) {
            return *state;
        }
        self.table.put_back(seat, &picture);
        assert_eq!(self.table.picture(seat), picture, "a restart");
        let state = self.pictures.len();
        self.pictures.push(picture.clone());
        self.states.insert(picture, state);
        state
    }

    /// The same journal restored from a backup, where the secrets are not.
    pub(crate) fn restored(&mut self, seat: usize, state: State) -> State {
        if let Some(restored) = self.restored.get(&(seat, state)) {
            return *restored;
        }
        let (journal, _) = self.pictures[state].clone();
        self.table.put_back(seat, &(journal, None));
        let restored = self.state_of(seat);
        self.restored.insert((seat, state), restored);
        restored
    }

    pub(crate) fn question(&mut self, delivery: Delivery) -> Question {
        self.questions.push(delivery);
        self.questions.len() - 1
    }

    pub(crate) fn ask(&mut self, seat: usize, state: State, question: Question) -> Rc<Answer> {
        if let Some(answer) = self.answers.get(&(seat, state, question)) {
            return Rc::clone(answer);
        }
        self.table.random = InsecureSeededRandom::from_seed((question * 1_000 + seat) as u64);
        self.table.put_back(seat, &self.pictures[state]);
        let delivery = self.questions[question].clone();
        let envelope = delivery.envelope.clone();
        let outcome = self.table.ask(seat, delivery);
        assert!(outcome.aborted.len() <= 1);
        for (_, fault, evidence) in &outcome.aborted {
            // INVARIANT: every abort names its evidence.
            assert!(evidence.contains(&envelope), "{fault}: no evidence");
            assert!(outcome.sent.is_empty(), "{fault}: answered all the same");
            assert!(self.table.is_out(seat), "{fault}: keys are left");
        }
        let answer = Rc::new(Answer {
            next: self.state_of(seat),
            sent: outcome.sent,
            fault: outcome
                .aborted
                .into_iter()
                .map(|(_, fault, _)| fault)
                .next(),
        });
        self.answers
            .insert((seat, state, question), Rc::clone(&answer));
        answer
    }
}
