// SPDX-License-Identifier: Apache-2.0
//! The running service: opens the folder, listens, schedules, stops.

use crate::config::{Config, ConfigFault};
use crate::crash::CrashPoint;
use crate::enrolment_service::EnrolmentService;
use crate::federation::{Federation, PublishFault, PublishedRoster};
use crate::folder::{CoordinatorFolder, FolderFault, Ready, log_origin};
use crate::input::{INPUTS_WAITING, Input};
use crate::log_keeper::{KeeperFault, LogKeeper, now};
use crate::progress::ProgressBoard;
use crate::replay_desk::ReplayDesk;
use crate::scheduler;
use crate::sessions::Sessions;
use crate::silo_service::{Departures, SiloService};
use crate::spool::{Spool, SpoolFault};
use crate::store::sqlite::SqliteStore;
use crate::store::{StoreFault, StoreHandle};
use crate::studies_service::StudiesService;
use consilium_audit::{Event, EventKind, Log, LogFault};
use consilium_certs::folder::roster_folder::{RosterFolder, RosterFolderFault};
use consilium_certs::tls;
use consilium_certs::{FolderLock, IdentityFolderFault, LockFault, TlsFault};
use consilium_wire::server::{Services, TlsIncoming, server};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// After a start every silo has this long to reconnect before it counts as gone.
const RECONNECT_TIME: Duration = Duration::from_secs(30);

/// How long the last checkpoint waits for its cosignatures when the service stops.
const LAST_COSIGNATURES: Duration = Duration::from_secs(1);

/// How long open calls may take to end when the service stops.
const STOP_TIME: Duration = Duration::from_secs(3);

/// What to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The coordinator's folder.
    pub folder: PathBuf,
    /// Where to die, for tests. The deployed binary passes `None`.
    pub crash_point: Option<CrashPoint>,
}

