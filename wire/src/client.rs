// SPDX-License-Identifier: Apache-2.0
//! The connecting side.

use crate::limits;
use crate::v1::enrolment_client::EnrolmentClient;
use crate::v1::federation_client::FederationClient;
use crate::v1::studies_client::StudiesClient;
use crate::{APPLICATION_PROTOCOL, ChannelBinding, EXPORTER_LABEL};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

/// An open connection to a coordinator.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The channel; when its connection ends, calls fail and the caller connects again.
    pub channel: Channel,
    /// What this connection exports; the first frame of a session signs it.
    pub channel_binding: ChannelBinding,
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFault {
    /// The server name is no host name.
    #[error("`{0}` is not a host name; the coordinator's certificate must carry one")]
    ServerName(String),
    /// Nobody listens there, or the name does not resolve.
    #[error(
        "the coordinator at `{address}` is not reachable; check the address, that it runs, and the firewall"
    )]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("the coordinator at `{0}` did not answer in time; check the address and the firewall")]
    TimedOut(String),
    /// One side did not accept the other's certificate.
    #[error("no mutual TLS with the coordinator at `{address}`")]
    Tls {
        /// The address that was tried.
        address: String,
        /// What TLS said.
        #[source]
        source: io::Error,
    },
    /// The connection exports no value.
    #[error("the connection to `{0}` gives no channel binding")]
    ChannelBinding(String),
    /// The peer does not speak HTTP/2.
    #[error("the peer at `{address}` does not speak gRPC")]
    Protocol {
        /// The address that was tried.
        address: String,
        /// What the transport said.
        #[source]
        source: tonic::transport::Error,
    },
}

/// Connects to `address` (`host:port`), whose certificate must be valid for `server_name`.
///
/// # Errors
/// Every way in which this fails, with the address in the message.
pub async fn connect(
    address: &str,
    server_name: &str,
    config: Arc<ClientConfig>,
) -> Result<Connection, ConnectFault> {
    match tokio::time::timeout(
        limits::CONNECT_TIME,
        connect_untimed(address, server_name, config),
    )
    .await
    {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectFault::TimedOut(address.to_owned())),
    }
}

/// A client of the enrolment service with this contract's limits.
#[must_use]
pub fn enrolment(connection: &Connection) -> EnrolmentClient<Channel> {
    EnrolmentClient::new(connection.channel.clone())
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES)
}

/// A client of the federation service with this contract's limits.
#[must_use]
pub fn federation(connection: &Connection) -> FederationClient<Channel> {
    FederationClient::new(connection.channel.clone())
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES)
}

/// A client of the studies service. Results may be large: a model is read in one message.
#[must_use]
pub fn studies(connection: &Connection) -> StudiesClient<Channel> {
    StudiesClient::new(connection.channel.clone())
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(limits::MESSAGE_BYTES)
}

async fn connect_untimed(
    address: &str,
    server_name: &str,
    config: Arc<ClientConfig>,
) -> Result<Connection, ConnectFault> {
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|_| ConnectFault::ServerName(server_name.to_owned()))?;
    let stream = TcpStream::connect(address)
        .await
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
        .map_err(|source| ConnectFault::Unreachable {
            address: address.to_owned(),
            source,
        })?;
    let stream = TlsConnector::from(with_application_protocol(config))
        .connect(name, stream)
        .await
        .map_err(|source| ConnectFault::Tls {
            address: address.to_owned(),
            source,
        })?;
    let mut channel_binding = [0; 32];
    stream
        .get_ref()
        .1
        .export_keying_material(&mut channel_binding, EXPORTER_LABEL, Some(&[]))
        .map_err(|_| ConnectFault::ChannelBinding(address.to_owned()))?;

    // The channel gets this one connection and never opens another: a second one would have another binding.
    let once = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            stream
                .map(TokioIo::new)
                .ok_or_else(|| io::Error::other("the connection has ended"))
        }
    });
    let channel = endpoint()
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectFault::Protocol {
            address: address.to_owned(),
            source,
        })?;
    Ok(Connection {
        channel,
        channel_binding,
    })
}

fn with_application_protocol(config: Arc<ClientConfig>) -> Arc<ClientConfig> {
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

fn endpoint() -> Endpoint {
    // The name is only HTTP's authority; TLS has already checked the real one.
    Endpoint::from_static("http://coordinator.consilium")
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_frame_size(limits::FRAME_BYTES)
        .http2_keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIME)
        .keep_alive_while_idle(true)
}
