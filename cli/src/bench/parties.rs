// SPDX-License-Identifier: Apache-2.0
//! The parties of a round, each in this process or in one of its own, so that its memory can be measured alone.

use super::accounts::{Steps, peak_memory_bytes};
use super::coordinator::{CoordinatorSide, ToCoordinator};
use super::founding::{Founding, Size};
use super::link;
use super::silo::{Account, SiloSide, SiloWorld};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use consilium_protocol::{Delivery, SiloName};
use serde::{Deserialize, Serialize};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};

#[derive(Args)]
pub(crate) struct PartyArguments {
    /// Which party
    role: Role,
    /// Which silo
    #[arg(long, default_value_t = 0)]
    at: usize,
    /// The folder of uploads and of the sum
    #[arg(long)]
    folder: PathBuf,
    #[command(flatten)]
    size: Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Coordinator,
    Silo,
}

/// Messages and to whom they go.
pub(super) type Outgoing = Vec<(SiloName, Delivery)>;

/// The coordinator, wherever it runs.
pub(super) enum CoordinatorParty {
    Here(Box<CoordinatorSide>),
    Process {
        child: PartyProcess,
        says: Receiver<anyhow::Result<CoordinatorSays>>,
        phase: String,
        survivors: Option<Vec<SiloName>>,
    },
}

/// A silo, wherever it runs.
pub(super) enum SiloParty {
    Here(Box<SiloSide>),
    Process(PartyProcess, BufReader<ChildStdout>),
}

/// A child process; it ends when its input ends.
pub(super) struct PartyProcess {
    child: Child,
    input: Option<BufWriter<ChildStdin>>,
}

/// What a coordinator in a process of its own is told.
#[derive(Serialize, Deserialize)]
enum CoordinatorHears {
    Told(ToCoordinator),
    EndOfBatch,
}

/// What it answers.
#[derive(Serialize, Deserialize)]
pub(super) enum CoordinatorSays {
    Send(SiloName, Delivery),
    EndOfBatch {
        phase: String,
        survivors: Option<Vec<SiloName>>,
    },
    Ended(Steps, Option<u64>),
}

/// What a silo in a process of its own answers.
#[derive(Serialize, Deserialize)]
enum SiloSays {
    Told(ToCoordinator),
    EndOfBatch,
    Ended(Account, Option<u64>),
}

impl CoordinatorParty {
    /// Opens the attempt in this process.
    pub(super) fn here(size: Size, folder: &Path) -> anyhow::Result<(Self, Outgoing)> {
        let mut outgoing = Vec::new();
        let side = CoordinatorSide::open(Founding::new(size)?, folder, &mut |to, delivery| {
            outgoing.push((to, delivery));
            Ok(())
        })?;
        Ok((Self::Here(Box::new(side)), outgoing))
    }

    /// Opens the attempt in a process of its own.
    pub(super) fn process(size: Size, folder: &Path) -> anyhow::Result<(Self, Outgoing)> {
        let (child, mut output) = PartyProcess::start("coordinator", 0, size, folder)?;
        let (heard, says) = channel();
        // It speaks while it is still being spoken to: somebody must listen all the time.
        std::thread::spawn(move || {
            while let Some(said) = link::read(&mut output).transpose() {
                let failed = said.is_err();
                if heard.send(said).is_err() || failed {
                    return;
                }
            }
        });
        let mut party = Self::Process {
            child,
            says,
            phase: String::new(),
            survivors: None,
        };
        let outgoing = party.tell(Vec::new())?;
        Ok((party, outgoing))
    }

    /// Tells it what the silos sent; returns what it sends.
    pub(super) fn tell(&mut self, batch: Vec<ToCoordinator>) -> anyhow::Result<Outgoing> {
        let mut outgoing = Vec::new();
        match self {
            Self::Here(side) => {
                for told in batch {
                    side.take(told, &mut |to, delivery| {
                        outgoing.push((to, delivery));
                        Ok(())
                    })?;
                }
            }
            Self::Process {
                child,
                says,
                phase,
                survivors,
            } => {
                for told in batch {
                    child.write(&CoordinatorHears::Told(told))?;
                }
                child.write(&CoordinatorHears::EndOfBatch)?;
                child.flush()?;
                loop {
                    match says
                        .recv()
                        .context("the coordinator's process has ended")??
                    {
                        CoordinatorSays::Send(to, delivery) => outgoing.push((to, delivery)),
                        CoordinatorSays::EndOfBatch {
                            phase: its_phase,
                            survivors: its_survivors,
                        } => {
                            (*phase, *survivors) = (its_phase, its_survivors);
                            break;
                        }
                        CoordinatorSays::Ended(..) => bail!("the coordinator's process has ended"),
                    }
                }
            }
        }
        Ok(outgoing)
    }

    pub(super) fn phase(&self) -> &str {
        match self {
            Self::Here(side) => side.phase(),
            Self::Process { phase, .. } => phase,
        }
    }

    /// Whose inputs the released sum holds, once it is released.
    pub(super) fn survivors(&self) -> Option<&[SiloName]> {
        match self {
            Self::Here(side) => side.survivors(),
            Self::Process { survivors, .. } => survivors.as_deref(),
        }
    }

