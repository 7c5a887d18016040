// SPDX-License-Identifier: Apache-2.0
//! From a seed to a list of operations: attempts one after another, with faults at any of their events.

use super::faults::{CrashPlace, MESSAGES, Party};
use super::operation::{Noise, Operation};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};

/// The list of one world, with about `attempts` attempts.
#[must_use]
pub fn generate(seed: u64, attempts: u32) -> Vec<Operation> {
    let mut dice = Dice(InsecureSeededRandom::from_seed(seed));
    let silos = [3, 3, 3, 4, 4, 5][dice.below(6)];
    let noise = match dice.below(if silos == 3 { 2 } else { 5 }) {
        0 => Noise::Absent,
        _ => Noise::Present,
    };
    let mut operations = vec![Operation::Found { silos, noise, seed }];
    for _ in 0..attempts {
        if dice.one_in(4) {
            let spread = if dice.one_in(3) { 0 } else { dice.number(60) };
            let salt = dice.number(1000);
            operations.push(Operation::Jitter { spread, salt });
        }
        // Of three silos, and without noise, one loss ends the attempt: fewer faults let some of them succeed.
        let most = if silos == 3 || noise == Noise::Absent {
            2
        } else {
            4
        };
        for _ in 0..=dice.below(most) {
            operations.push(Operation::Run(dice.number(EVENTS)));
            trouble(&mut dice, silos, &mut operations);
        }
        operations.push(Operation::Finish);
    }
    operations
}

/// One fault, and mostly its end.
fn trouble(dice: &mut Dice, silos: usize, operations: &mut Vec<Operation>) {
    let silo = dice.below(silos);
    let pause = Operation::Run(1 + dice.number(25));
    match dice.below(21) {
        0 => operations.push(Operation::Lose(dice.number(40))),
        1 => {
            // A connection that loses something is made again.
            operations.push(Operation::Lose(dice.number(40)));
            let again = [
                Operation::Part(silo),
                Operation::Run(3),
                Operation::Heal(silo),
            ];
            operations.extend(again);
        }
        2 | 3 => operations.push(Operation::Repeat(dice.number(40))),
        4 | 5 => operations.push(Operation::Delay {
            message: dice.number(40),
            milliseconds: [7, 40, 300, 2500][dice.below(4)],
        }),
        6 | 7 => {
            operations.extend([Operation::Part(silo), pause]);
            if !dice.one_in(6) {
                operations.push(Operation::Heal(silo));
            }
        }
        8..=11 => {
            let party = Party::Silo(silo);
            let place = SILO_PLACES[dice.below(SILO_PLACES.len())];
            let message = dice.one_in(2).then(|| MESSAGES[dice.below(MESSAGES.len())]);
            operations.push(Operation::Crash {
                party,
                place,
                message,
            });
            recover(dice, party, operations);
        }
        12 | 13 => {
            let place = COORDINATOR_PLACES[dice.below(COORDINATOR_PLACES.len())];
            operations.push(Operation::Crash {
                party: Party::Coordinator,
                place,
                message: dice.one_in(2).then(|| MESSAGES[dice.below(MESSAGES.len())]),
            });
            recover(dice, Party::Coordinator, operations);
        }
        14 => {
            let party = if dice.one_in(3) {
                Party::Coordinator
            } else {
                Party::Silo(silo)
            };
            operations.push(Operation::Stop(party));
            recover(dice, party, operations);
        }
        15 | 16 => {
            let copy = dice.number(3);
            operations.extend([Operation::Backup(silo), pause]);
            operations.extend([
                Operation::Restore { silo, copy },
                Operation::Start(Party::Silo(silo)),
                // It does not start with the copy; somebody puts the journal back.
                Operation::Run(dice.number(10)),
                Operation::Start(Party::Silo(silo)),
            ]);
        }
        17 => {
            let start = Operation::Start(Party::Silo(silo));
            operations.extend([Operation::Forget(silo), start]);
        }
        18 => {
            operations.push(Operation::Gone(silo));
            if dice.one_in(2) {
                operations.extend([pause, Operation::Back(silo)]);
            }
        }
        19 => {
            operations.extend([Operation::Stop(Party::Silo(silo)), Operation::Wait(80)]);
            operations.extend([
                Operation::Back(silo),
                pause,
                Operation::Start(Party::Silo(silo)),
            ]);
        }
        _ => operations.push(if dice.one_in(3) {
            Operation::Cancel
        } else {
            Operation::Spoil(silo)
        }),
    }
}

/// Mostly the party comes back soon.
fn recover(dice: &mut Dice, party: Party, operations: &mut Vec<Operation>) {
    operations.push(Operation::Run(1 + dice.number(30)));
    if dice.one_in(4) {
        operations.push(Operation::Wait(dice.number(200)));
    }
    if party == Party::Coordinator || !dice.one_in(8) {
        operations.push(Operation::Start(party));
    }
}

struct Dice(InsecureSeededRandom);

impl Dice {
    fn number(&mut self, below: u32) -> u32 {
        let number = self.0.next_u64() % u64::from(below.max(1));
        u32::try_from(number).unwrap_or(0)
    }

    fn below(&mut self, count: usize) -> usize {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        usize::try_from(self.number(count)).unwrap_or(0)
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.number(count) == 0
    }
}

/// About as many events as an attempt of four silos has.
const EVENTS: u32 = 70;

const SILO_PLACES: [CrashPlace; 10] = [
    CrashPlace::BeforePersist,
    CrashPlace::WriteFails,
    CrashPlace::TornSecrets,
    CrashPlace::SecretsOnly,
    CrashPlace::TornJournal,
    CrashPlace::JournalOnly,
    CrashPlace::ReachedOnly,
    CrashPlace::Persisted,
    CrashPlace::Sent(1),
    CrashPlace::Sent(0),
];

const COORDINATOR_PLACES: [CrashPlace; 10] = [
    CrashPlace::BeforePersist,
    CrashPlace::WriteFails,
    CrashPlace::TornJournal,
    CrashPlace::TornKept,
    CrashPlace::KeptOnly,
    CrashPlace::Persisted,
    CrashPlace::Recorded,
    CrashPlace::Sent(1),
    CrashPlace::Sent(2),
    CrashPlace::Sent(3),
];
