// SPDX-License-Identifier: Apache-2.0
//! A coordinator in this process and participants that talk to it over loopback.

use clap::Parser;
use consilium_audit::{Event, EventKind, Log, LogFault};
use consilium_certs::{
    ChannelBinding, EnrolmentRequest, EnrolmentResponse, IdentityFolder, Invitation,
    InvitationTerms, Name, Role, Roster, RosterParts, SignedRoster, UnixSeconds, tls,
};
use consilium_coordinator::folder::{CoordinatorFolder, log_origin, system_random};
use consilium_coordinator::store::sqlite::SqliteStore;
use consilium_coordinator::store::{Store, StoredRoster};
use consilium_coordinator::study::Study;
use consilium_coordinator::{CoordinatorCommand, RunOptions, ServeFault, execute, run};
use consilium_crypto::label::Label;
use consilium_crypto::signing::SigningKey;
use consilium_wire::client::{self, Connection};
use consilium_wire::v1::{self, StudyState};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// A study that the learning crate accepts; its silos never get to train here.
pub(crate) const STUDY: &str = include_str!("../../../examples/studies/statistics.toml");

const NAME: &str = "hub.example";
const RESEARCHER: &str = "a.ruiz@uni.example";

/// A coordinator in this process.
pub(crate) struct Hub {
    folder: TempDir,
    address: String,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), ServeFault>>>,
}

impl Hub {
    /// Makes a folder that listens on `address`.
    pub(crate) fn prepare(address: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_str().unwrap();
        command(&[
            "init",
            "--dir",
            dir,
            "--name",
            NAME,
            "--listen",
            address,
            "--host",
            "127.0.0.1",
        ]);
        folder
    }

    pub(crate) async fn start() -> Self {
        let folder = Self::prepare("127.0.0.1:0");
        let mut hub = Self {
            folder,
            address: String::new(),
            stop: None,
            running: None,
        };
        hub.run().await;
        hub
    }

