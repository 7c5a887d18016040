// SPDX-License-Identifier: Apache-2.0
//! The shared audit log and its witnesses.
//!
//! The log is appended to at once and cosigned on demand: whoever needs an entry committed waits, and the keeper signs
//! a checkpoint and asks every connected silo. A silo has at most one request open, because what it may cosign next
//! starts where it cosigned last.

mod fit;
mod requests;

use crate::sessions::Sessions;
use consilium_audit::{Event, Log, LogFault, LogProof, Timestamp};
use consilium_crypto::digest::Digest;
use consilium_protocol::SiloName;
use consilium_wire::v1;
use consilium_wire::v1::coordinator_frame::Frame;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};

pub(crate) use fit::clamp;
use requests::Requests;

/// A handle on the keeper.
#[derive(Clone)]
pub struct LogKeeper {
    log: Arc<Mutex<Log>>,
    news: mpsc::UnboundedSender<News>,
    requests: Requests,
    cosigned: watch::Receiver<Cosigned>,
}

/// The newest head with a quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cosigned {
    size: u64,
    witnesses: BTreeSet<String>,
}

#[derive(Debug)]
enum News {
    Appended,
    Wanted(u64),
    Opened(SiloName, u64),
    Closed(SiloName),
    Cosignature(SiloName, v1::Cosignature),
}

/// Why an entry is not in the log, or not committed.
#[derive(Debug, thiserror::Error)]
pub enum KeeperFault {
    /// The log refused.
    #[error("the audit log cannot be written; no work is done without it")]
    Log(#[from] LogFault),
    /// The process is stopping.
    #[error("the audit log is being closed")]
    Stopped,
}

impl LogKeeper {
    /// Takes the log over.
    #[must_use]
    pub fn start(log: Log, sessions: Sessions) -> Self {
        let cosigned = newest(&log);
        let (news, receiver) = mpsc::unbounded_channel();
        let (publish, cosigned) = watch::channel(cosigned);
        let log = Arc::new(Mutex::new(log));
        let requests = Requests::default();
        let gathering = Gathering {
            log: Arc::clone(&log),
            sessions,
            publish,
            requests: requests.clone(),
            witnesses: BTreeMap::new(),
            wanted: 0,
        };
        tokio::spawn(gathering.run(receiver));
        Self {
            log,
            news,
            requests,
            cosigned,
        }
    }

    /// Appends events, durably, and returns their places. The same event again has the same place. What is too long
    /// for an entry becomes an object.
    pub async fn append(&self, events: Vec<Event>) -> Result<Vec<u64>, KeeperFault> {
        let append = move |log: &mut Log| {
            let fitting = events.into_iter().map(|event| fit::fit(log, event));
            let events: Vec<Event> = fitting.collect::<Result<_, _>>()?;
            log.append_batch(&events)
        };
        let places = self.with(append).await?;
        self.news.send(News::Appended).ok();
        Ok(places)
    }

    /// Appends one event.
    pub async fn append_one(&self, event: Event) -> Result<u64, KeeperFault> {
        let places = self.append(vec![event]).await?;
        places.first().copied().ok_or(KeeperFault::Stopped)
    }

    /// Waits until the entry at `place` is under a head that a quorum of silos has cosigned.
    pub async fn committed(&self, place: u64) -> Result<(), KeeperFault> {
        self.news.send(News::Wanted(place + 1)).ok();
        let mut cosigned = self.cosigned.clone();
        cosigned
            .wait_for(|head| head.size > place)
            .await
            .map_err(|_| KeeperFault::Stopped)?;
        Ok(())
    }

    /// Waits until the entry is committed, and then up to `patience` until all of `silos` have cosigned as well:
    /// a silo believes a proof only if its own cosignature is there.
    pub async fn committed_by(
        &self,
        place: u64,
        silos: &BTreeSet<SiloName>,
        patience: Duration,
    ) -> Result<(), KeeperFault> {
        self.committed(place).await?;
        let mut cosigned = self.cosigned.clone();
        let everybody = cosigned.wait_for(|head| {
            head.size > place
                && silos
                    .iter()
                    .all(|silo| head.witnesses.contains(silo.as_str()))
        });
        // Too late for some is no fault: they will say so themselves.
        tokio::time::timeout(patience, everybody).await.ok();
        Ok(())
    }

    /// The proof of a committed entry under the newest head with a quorum.
    pub async fn proof(&self, place: u64) -> Result<LogProof, KeeperFault> {
        self.with(move |log| log.proof(place)).await
    }

    /// The same for one silo: under a head that this silo has cosigned as well, if one comes within `patience`. The newest
    /// head may be one that the others were quicker to cosign.
    pub async fn proof_for(
        &self,
        place: u64,
        silo: &SiloName,
        patience: Duration,
    ) -> Result<LogProof, KeeperFault> {
        self.committed(place).await?;
        let until = tokio::time::Instant::now() + patience;
        let mut cosigned = self.cosigned.clone();
        loop {
            cosigned.borrow_and_update();
            let silo = silo.clone();
            let (proof, is_own) = self
                .with(move |log| {
                    let is_own = newest(log).witnesses.contains(silo.as_str());
                    Ok((log.proof(place)?, is_own))
                })
                .await?;
            let changed = async {
                tokio::time::timeout_at(until, cosigned.changed())
                    .await
                    .is_ok_and(|changed| changed.is_ok())
            };
            // Too late is no fault: the silo will say so itself.
            if is_own || !changed.await {
                return Ok(proof);
            }
        }
    }