    /// What it spent, and its own peak of memory when it had a process of its own.
    pub(super) fn end(self) -> anyhow::Result<(Steps, Option<u64>)> {
        match self {
            Self::Here(side) => Ok((side.steps(), None)),
            Self::Process { child, says, .. } => {
                child.end()?;
                match says
                    .recv()
                    .context("the coordinator's process has ended")??
                {
                    CoordinatorSays::Ended(steps, peak) => Ok((steps, peak)),
                    CoordinatorSays::Send(..) | CoordinatorSays::EndOfBatch { .. } => {
                        bail!("the coordinator's process goes on after its end")
                    }
                }
            }
        }
    }
}

impl SiloParty {
    pub(super) fn here(world: &SiloWorld<'_>, at: usize) -> anyhow::Result<Self> {
        Ok(Self::Here(Box::new(SiloSide::new(world, at)?)))
    }

    pub(super) fn process(size: Size, at: usize, folder: &Path) -> anyhow::Result<Self> {
        let (child, output) = PartyProcess::start("silo", at, size, folder)?;
        Ok(Self::Process(child, output))
    }

    /// Gives it a message; returns what it tells the coordinator.
    pub(super) fn take(
        &mut self,
        world: &SiloWorld<'_>,
        delivery: Delivery,
    ) -> anyhow::Result<Vec<ToCoordinator>> {
        match self {
            Self::Here(side) => side.take(world, delivery),
            Self::Process(child, output) => {
                child.write(&delivery)?;
                child.flush()?;
                let mut batch = Vec::new();
                loop {
                    match link::read(output)?.context("a silo's process has ended")? {
                        SiloSays::Told(told) => batch.push(told),
                        SiloSays::EndOfBatch => return Ok(batch),
                        SiloSays::Ended(..) => bail!("a silo's process has ended"),
                    }
                }
            }
        }
    }

    /// What it spent, and its own peak of memory when it had a process of its own.
    pub(super) fn end(self) -> anyhow::Result<(Account, Option<u64>)> {
        match self {
            Self::Here(side) => Ok((side.account(), None)),
            Self::Process(child, mut output) => {
                child.end()?;
                match link::read(&mut output)?.context("a silo's process has ended")? {
                    SiloSays::Ended(account, peak) => Ok((account, peak)),
                    SiloSays::Told(_) | SiloSays::EndOfBatch => {
                        bail!("a silo's process goes on after its end")
                    }
                }
            }
        }
    }
}

impl PartyProcess {
    fn start(
        role: &str,
        at: usize,
        size: Size,
        folder: &Path,
    ) -> anyhow::Result<(Self, BufReader<ChildStdout>)> {
        let executable = std::env::current_exe().context("this executable cannot be found")?;
        let mut child = Command::new(executable)
            .args(["bench", "party", role, "--folder"])
            .arg(folder)
            .args(["--at", &at.to_string()])
            .args(["--silos", &size.silos.to_string()])
            .args(["--parameters", &size.parameters.to_string()])
            .args(["--bits", &size.bits.to_string()])
            .args(["--drop", &size.dropped.to_string()])
            .args(["--seed", &size.seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("this executable cannot be started again")?;
        let input = child.stdin.take().context("a child without input")?;
        let output = child.stdout.take().context("a child without output")?;
        let process = Self {
            child,
            input: Some(BufWriter::new(input)),
        };
        Ok((process, BufReader::new(output)))
    }

    fn write<T: Serialize>(&mut self, value: &T) -> anyhow::Result<()> {
        link::write(
            self.input.as_mut().context("a child that has ended")?,
            value,
        )
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("a child that has ended")?;
        input.flush().context("the other process has ended")
    }

    /// Ends its input; its last words are in its output.
    fn end(mut self) -> anyhow::Result<()> {
        self.flush()?;
        self.input = None;
        let status = self.child.wait().context("a child that has gone")?;
        if status.success() {
            Ok(())
        } else {
            bail!("a party's process failed")
        }
    }
}

impl Drop for PartyProcess {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one party until its input ends.
pub(super) fn serve(arguments: &PartyArguments) -> anyhow::Result<ExitCode> {
    let mut input = BufReader::new(std::io::stdin().lock());
    let mut output = BufWriter::new(std::io::stdout().lock());
    let founding = Founding::new(arguments.size)?;
    match arguments.role {
        Role::Coordinator => {
            let mut send =
                |to, delivery| link::write(&mut output, &CoordinatorSays::Send(to, delivery));
            let mut side = CoordinatorSide::open(founding, &arguments.folder, &mut send)?;
            while let Some(heard) = link::read(&mut input)? {
                match heard {
                    CoordinatorHears::Told(told) => side.take(told, &mut |to, delivery| {
                        link::write(&mut output, &CoordinatorSays::Send(to, delivery))
                    })?,
                    CoordinatorHears::EndOfBatch => {
                        let phase = side.phase().to_owned();
                        let survivors = side.survivors().map(<[SiloName]>::to_vec);
                        let end = CoordinatorSays::EndOfBatch { phase, survivors };
                        link::write(&mut output, &end)?;
                        output.flush()?;
                    }
                }
            }
            let ended = CoordinatorSays::Ended(side.steps(), peak_memory_bytes());
            link::write(&mut output, &ended)?;
        }
        Role::Silo => {
            let world = SiloWorld::new(&founding, &arguments.folder);
            let mut side = SiloSide::new(&world, arguments.at)?;
            while let Some(delivery) = link::read(&mut input)? {
                for told in side.take(&world, delivery)? {
                    link::write(&mut output, &SiloSays::Told(told))?;
                }
                link::write(&mut output, &SiloSays::EndOfBatch)?;
                output.flush()?;
            }
            let ended = SiloSays::Ended(side.account(), peak_memory_bytes());
            link::write(&mut output, &ended)?;
        }
    }
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}