    /// Starts the service of the folder.
    pub(crate) async fn run(&mut self) {
        let options = RunOptions {
            folder: self.folder().to_owned(),
            crash_point: None,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            stopped.await.ok();
        };
        self.running = Some(tokio::spawn(run(options, shutdown)));
        self.stop = Some(stop);
        let folder = CoordinatorFolder::new(self.folder());
        self.address = loop {
            if let Some(ready) = folder.read_ready() {
                break ready.address;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
    }

    /// Stops the service in good order; it starts on the same port again.
    pub(crate) async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.running.take().unwrap().await.unwrap().unwrap();
        let file = self.folder().join("coordinator.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("127.0.0.1:0", &self.address)).unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&CoordinatorFolder::new(self.folder()).state()).unwrap()
    }

    /// The record of a study.
    pub(crate) fn study(&self, id: &str) -> Study {
        self.store().study(id).unwrap().unwrap()
    }

    pub(crate) fn save(&self, study: &Study) {
        self.store().save_study(study).unwrap();
    }

    pub(crate) fn rosters(&self) -> Vec<StoredRoster> {
        self.store().rosters().unwrap()
    }

    pub(crate) fn save_roster(&self, roster: &StoredRoster) {
        self.store().save_roster(roster).unwrap();
    }

    /// The events of a kind in the log of a service that does not run.
    pub(crate) async fn logged(&self, kind: EventKind) -> Vec<Event> {
        let folder = CoordinatorFolder::new(self.folder());
        let log = loop {
            let signer = folder.log_signer(&log_origin(NAME)).unwrap();
            match Log::open(&folder.log(), signer) {
                Ok(log) => break log,
                // The last tasks of the service let go of it.
                Err(LogFault::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(fault) => panic!("{fault}"),
            }
        };
        (0..log.size())
            .map(|place| log.entry(place).unwrap().event)
            .filter(|event| event.kind == kind)
            .collect()
    }

    /// A draft in which no researcher is left.
    pub(crate) fn propose_without_researchers(&self) {
        let current = self.rosters().pop().unwrap();
        let current: SignedRoster = serde_json::from_str(&current.text).unwrap();
        let current = Roster::parse(&current.roster).unwrap();
        let parts = RosterParts {
            researchers: Vec::new(),
            ..current.to_parts()
        };
        let next = current.succeed(parts).unwrap();
        self.save_roster(&StoredRoster {
            version: next.version(),
            published: false,
            text: serde_json::to_string(&SignedRoster::unsigned(&next)).unwrap(),
        });
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// Makes an invitation, as `coordinator invite` does.
    pub(crate) fn invite(&self, name: &str, role: Role) -> String {
        let folder = CoordinatorFolder::new(self.folder());
        let identity = folder.open_identity().unwrap();
        let terms = InvitationTerms {
            address: self.address(),
            server_name: "127.0.0.1".to_owned(),
            coordinator: identity.name().clone(),
            coordinator_key: identity.identity_key().verifying_key(),
            ca_spki: identity.authority().unwrap().spki_digest(),
            role,
            name: Name::parse(name).unwrap(),
        };
        let valid_for = Duration::from_secs(3600);
        let (invitation, record) =
            Invitation::issue(terms, now(), valid_for, &mut system_random().unwrap()).unwrap();
        let mut store = SqliteStore::open(&folder.state()).unwrap();
        store
            .add_invitation(&record.token_hash, &serde_json::to_string(&record).unwrap())
            .unwrap();
        invitation.to_line().to_string()
    }

    /// Everybody joins; nobody has signed.
    pub(crate) async fn gather(&self, silos: &[&str]) -> (Vec<Participant>, Participant) {
        let mut members = Vec::new();
        for name in silos {
            let line = self.invite(name, Role::Silo);
            members.push(
                Participant::join(self, name, Role::Silo, &line)
                    .await
                    .unwrap(),
            );
        }
        let line = self.invite(RESEARCHER, Role::Researcher);
        let researcher = Participant::join(self, RESEARCHER, Role::Researcher, &line)
            .await
            .unwrap();
        (members, researcher)
    }

    pub(crate) fn propose(&self) {
        command(&[
            "roster",
            "propose",
            "--dir",
            self.folder().to_str().unwrap(),
        ]);
    }

    /// Everybody joins and the founding roster is in force.
    pub(crate) async fn found(&self, silos: &[&str]) -> (Vec<Participant>, Participant) {
        let (members, researcher) = self.gather(silos).await;
        self.propose();
        for member in &members {
            member.sign_roster().await.unwrap();
        }
        (members, researcher)
    }
}

/// A silo or a researcher.
pub(crate) struct Participant {
    _folder: TempDir,
    identity: IdentityFolder,
    address: String,
}

impl Participant {
    pub(crate) fn new(name: &str, role: Role) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = Name::parse(name).unwrap();
        let path = folder.path().join("identity");
        let identity =
            IdentityFolder::create(&path, role, &name, &mut system_random().unwrap()).unwrap();
        Self {
            _folder: folder,
            identity,
            address: String::new(),
        }
    }

    pub(crate) async fn join(
        hub: &Hub,
        name: &str,
        role: Role,
        line: &str,
    ) -> Result<Self, Status> {
        let participant = Self {
            address: hub.address(),
            ..Self::new(name, role)
        };
        participant.join_again(line).await?;
        Ok(participant)
    }

    /// What a kill leaves when the joining is stored and nothing else was done.
    pub(crate) fn join_half(hub: &Hub, name: &str, line: &str) -> Self {
        let joined = Self {
            address: hub.address(),
            ..Self::new(name, Role::Silo)
        };
        let invitation = Invitation::parse(line).unwrap();
        let key = joined.identity.tls_key().unwrap();
        let keys = joined.identity.enrolment_keys(&key);
        let request = EnrolmentRequest::make(&invitation, &keys, now()).unwrap();
        let participant = consilium_coordinator::store::Participant {
            name: name.to_owned(),
            role: Role::Silo.to_string(),
            identity: request.identity,
            witness: request.witness,
            joined_milliseconds: 1_700_000_000_000,
        };
        let mut store = hub.store();
        store.enrol(&request.token_hash(), &participant).unwrap();
        joined
    }

    pub(crate) async fn join_again(&self, line: &str) -> Result<(), Status> {
        let invitation = Invitation::parse(line).unwrap();
        let terms = invitation.terms();
        let key = self.identity.tls_key().unwrap();
        let keys = self.identity.enrolment_keys(&key);
        let request = EnrolmentRequest::make(&invitation, &keys, now()).unwrap();
        let config = tls::enrolment_client_config(terms.ca_spki, &terms.coordinator).unwrap();
        let connection = client::connect(&terms.address, &terms.server_name, config)
            .await
            .unwrap();
        let request = v1::JoinRequest {
            role: request.role.to_string(),
            name: request.name.to_string(),
            token: request.token.expose().to_vec(),
            certificate_request: request.certificate_request.clone(),
            identity: request.identity.to_bytes().to_vec(),
            witness: request
                .witness
                .map(|key| key.to_bytes().to_vec())
                .unwrap_or_default(),
            identity_signature: request.identity_signature.to_bytes().to_vec(),
            witness_signature: request
                .witness_signature
                .map(|signature| signature.to_bytes().to_vec())
                .unwrap_or_default(),
        };
        let response = client::enrolment(&connection)
            .join(request)
            .await?
            .into_inner();
        let response = EnrolmentResponse {
            certificate_chain: response.certificate_chain,
            authorities: response.authorities,
        };
        let trust = response.check(&invitation, &key, now()).unwrap();
        self.identity
            .install_certificate(&response.certificate_chain, &trust)
            .unwrap();
        Ok(())
    }

    pub(crate) fn identity_key(&self) -> &SigningKey {
        self.identity.identity_key()
    }

    pub(crate) async fn connect(&self) -> Connection {
        let name = Name::parse(NAME).unwrap();
        let config = tls::client_config(&self.identity.tls_identity().unwrap(), &name).unwrap();
        client::connect(&self.address, "127.0.0.1", config)
            .await
            .unwrap()
    }

    pub(crate) async fn sign_roster(&self) -> Result<v1::SignRosterResponse, Status> {
        let connection = self.connect().await;
        let mut enrolment = client::enrolment(&connection);
        let draft = enrolment
            .roster(v1::RosterRequest {})
            .await?
            .into_inner()
            .draft
            .unwrap();
        let roster = Roster::parse(&draft.roster).unwrap();
        let request = v1::SignRosterRequest {
            name: self.identity.name().to_string(),
            roster_root: roster.root().as_bytes().to_vec(),
            signature: roster.sign(self.identity_key()).to_bytes().to_vec(),
        };
        Ok(enrolment.sign_roster(request).await?.into_inner())
    }

    /// Opens a session whose hello `change` may spoil.
    pub(crate) async fn session(
        &self,
        change: impl FnOnce(v1::Hello) -> v1::Hello,
    ) -> (mpsc::Sender<v1::SiloFrame>, Streaming<v1::CoordinatorFrame>) {
        let connection = self.connect().await;
        let published = client::enrolment(&connection)
            .roster(v1::RosterRequest {})
            .await
            .unwrap()
            .into_inner();
        let roster = Roster::parse(&published.published.last().unwrap().roster).unwrap();
        let root = roster.root().as_bytes().to_vec();
        self.open(&connection, root, change).await
    }

    /// Opens a session under some roster.
    pub(crate) async fn session_under(
        &self,
        roster_root: Vec<u8>,
    ) -> (mpsc::Sender<v1::SiloFrame>, Streaming<v1::CoordinatorFrame>) {
        let connection = self.connect().await;
        self.open(&connection, roster_root, |hello| hello).await
    }

    async fn open(
        &self,
        connection: &Connection,
        roster_root: Vec<u8>,
        change: impl FnOnce(v1::Hello) -> v1::Hello,
    ) -> (mpsc::Sender<v1::SiloFrame>, Streaming<v1::CoordinatorFrame>) {
        let mut hello = v1::Hello {
            name: self.identity.name().to_string(),
            roster_root,
            instance: vec![1; 32],
            start_nonce: vec![2; 32],
            log_size: 0,
            channel_binding_signature: Vec::new(),
        };
        let statement = hello.statement();
        let parts: Vec<&[u8]> = statement.iter().map(Vec::as_slice).collect();
        let binding = ChannelBinding::from_bytes(connection.channel_binding);
        let signature = binding.sign(self.identity_key(), &parts);
        hello.channel_binding_signature = signature.to_bytes().to_vec();
        let hello = change(hello);
        let (frames, outgoing) = mpsc::channel(8);
        let frame = v1::silo_frame::Frame::Hello(hello);
        frames
            .send(v1::SiloFrame { frame: Some(frame) })
            .await
            .unwrap();
        let outgoing = ReceiverStream::new(outgoing);
        let incoming = client::federation(connection)
            .session(outgoing)
            .await
            .unwrap();
        (frames, incoming.into_inner())
    }

    pub(crate) async fn submit(&self, study: &str) -> Result<v1::SubmitResponse, Status> {
        let signature = self
            .identity_key()
            .sign(Label::StudySignature, &[study.as_bytes()]);
        let request = v1::SubmitRequest {
            study: study.into(),
            signature: signature.to_bytes().to_vec(),
        };
        let connection = self.connect().await;
        Ok(client::studies(&connection)
            .submit(request)
            .await?
            .into_inner())
    }

    pub(crate) async fn list(&self) -> Vec<v1::StudySummary> {
        let connection = self.connect().await;
        let response = client::studies(&connection)
            .list(v1::ListRequest {})
            .await
            .unwrap();
        response.into_inner().studies
    }

    pub(crate) async fn cancel(&self, study_id: &str) -> Result<(), Status> {
        let connection = self.connect().await;
        let request = v1::CancelRequest {
            study_id: study_id.to_owned(),
            reason: "enough".to_owned(),
        };
        client::studies(&connection)
            .cancel(request)
            .await
            .map(|_| ())
    }

    pub(crate) async fn result(&self, study_id: &str) -> Result<v1::ResultResponse, Status> {
        let connection = self.connect().await;
        let request = v1::ResultRequest {
            study_id: study_id.to_owned(),
        };
        Ok(client::studies(&connection)
            .result(request)
            .await?
            .into_inner())
    }

    pub(crate) async fn watch(&self, study_id: &str) -> Streaming<v1::StudyProgress> {
        let connection = self.connect().await;
        let request = v1::WatchRequest {
            study_id: study_id.to_owned(),
        };
        client::studies(&connection)
            .watch(request)
            .await
            .unwrap()
            .into_inner()
    }

    /// Watches a study until it looks as wanted.
    pub(crate) async fn wait_until(
        &self,
        study_id: &str,
        wanted: impl Fn(&v1::StudyProgress) -> bool,
    ) -> v1::StudyProgress {
        let mut watch = self.watch(study_id).await;
        while let Some(progress) = watch.message().await.unwrap() {
            if wanted(&progress) {
                return progress;
            }
        }
        panic!("the study ended and never was what it should be");
    }

    /// Watches a study until it is in this state.
    pub(crate) async fn wait_for(&self, study_id: &str, state: StudyState) -> v1::StudyProgress {
        self.wait_until(study_id, |progress| progress.state() == state)
            .await
    }
}

/// Carries out a command of the operator.
fn command(arguments: &[&str]) {
    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: CoordinatorCommand,
    }
    let line = ["coordinator"].iter().chain(arguments).chain(&["--json"]);
    assert_eq!(execute(Line::parse_from(line).command), ExitCode::SUCCESS);
}

fn now() -> UnixSeconds {
    UnixSeconds::from_system_time(SystemTime::now())
}