    /// Runs a call on the log where blocking is allowed.
    pub async fn with<T, F>(&self, call: F) -> Result<T, KeeperFault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Log) -> Result<T, LogFault> + Send + 'static,
    {
        let log = Arc::clone(&self.log);
        let run = move || call(&mut log.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(tokio::task::spawn_blocking(run)
            .await
            .map_err(|_| KeeperFault::Stopped)??)
    }

    /// A silo's session is open, and it last cosigned a head of this size.
    pub fn witness_opened(&self, silo: &SiloName, log_size: u64) {
        self.news.send(News::Opened(silo.clone(), log_size)).ok();
    }

    /// A silo's session has ended.
    pub fn witness_closed(&self, silo: &SiloName) {
        self.news.send(News::Closed(silo.clone())).ok();
    }

    /// A silo cosigned. Only the answer to an open request waits for its turn.
    pub fn cosignature(&self, silo: &SiloName, cosignature: v1::Cosignature) {
        if !self.requests.answer(silo, &cosignature) {
            tracing::debug!(%silo, "a cosignature that nobody asked for");
            return;
        }
        self.news
            .send(News::Cosignature(silo.clone(), cosignature))
            .ok();
    }
}

impl std::fmt::Debug for LogKeeper {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LogKeeper")
    }
}

/// The present moment as the log writes it.
#[must_use]
pub fn now() -> Timestamp {
    // A clock before 1970 writes 1970: the log's order does not depend on it.
    Timestamp::from_system_time(SystemTime::now())
        .or_else(|_| Timestamp::from_unix_milliseconds(0))
        .unwrap_or_else(|_| unreachable!("1970 is a moment"))
}

/// The task that gathers cosignatures.
struct Gathering {
    log: Arc<Mutex<Log>>,
    sessions: Sessions,
    publish: watch::Sender<Cosigned>,
    requests: Requests,
    witnesses: BTreeMap<SiloName, Witness>,
    /// The size that somebody waits for.
    wanted: u64,
}

/// What is known of a connected witness.
struct Witness {
    /// The size that it cosigned last.
    cosigned: u64,
    /// Whether it has a request to answer.
    asked: bool,
}

/// An entry that nobody waits for is cosigned after this time.
const IDLE: Duration = Duration::from_secs(1);

impl Gathering {
    async fn run(mut self, mut news: mpsc::UnboundedReceiver<News>) {
        let mut idle = tokio::time::interval(IDLE);
        idle.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let news = tokio::select! {
                news = news.recv() => match news {
                    Some(news) => Some(news),
                    None => return,
                },
                _ = idle.tick() => None,
            };
            let handled = tokio::task::spawn_blocking(move || {
                let outcome = self.handle(news);
                (self, outcome)
            });
            match handled.await {
                Ok((gathering, Ok(()))) => self = gathering,
                Ok((gathering, Err(fault))) => {
                    tracing::error!(%fault, "the audit log failed");
                    self = gathering;
                }
                Err(_) => return,
            }
        }
    }

    fn handle(&mut self, news: Option<News>) -> Result<(), LogFault> {
        let log = Arc::clone(&self.log);
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            Some(News::Appended) => return Ok(()),
            Some(News::Wanted(size)) => self.wanted = self.wanted.max(size),
            Some(News::Opened(silo, cosigned)) => {
                if cosigned > log.size() {
                    tracing::error!(
                        %silo, cosigned, size = log.size(),
                        "this log is older than what a silo has cosigned: bring back the newest copy of the folder; no \
                         study completes with this one"
                    );
                }
                self.requests.close(&silo);
                self.witnesses.insert(
                    silo,
                    Witness {
                        cosigned,
                        asked: false,
                    },
                );
            }
            Some(News::Closed(silo)) => {
                self.requests.close(&silo);
                self.witnesses.remove(&silo);
            }
            Some(News::Cosignature(silo, cosignature)) => {
                if let Some(witness) = self.witnesses.get_mut(&silo) {
                    witness.asked = false;
                    witness.cosigned = witness.cosigned.max(cosignature.size);
                }
                let gathered = log.add_cosignatures(cosignature.size, &[cosignature.line])?;
                for (_, fault) in gathered.refused {
                    tracing::warn!(%silo, %fault, "a cosignature was refused");
                }
            }
            None => self.wanted = self.wanted.max(log.size()),
        }
        if self.wanted > log.head().size() {
            log.checkpoint()?;
        }
        self.publish.send_if_modified(|published| {
            let cosigned = newest(&log);
            let changed = *published != cosigned;
            *published = cosigned;
            changed
        });
        self.ask(&log)
    }

    /// Asks every witness that has cosigned less than the head and has nothing to answer.
    fn ask(&mut self, log: &Log) -> Result<(), LogFault> {
        let head = log.head();
        for (silo, witness) in &mut self.witnesses {
            let known = log.trust().witnesses.member(silo.as_str()).is_some();
            if !known || witness.asked || witness.cosigned >= head.size() {
                continue;
            }
            let consistency = match witness.cosigned {
                0 => Vec::new(),
                old => log.consistency_proof(old, head.size())?,
            };
            witness.asked = true;
            self.requests.open(silo, head.size());
            let request = v1::CosignRequest {
                checkpoint: head.to_string(),
                old_size: witness.cosigned,
                consistency: consistency.iter().map(bytes).collect(),
            };
            self.sessions.send(silo, Frame::Cosign(request));
        }
        Ok(())
    }
}

fn newest(log: &Log) -> Cosigned {
    let Some(head) = log.quorate_head() else {
        return Cosigned::default();
    };
    let witnesses = log.trust().witnesses.count_valid(head).unwrap_or_default();
    Cosigned {
        size: head.size(),
        witnesses: witnesses.into_iter().map(str::to_owned).collect(),
    }
}

fn bytes(digest: &Digest) -> Vec<u8> {
    digest.as_bytes().to_vec()
}
