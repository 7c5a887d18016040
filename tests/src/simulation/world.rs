// SPDX-License-Identifier: Apache-2.0
//! One federation with its network, disks and clock, driven by a list of operations and by nothing else.

mod dispatch;
mod operations;

use super::coordinator::{self, Coordinator};
use super::faults::Mutation;
use super::invariants::{Honesty, Invariant, Violation, Watch};
use super::network::Network;
use super::operation::Operation;
use super::shared_log::SharedLog;
use super::silo::{self, Silo};
use super::statistics::Statistics;
use super::study::{Study, first_model};
use super::trace::Trace;
use consilium_crypto::digest::Digest;
use consilium_protocol::{Delivery, ReplaySource, SiloName};
use std::collections::BTreeSet;

/// Which way a delivery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the coordinator to a silo.
    Down,
    /// From a silo to the coordinator.
    Up,
}

/// What a liar on the way of a silo puts in the place of a delivery when it arrives.
pub type Tampering<'a> = dyn FnMut(Way, &SiloName, Delivery) -> Vec<Delivery> + 'a;

/// What came of a list of operations.
#[derive(Debug)]
pub struct Report {
    /// How often what happened.
    pub statistics: Statistics,
    /// Over the whole history: equal lists give equal digests.
    pub digest: Digest,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
    /// The history, if it was asked for.
    pub lines: Vec<String>,
}

/// How a list is run.
#[derive(Default)]
pub struct Settings<'a> {
    /// Which error the drivers make.
    pub mutation: Mutation,
    /// Whether the history is kept.
    pub keep_lines: bool,
    /// Who alters deliveries.
    pub tampering: Option<&'a mut Tampering<'a>>,
}

pub(crate) struct World<'a> {
    study: Study,
    log: SharedLog,
    network: Network,
    silos: Vec<Silo>,
    coordinator: Coordinator,
    parted: BTreeSet<usize>,
    watch: Watch,
    statistics: Statistics,
    trace: Trace,
    mutation: Mutation,
    tampering: Option<&'a mut Tampering<'a>>,
    /// Whether a fault has struck since the attempt in flight was opened.
    troubled: bool,
    /// Attempts that have ended, and how the last one did.
    ended: u64,
    released: bool,
}

/// Runs a list of operations, ends all faults, and demands that the federation recovers.
#[must_use]
pub fn run(operations: &[Operation], settings: Settings<'_>) -> Report {
    let honesty = match settings.tampering {
        Some(_) => Honesty::Tampered,
        None => Honesty::Everybody,
    };
    let mut trace = Trace::new(settings.keep_lines);
    let Some((Operation::Found { silos, noise, seed }, rest)) = operations.split_first() else {
        return Report::failed(trace, "a list begins with `found`");
    };
    let (study, keys) = match Study::found(*silos, *noise, *seed) {
        Ok(founded) => founded,
        Err(fault) => return Report::failed(trace, &fault.to_string()),
    };
    trace.push(format!(
        "{}",
        Operation::Found {
            silos: *silos,
            noise: *noise,
            seed: *seed
        }
    ));
    let named = study.names.iter().cloned().zip(keys.silos);
    let silos = named
        .map(|(name, key)| Silo::new(name, key, *seed, first_model()))
        .collect();
    let mut world = World {
        study,
        log: SharedLog::default(),
        network: Network::default(),
        silos,
        coordinator: Coordinator::new(keys.coordinator, first_model()),
        parted: BTreeSet::new(),
        watch: Watch::new(honesty),
        statistics: Statistics::default(),
        trace,
        mutation: settings.mutation,
        tampering: settings.tampering,
        troubled: false,
        ended: 0,
        released: false,
    };
    let violation = world.live(rest).err();
    if let Some(violation) = &violation {
        world.trace.push(violation.to_string());
    }
    Report {
        statistics: world.statistics,
        digest: world.trace.digest(),
        violation,
        lines: world.trace.into_lines(),
    }
}

