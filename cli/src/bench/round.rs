// SPDX-License-Identifier: Apache-2.0
//! A whole round: messages go to the silos in batches, and what they answer to the coordinator.

use super::accounts::{Step, Steps, process_seconds};
use super::coordinator::ToCoordinator;
use super::founding::{Founding, Size};
use super::parties::{CoordinatorParty, Outgoing, SiloParty};
use super::progress::Progress;
use super::silo::{Account, SiloWorld};
use super::spool::{Layout, sum_path};
use anyhow::{Context, anyhow, bail};
use consilium_crypto::packing;
use consilium_protocol::{Delivery, SiloName};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where the parties run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Processes {
    /// All in this one.
    One,
    /// The coordinator and the first silo each in one of its own.
    Own,
}

/// What a round cost.
pub(super) struct Cost {
    pub(super) coordinator: Steps,
    /// Processor time of this process, whatever it was spent on.
    pub(super) process_seconds: f64,
    /// One for each silo.
    pub(super) silos: Vec<Account>,
    /// How many of them are in the sum.
    pub(super) survivors: usize,
    pub(super) sum_correct: bool,
    pub(super) coordinator_peak: Option<u64>,
    pub(super) silo_peak: Option<u64>,
}

/// Runs a round with `threads` silos at a time.
pub(super) fn run(
    size: Size,
    threads: usize,
    processes: Processes,
    folder: &Path,
    progress: &Progress,
) -> anyhow::Result<Cost> {
    let founding = Founding::new(size)?;
    let world = SiloWorld::new(&founding, folder);
    let started = process_seconds();
    let mut silos = Vec::new();
    for at in 0..founding.silos.len() {
        silos.push(Mutex::new(match (processes, at) {
            (Processes::Own, 0) => SiloParty::process(size, at, folder)?,
            (Processes::Own | Processes::One, _) => SiloParty::here(&world, at)?,
        }));
    }
    let (mut coordinator, mut outgoing) = match processes {
        Processes::One => CoordinatorParty::here(size, folder)?,
        Processes::Own => CoordinatorParty::process(size, folder)?,
    };
    while !outgoing.is_empty() {
        let batch = by_silo(&founding, outgoing)?;
        let phase = coordinator.phase().to_owned();
        let told = deliver(&world, &silos, batch, threads, &phase, progress)?;
        outgoing = coordinator.tell(told)?;
    }
    let Some(survivors) = coordinator.survivors().map(<[SiloName]>::to_vec) else {
        bail!("the round stands still while {}", coordinator.phase());
    };
    let process_seconds = process_seconds() - started;
    let sum_correct = sum_is_right(&world, &survivors)?;
    let (steps, coordinator_peak) = coordinator.end()?;
    let (mut accounts, mut silo_peak) = (Vec::new(), None);
    for silo in silos {
        let silo = silo.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (account, peak) = silo.end()?;
        silo_peak = silo_peak.or(peak);
        accounts.push(account);
    }
    let finished = accounts.iter().filter(|account| account.finished).count();
    Ok(Cost {
        coordinator: steps,
        process_seconds,
        sum_correct: sum_correct && finished == survivors.len(),
        silos: accounts,
        survivors: survivors.len(),
        coordinator_peak,
        silo_peak,
    })
}

/// Sorts messages by their recipients, each one's in their order.
fn by_silo(
    founding: &Founding,
    outgoing: Outgoing,
) -> anyhow::Result<Vec<(usize, Mutex<Vec<Delivery>>)>> {
    let mut sorted: BTreeMap<usize, Vec<Delivery>> = BTreeMap::new();
    for (to, delivery) in outgoing {
        let at = founding.position(&to)?;
        sorted.entry(at).or_default().push(delivery);
    }
    let batch = sorted.into_iter();
    Ok(batch
        .map(|(at, messages)| (at, Mutex::new(messages)))
        .collect())
}

/// Gives every silo its messages; returns what they answer, in the order of the silos whatever the threads.
fn deliver(
    world: &SiloWorld<'_>,
    silos: &[Mutex<SiloParty>],
    batch: Vec<(usize, Mutex<Vec<Delivery>>)>,
    threads: usize,
    phase: &str,
    progress: &Progress,
) -> anyhow::Result<Vec<ToCoordinator>> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((at, messages)) = batch.get(number) else {
                return Ok(());
            };
            progress.tell(phase, number, batch.len());
            let messages =
                std::mem::take(&mut *messages.lock().unwrap_or_else(PoisonError::into_inner));
            let silo = silos.get(*at).context("there is no such silo")?;
            let mut silo = silo.lock().unwrap_or_else(PoisonError::into_inner);
            let mut told = Vec::new();
            for message in messages {
                told.append(&mut silo.take(world, message)?);
            }
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.insert(number, told);
        }
    };
    if threads <= 1 {
        work()?;
    } else {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| {
                let ended = worker.join();
                ended.unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
            })
        })?;
    }
    let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(answers.into_values().flatten().collect())
}

/// Whether the released sum is that of the survivors' vectors.
fn sum_is_right(world: &SiloWorld<'_>, survivors: &[SiloName]) -> anyhow::Result<bool> {
    let plan = &world.founding.plan;
    let layout = Layout::new(plan);
    let file = File::open(sum_path(world.folder)).context("there is no sum")?;
    let positions: Vec<usize> = survivors
        .iter()
        .map(|silo| world.founding.position(silo))
        .collect::<anyhow::Result<_>>()?;
    let mut expected = Vec::new();
    for index in 0..plan.chunk_count() {
        let fields = plan.fields_in_chunk(index);
        expected.clear();
        expected.resize(fields, 0);
        let first = index * u64::from(plan.chunk_fields);
        for at in &positions {
            world.inputs().add_to(*at, first, &mut expected);
        }
        let chunk = layout.read(&file, index).context("the sum is short")?;
        if packing::unpack(world.founding.bits, &chunk, fields)? != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How long packing takes of what the fused loop spends on one silo's vector, from packing alone without streams.
pub(super) fn seconds_of_packing(founding: &Founding) -> anyhow::Result<f64> {
    let mask_loop = consilium_mask_loop::MaskLoop::new(founding.size.bits)?;
    let none: [(consilium_mask_loop::Sign, consilium_mask_loop::Stream); 0] = [];
    let fields = founding.plan.fields_in_chunk(0);
    let words = vec![0x0001_2345_6789_u64; fields];
    let mut packed = vec![0; mask_loop.packed_length(fields)];
    let mut least = f64::INFINITY;
    for _ in 0..16 {
        let mut steps = Steps::default();
        steps.timed(Step::Packing, || {
            mask_loop.mask(&none, 0, &words, &mut packed)
        });
        least = least.min(steps.total());
    }
    let parameters = u32::try_from(founding.plan.vector.dimension).map_or(f64::INFINITY, f64::from);
    let per_chunk = u32::try_from(fields).map_or(1.0, f64::from);
    Ok(least * parameters / per_chunk)
}
