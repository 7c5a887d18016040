// SPDX-License-Identifier: Apache-2.0
//! What each operation does.

use super::{Give, World};
use crate::simulation::faults::{CrashPlace, Mutation, Party};
use crate::simulation::invariants::{Invariant, Violation};
use crate::simulation::network::Event;
use crate::simulation::operation::Operation;
use crate::simulation::silo::Trap;

impl World<'_> {
    pub(super) fn apply(&mut self, operation: Operation) -> Result<(), Violation> {
        match operation {
            Operation::Found { .. } => {
                let detail = "`found` stands at the beginning of a list only";
                return Err(Violation::new(Invariant::Simulator, detail));
            }
            Operation::Run(events) => {
                for _ in 0..events {
                    if !self.advance(None)? {
                        break;
                    }
                }
            }
            Operation::Finish => self.finish(Give::Something)?,
            Operation::Wait(milliseconds) => self.wait(u64::from(milliseconds))?,
            Operation::Jitter { spread, salt } => {
                self.network.set_jitter(spread, salt);
                self.strikes(spread > 0, "jitter");
            }
            Operation::Lose(message) => {
                let done = self.network.lose(message);
                self.strikes(done, "messages lost");
            }
            Operation::Repeat(message) => {
                let done = self.network.repeat(message);
                self.strikes(done, "messages repeated");
            }
            Operation::Delay {
                message,
                milliseconds,
            } => {
                let done = self.network.delay(message, milliseconds);
                self.strikes(done, "messages delayed");
            }
            Operation::Part(at) if at < self.silos.len() => {
                let done = self.parted.insert(at);
                self.strikes(done, "partitions");
                self.disconnect(at);
            }
            Operation::Heal(at) => {
                if self.parted.remove(&at) {
                    self.connect(at);
                }
            }
            Operation::Crash {
                party,
                place,
                message,
            } => self.set_trap(party, Trap { place, message }),
            Operation::Stop(Party::Silo(at)) => self.stop_silo(at, "silos stopped"),
            Operation::Stop(Party::Coordinator) => {
                self.strikes(self.coordinator.process.is_some(), "coordinators stopped");
                self.coordinator.stop();
            }
            Operation::Start(Party::Silo(at)) => {
                if self
                    .silos
                    .get(at)
                    .is_some_and(|silo| silo.process.is_none())
                {
                    self.start_silo(at)?;
                }
            }
            Operation::Start(Party::Coordinator) => {
                if self.coordinator.process.is_none() {
                    self.start_coordinator()?;
                }
            }
            Operation::Backup(at) => {
                let with_attempts = self.mutation == Mutation::BackUpSecrets;
                if let Some(silo) = self.silos.get_mut(at) {
                    silo.disk.back_up(with_attempts);
                }
            }
            Operation::Restore { silo: at, copy } => {
                if let Some(silo) = self.silos.get_mut(at)
                    && silo.disk.put_back(copy)
                {
                    self.stop_silo(at, "journals put back from a backup");
                }
            }
            Operation::Forget(at) => {
                if let Some(silo) = self.silos.get_mut(at)
                    && !silo.disk.secrets.is_empty()
                {
                    silo.disk.lose_attempts();
                    self.stop_silo(at, "secrets files lost");
                }
            }
            Operation::Gone(at) => self.false_signal(at, "silos said to be gone")?,
            Operation::Back(at) => self.false_signal(at, "silos said to be back")?,
            Operation::Spoil(at) => {
                let name = self.study.names.get(at);
                let done = name.is_some_and(|name| self.coordinator.spoil(name));
                self.strikes(done, "uploads lost from the spool");
            }
            Operation::Cancel => {
                self.strikes(self.coordinator.plan().is_some(), "attempts cancelled");
                self.with_coordinator(|coordinator, around| coordinator.cancel(around))?;
            }
            Operation::Part(_) => {}
        }
        Ok(())
    }

    /// Runs until the attempt in flight, or else the next one, has ended.
    pub(super) fn finish(&mut self, give: Give) -> Result<(), Violation> {
        let ended = self.ended;
        let until = self.network.now() + PATIENCE;
        for _ in 0..MOST_EVENTS {
            if self.ended > ended {
                return Ok(());
            }
            let hopeless = self.coordinator.process.is_none() || self.network.now() > until;
            if (hopeless && give == Give::Something) || !self.advance(None)? {
                break;
            }
        }
        match give {
            Give::Something => Ok(()),
            Give::Everything => Err(Violation::new(
                Invariant::Liveness,
                "no attempt ends although all faults have ended",
            )),
        }
    }

    pub(super) fn wait(&mut self, milliseconds: u64) -> Result<(), Violation> {
        let until = self.network.now() + milliseconds;
        while self.advance(Some(until))? {}
        self.network.advance_to(until);
        Ok(())
    }

    /// Counts a fault that has really struck.
    pub(super) fn strikes(&mut self, done: bool, what: impl Into<String>) {
        if done {
            self.statistics.count(what);
            self.troubled = true;
        }
    }

    fn set_trap(&mut self, party: Party, trap: Trap) {
        match party {
            Party::Coordinator => self.coordinator.trap = Some(trap),
            Party::Silo(at) => {
                if let Some(silo) = self.silos.get_mut(at) {
                    silo.trap = Some(trap);
                }
            }
        }
    }

    fn stop_silo(&mut self, at: usize, what: &str) {
        if let Some(silo) = self.silos.get_mut(at) {
            silo.stop();
            self.strikes(true, what);
            self.disconnect(at);
        }
    }

    fn false_signal(&mut self, at: usize, what: &str) -> Result<(), Violation> {
        let Some(name) = self.study.names.get(at).cloned() else {
            return Ok(());
        };
        let gone = what.ends_with("gone");
        let is_false = gone == self.is_connected(at) && self.coordinator.process.is_some();
        self.strikes(is_false, what);
        self.with_coordinator(|coordinator, around| {
            if gone {
                coordinator.lost(around, &name)
            } else {
                coordinator.found_again(around, &name)
            }
        })
    }

    pub(super) fn start_silo(&mut self, at: usize) -> Result<(), Violation> {
        self.with_silo(at, |silo, around| silo.start(around))?;
        if self
            .silos
            .get(at)
            .is_some_and(|silo| silo.process.is_some())
        {
            self.connect(at);
        }
        Ok(())
    }

    pub(super) fn start_coordinator(&mut self) -> Result<(), Violation> {
        let absent = self.absent();
        self.with_coordinator(|coordinator, around| coordinator.start(around, &absent))?;
        for at in 0..self.silos.len() {
            if self.is_connected(at) {
                self.connect(at);
            }
        }
        Ok(())
    }

    /// A silo opens a session; a coordinator that does not run yet is found when it does.
    pub(super) fn connect(&mut self, at: usize) {
        if self.coordinator.process.is_none() {
            return;
        }
        self.network
            .schedule(self.network.now() + CONNECTING, Event::Connected(at));
    }

    pub(super) fn disconnect(&mut self, at: usize) {
        self.network
            .schedule(self.network.now() + DROP_TIME, Event::Dropped(at));
    }

    /// A process has died at one of the places where it can.
    pub(super) fn died(&mut self, party: Party, place: CrashPlace) {
        let who = match party {
            Party::Coordinator => "coordinator",
            Party::Silo(_) => "silo",
        };
        self.strikes(true, format!("crashes of a {who}: {place}"));
        if let Party::Silo(at) = party {
            self.disconnect(at);
        }
    }
}

/// Milliseconds until a session is open.
const CONNECTING: u64 = 4;
/// Milliseconds after which a closed session counts as dropped.
const DROP_TIME: u64 = 60;
/// Virtual milliseconds that `finish` waits for an attempt to end.
const PATIENCE: u64 = 20_000;
/// More events than any attempt has.
const MOST_EVENTS: u32 = 5_000;