impl World<'_> {
    fn live(&mut self, operations: &[Operation]) -> Result<(), Violation> {
        for at in 0..self.silos.len() {
            self.start_silo(at)?;
        }
        self.start_coordinator()?;
        for operation in operations {
            self.trace
                .push(format!("{} {operation}", self.network.now()));
            self.apply(*operation)?;
        }
        self.calm()
    }

    /// The faults end. The attempt in flight may fail of them; the next one releases, and everybody agrees on it.
    fn calm(&mut self) -> Result<(), Violation> {
        self.trace.push(format!("{} calm", self.network.now()));
        self.coordinator.trap = None;
        self.network.set_jitter(0, 0);
        if self.coordinator.process.is_none() {
            self.start_coordinator()?;
        }
        for at in 0..self.silos.len() {
            self.silos[at].trap = None;
            self.parted.remove(&at);
            if self.silos[at].process.is_some() {
                self.connect(at);
                continue;
            }
            // The first start may find an old journal.
            self.start_silo(at)?;
            if self.silos[at].process.is_none() {
                self.start_silo(at)?;
            }
        }
        if self.coordinator.plan().is_some() {
            self.finish(Give::Everything)?;
        }
        self.finish(Give::Everything)?;
        if !self.released {
            let detail = "the first attempt after all faults had ended did not release";
            return Err(Violation::new(Invariant::Liveness, detail));
        }
        self.statistics.count("calm attempts released");
        self.wait(SETTLING)?;
        for silo in &self.silos {
            let (own, common) = (silo.disk.journal.progress, &self.coordinator.store);
            if own.round != common.round {
                let detail = format!("{} has not come beyond round {}", silo.name, own.round);
                return Err(Violation::new(Invariant::Liveness, detail));
            }
        }
        Ok(())
    }

    fn absent(&self) -> Vec<SiloName> {
        let names = self.study.names.iter().enumerate();
        names
            .filter(|(at, _)| !self.is_connected(*at))
            .map(|(_, name)| name.clone())
            .collect()
    }

    fn is_connected(&self, at: usize) -> bool {
        !self.parted.contains(&at)
            && self
                .silos
                .get(at)
                .is_some_and(|silo| silo.process.is_some())
    }

    /// Lets a silo act, and takes in what comes of it.
    fn with_silo(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut Silo, silo::Around<'_>) -> Vec<silo::Outcome>,
    ) -> Result<(), Violation> {
        let reached = self.coordinator.served(&self.study);
        let served = reached.as_ref().filter(|_| !self.parted.contains(&at));
        let around = silo::Around {
            study: &self.study,
            log: &self.log,
            now: self.network.now(),
            mutation: self.mutation,
            served: served.map(|served| served as &dyn ReplaySource),
        };
        let Some(silo) = self.silos.get_mut(at) else {
            return Ok(());
        };
        let outcomes = act(silo, around);
        self.take_silo_outcomes(at, outcomes)
    }

    /// Lets the coordinator act, and takes in what comes of it.
    fn with_coordinator(
        &mut self,
        act: impl FnOnce(&mut Coordinator, &mut coordinator::Around<'_>) -> Vec<coordinator::Outcome>,
    ) -> Result<(), Violation> {
        let mut around = coordinator::Around {
            study: &self.study,
            log: &mut self.log,
            now: self.network.now(),
            mutation: self.mutation,
        };
        let outcomes = act(&mut self.coordinator, &mut around);
        self.take_coordinator_outcomes(outcomes)
    }
}

impl Report {
    fn failed(trace: Trace, detail: &str) -> Self {
        Self {
            statistics: Statistics::default(),
            digest: trace.digest(),
            violation: Some(Violation::new(Invariant::Simulator, detail)),
            lines: trace.into_lines(),
        }
    }
}

/// How patient `finish` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Give {
    /// As long as something may come of it.
    Something,
    /// Whatever it takes: a standstill is a violation.
    Everything,
}

/// Milliseconds in which a release reaches everybody.
const SETTLING: u64 = 100;
