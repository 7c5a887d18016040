// SPDX-License-Identifier: Apache-2.0
//! The accepting side: TLS by tokio-rustls, one port for the three services.

use crate::v1::enrolment_server::{Enrolment, EnrolmentServer};
use crate::v1::federation_server::{Federation, FederationServer};
use crate::v1::studies_server::{Studies, StudiesServer};
use crate::{APPLICATION_PROTOCOL, ChannelBinding, EXPORTER_LABEL, limits};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::Connected;

/// What is known of the peer of a connection; a request carries it among its extensions.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// The verified certificate chain, leaf first; empty when the peer presented none.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// What this connection exports.
    pub channel_binding: ChannelBinding,
    /// Where the peer comes from.
    pub address: SocketAddr,
}

/// Accepted TLS connections. Handshakes run beside each other, bounded in number and in time.
#[derive(Debug)]
pub struct TlsIncoming {
    accepted: mpsc::Receiver<TlsConnection>,
    task: tokio::task::JoinHandle<()>,
}

/// One accepted connection.
#[derive(Debug)]
pub struct TlsConnection {
    stream: TlsStream<TcpStream>,
    peer: PeerInfo,
}

/// The three services behind one port.
#[derive(Debug)]
pub struct Services<E, F, S> {
    enrolment: EnrolmentServer<E>,
    federation: FederationServer<F>,
    studies: StudiesServer<S>,
}

/// A server with this contract's windows, frame size and keep-alive probes.
#[must_use]
pub fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_frame_size(limits::FRAME_BYTES)
        .http2_keepalive_interval(Some(limits::KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEP_ALIVE_TIME))
}

impl TlsIncoming {
    /// Accepts on `listener` until dropped.
    #[must_use]
    pub fn new(listener: TcpListener, config: Arc<ServerConfig>) -> Self {
        let (sender, accepted) = mpsc::channel(limits::HANDSHAKES_AT_ONCE);
        let task = tokio::spawn(accept(listener, with_application_protocol(config), sender));
        Self { accepted, task }
    }
}

impl Drop for TlsIncoming {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stream for TlsIncoming {
    type Item = Result<TlsConnection, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted
            .poll_recv(context)
            .map(|connection| connection.map(Ok))
    }
}

impl<E: Enrolment, F: Federation, S: Studies> Services<E, F, S> {
    /// Puts the three services behind one port, with this contract's limits.
    pub fn new(enrolment: E, federation: F, studies: S) -> Self {
        Self {
            enrolment: EnrolmentServer::new(enrolment)
                .max_decoding_message_size(limits::MESSAGE_BYTES),
            federation: FederationServer::new(federation)
                .max_decoding_message_size(limits::MESSAGE_BYTES),
            studies: StudiesServer::new(studies).max_decoding_message_size(limits::MESSAGE_BYTES),
        }
    }
}

impl<E, F, S> Clone for Services<E, F, S> {
    fn clone(&self) -> Self {
        Self {
            enrolment: self.enrolment.clone(),
            federation: self.federation.clone(),
            studies: self.studies.clone(),
        }
    }
}

impl<E: Enrolment, F: Federation, S: Studies> tower::Service<http::Request<Body>>
    for Services<E, F, S>
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1);
        match service {
            Some("consilium.v1.Enrolment") => self.enrolment.call(request),
            Some("consilium.v1.Federation") => self.federation.call(request),
            Some("consilium.v1.Studies") => self.studies.call(request),
            _ => Box::pin(async {
                Ok(tonic::Status::unimplemented("no such service in consilium.v1").into_http())
            }),
        }
    }
}

impl Connected for TlsConnection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

async fn accept(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    sender: mpsc::Sender<TlsConnection>,
) {
    let acceptor = TlsAcceptor::from(config);
    let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES_AT_ONCE));
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(fault) => {
                // Out of file descriptors, usually: wait for some to come back instead of spinning.
                tracing::warn!(%fault, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(
                limits::HANDSHAKE_TIME,
                handshake(&acceptor, stream, address),
            )
            .await
            {
                Ok(Ok(connection)) => {
                    drop(permit);
                    sender.send(connection).await.ok();
                }
                Ok(Err(fault)) => tracing::info!(%address, %fault, "a TLS handshake failed"),
                Err(_) => tracing::info!(%address, "a TLS handshake took too long"),
            }
        });
    }
}

async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
) -> io::Result<TlsConnection> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let session = stream.get_ref().1;
    let mut channel_binding = [0; 32];
    session
        .export_keying_material(&mut channel_binding, EXPORTER_LABEL, Some(&[]))
        .map_err(io::Error::other)?;
    let certificates = session
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    let peer = PeerInfo {
        certificates,
        channel_binding,
        address,
    };
    Ok(TlsConnection { stream, peer })
}

fn with_application_protocol(config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    if config
        .alpn_protocols
        .iter()
        .any(|protocol| protocol == APPLICATION_PROTOCOL)
    {
        return config;
    }
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
    Arc::new(config)
}