/// Why the coordinator does not run, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeFault {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// The folder is in use.
    #[error(transparent)]
    Lock(#[from] LockFault),
    /// Keys and certificates.
    #[error(transparent)]
    Folder(#[from] FolderFault),
    /// Keys and certificates.
    #[error(transparent)]
    Identity(#[from] IdentityFolderFault),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The blobs.
    #[error(transparent)]
    Spool(#[from] SpoolFault),
    /// The log.
    #[error("the audit log cannot be opened; no work is done without it")]
    Log(#[from] LogFault),
    /// The log.
    #[error(transparent)]
    Keeper(#[from] KeeperFault),
    /// The roster.
    #[error(transparent)]
    Roster(#[from] RosterFolderFault),
    /// The roster.
    #[error(transparent)]
    Publish(#[from] PublishFault),
    /// The port.
    #[error(
        "cannot listen on `{address}`; choose another address or port as `listen` in coordinator.toml"
    )]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The transport.
    #[error("the server broke off")]
    Transport(#[from] tonic::transport::Error),
    /// The scheduler.
    #[error("no further study can run")]
    Scheduler(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs a coordinator until `shutdown` or a fault.
pub async fn run(
    options: RunOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeFault> {
    let folder = CoordinatorFolder::new(&options.folder);
    let config = Config::read(folder.path())?;
    let _lock = FolderLock::acquire(folder.path())?;
    std::fs::remove_file(folder.ready()).ok();
    let identity = folder.open_identity()?;
    let tls_config = tls::server_config(&identity.tls_identity()?)?;
    let listener =
        TcpListener::bind(&config.listen)
            .await
            .map_err(|source| ServeFault::Listen {
                address: config.listen.clone(),
                source,
            })?;
    let address = listener.local_addr().map_err(|source| ServeFault::Listen {
        address: config.listen.clone(),
        source,
    })?;

    let (inputs, receiver) = mpsc::channel(INPUTS_WAITING);
    let federation = open_federation(&folder, config, inputs.clone()).await?;
    let incoming = TlsIncoming::new(listener, tls_config);
    let services = Services::new(
        EnrolmentService::new(Arc::clone(&federation)),
        SiloService::new(Arc::clone(&federation)),
        StudiesService::new(Arc::clone(&federation)),
    );
    folder.write_ready(&Ready {
        address: address.to_string(),
        process: std::process::id(),
    })?;
    tracing::info!(%address, name = %federation.name, "ready");

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut serving = tokio::spawn(server().serve_with_incoming_shutdown(
        services,
        incoming,
        wait_until(stopped),
    ));
    let mut scheduling = tokio::spawn(scheduler::run(
        Arc::clone(&federation),
        receiver,
        options.crash_point,
    ));
    let forgetting = tokio::spawn(forget_uploads(Arc::clone(&federation)));
    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        ended = &mut scheduling => match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(ServeFault::Scheduler(Box::new(fault))),
            Err(fault) => Err(ServeFault::Scheduler(Box::new(fault))),
        },
        ended = &mut serving => match ended {
            Ok(served) => served.map_err(ServeFault::from),
            Err(fault) => Err(ServeFault::Scheduler(Box::new(fault))),
        },
    };
    std::fs::remove_file(folder.ready()).ok();
    let stopping = async {
        inputs.send(Input::Stop).await.ok();
        if !scheduling.is_finished() {
            scheduling.await.ok();
        }
    };
    tokio::time::timeout(STOP_TIME, stopping).await.ok();
    forgetting.abort();
    if outcome.is_ok() {
        let event = Event::new(EventKind::SystemStopped, now(), federation.actor());
        let place = federation.log.append_one(event).await?;
        // Whoever is still connected cosigns the end as well.
        tokio::time::timeout(LAST_COSIGNATURES, federation.log.committed(place))
            .await
            .ok();
    }
    federation.sessions.close_all();
    stop.send_replace(true);
    if !serving.is_finished() {
        tokio::time::timeout(STOP_TIME, serving).await.ok();
    }
    outcome
}

/// Opens everything in the folder and takes up what is there.
async fn open_federation(
    folder: &CoordinatorFolder,
    config: Config,
    inputs: mpsc::Sender<Input>,
) -> Result<Arc<Federation>, ServeFault> {
    let identity = folder.open_identity()?;
    let name = identity.name().clone();
    let store = StoreHandle::new(SqliteStore::open(&folder.state())?);
    let spool = Spool::open(&folder.blobs())?;
    let mut log = Log::open(
        &folder.log(),
        folder.log_signer(&log_origin(name.as_str()))?,
    )?;
    let roster = match RosterFolder::open(&folder.roster())?.current() {
        Some(current) => {
            let published =
                PublishedRoster::new(current.clone()).map_err(PublishFault::SiloName)?;
            log.set_witnesses(published.witnesses().map_err(PublishFault::Witnesses)?)?;
            Some(Arc::new(published))
        }
        None => None,
    };
    let drop_after = Duration::from_secs(config.deadlines.drop_seconds);
    let sessions = Sessions::new(inputs.clone(), drop_after);
    if let Some(roster) = &roster {
        for silo in roster.membership.silos.keys() {
            sessions.expect_within(silo.clone(), RECONNECT_TIME);
        }
    }
    let log = LogKeeper::start(log, sessions.clone());
    let federation = Arc::new(Federation {
        config,
        name,
        signing_key: folder.signing_key()?,
        authority: identity.authority()?,
        store,
        spool: Arc::new(spool),
        log,
        sessions,
        progress: ProgressBoard::default(),
        inputs,
        roster_folder: folder.roster(),
        draft: tokio::sync::Mutex::default(),
        roster: tokio::sync::watch::Sender::new(roster),
        accepted: tokio::sync::watch::Sender::new(()),
        current_plan: std::sync::RwLock::default(),
        replays: ReplayDesk::default(),
        departures: Departures::default(),
    });
    let started = Event::new(EventKind::SystemStarted, now(), federation.actor())
        .with_detail("version", env!("CARGO_PKG_VERSION"));
    federation.log.append_one(started).await?;
    federation.finish_publication().await?;
    Ok(federation)
}

/// Deletes old masked vectors, at the start and every day. The attempt in flight keeps its own.
async fn forget_uploads(federation: Arc<Federation>) {
    let age = Duration::from_secs(u64::from(federation.config.keep.uploads_days) * 86_400);
    let mut days = tokio::time::interval(Duration::from_secs(86_400));
    loop {
        days.tick().await;
        let attempt = match federation.store.with(|store| store.attempt()).await {
            Ok(attempt) => attempt.map(|attempt| attempt.id),
            Err(fault) => {
                tracing::error!(%fault, "old uploads stay: the attempt in flight is not known");
                continue;
            }
        };
        let spool = Arc::clone(&federation.spool);
        let forgotten =
            tokio::task::spawn_blocking(move || spool.forget_uploads(age, attempt)).await;
        if let Ok(Err(fault)) = forgotten {
            tracing::error!(fault = %crate::explain(&fault), "old uploads stay");
        }
    }
}

async fn wait_until(mut stopped: tokio::sync::watch::Receiver<bool>) {
    // A closed channel means that the service is gone, which is a stop as well.
    stopped.wait_for(|stopped| *stopped).await.ok();
}
