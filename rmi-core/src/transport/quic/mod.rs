//! QUIC over UDP.

mod asides;
mod config;
mod datagrams;
mod listener;
mod stream;

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use quinn::rustls::AlertDescription;
use quinn::rustls::pki_types::CertificateDer;
use quinn::{ClientConfig, Connection, ConnectionError};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::peer::Identity;
use crate::transport::lingering::Lingering;
use crate::transport::tls::{Credentials, Verifier, WELCOME, explain_alert, host};
use crate::transport::{Channel, Listener, Transport, TransportError};
use asides::QuicAsides;
use datagrams::QuicDatagrams;
use listener::Accepting;
use stream::QuicStream;

/// How often a place is asked whether anybody listens there.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// `quic://host:port`: QUIC over UDP. Each side proves who it is, as with [`Tls`](crate::transport::Tls), and the channel
/// survives a change of the dialling side's address.
///
/// A channel is one bidirectional stream of a connection of its own; dropping it gives what was written
/// [`LINGER`](crate::limits::LINGER) to arrive. A peer that vanishes is noticed after
/// [`QUIC_IDLE`](crate::limits::QUIC_IDLE), by the session earlier. The port of a dropped listener is free when the last
/// channel that came through it is gone. Limits: [`QUIC_WINDOW`](crate::limits::QUIC_WINDOW),
/// [`LISTENER_HANDSHAKES_MAX`](crate::limits::LISTENER_HANDSHAKES_MAX).
#[derive(Debug, Clone)]
pub struct Quic {
    credentials: Credentials,
}

impl Quic {
    /// A transport that shows and checks these.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials }
    }
}

#[async_trait]
impl Transport for Quic {
    fn scheme(&self) -> &'static str {
        "quic"
    }

    fn cost(&self) -> u8 {
        50
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let (config, verifier) = self.credentials.dialling(endpoint)?;
        let config = config::dialling(config).map_err(|error| TransportError::untrusted(endpoint, error))?;
        let io = |error| TransportError::io(endpoint, error);
        let mut last = TransportError::address(endpoint, "the host has no address");
        for address in lookup_host(endpoint.address()).await.map_err(io)? {
            match connect(config.clone(), address, host(endpoint)).await {
                Ok((connection, stream)) => {
                    let identity = verifier.identity(&chain(&connection));
                    let identity = identity.map_err(|error| TransportError::untrusted(endpoint, error))?;
                    return Ok(channel(stream, identity, endpoint.to_string()));
                }
                Err(error) => last = refused(endpoint, &verifier, error),
            }
        }
        Err(last)
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        let io = |error| TransportError::io(endpoint, error);
        let config = config::listening(self.credentials.listening().clone());
        let config = config.map_err(|error| TransportError::untrusted(endpoint, error))?;
        let address = lookup_host(endpoint.address()).await.map_err(io)?.next();
        let address = address.ok_or_else(|| TransportError::address(endpoint, "the host has no address"))?;
        let quic = quinn::Endpoint::server(config, address).map_err(io)?;
        let bound = self.credentials.endpoint(endpoint, quic.local_addr().map_err(io)?)?;
        Ok(Box::new(Accepting::new(bound, quic)))
    }
}

/// A connection from a socket of its own, which goes with it, and its stream once the other side has let us in.
async fn connect(config: ClientConfig, address: SocketAddr, host: &str) -> io::Result<(Connection, QuicStream)> {
    // Bound to no address of this machine: when that changes, the kernel takes the new one and the connection goes on.
    let quic = quinn::Endpoint::client(SocketAddr::new(any(address), 0))?;
    let connecting = quic.connect_with(config, address, host).map_err(io::Error::other)?;
    let connected = async {
        let connection = connecting.await?;
        match greet(&connection).await {
            Ok(stream) => Ok((connection, stream)),
            // Why the connection is over says more than that its stream is.
            Err(error) => Err(connection.close_reason().map_or(error, Into::into)),
        }
    };
    tokio::select! {
        connected = connected => connected,
        error = nobody(address) => Err(error),
    }
}

/// Opens the stream of the session. The other side sees it when something is written to it, and answers when it has seen
/// our certificate.
async fn greet(connection: &Connection) -> io::Result<QuicStream> {
    let (mut send, mut recv) = connection.open_bi().await?;
    send.write_all(&[WELCOME]).await?;
    stream::expect_welcome(&mut recv).await?;
    Ok(QuicStream::new(connection.clone(), send, recv))
}

/// Ends when there is no way to the address, or the other machine says that nobody listens there. QUIC itself does not listen
/// to that, and would go on asking.
async fn nobody(address: SocketAddr) -> io::Error {
    let Ok(socket) = UdpSocket::bind(SocketAddr::new(any(address), 0)).await else { return pending().await };
    if let Err(error) = socket.connect(address).await {
        return error;
    }
    match probe(&socket).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => error,
        _ => pending().await,
    }
}

/// Sends what every listener ignores until something comes back.
async fn probe(socket: &UdpSocket) -> io::Result<()> {
    loop {
        socket.send(&[0]).await?;
        if let Ok(answered) = timeout(PROBE_EVERY, socket.recv(&mut [0])).await {
            return answered.map(|_| ());
        }
    }
}

fn any(like: SocketAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// The certificates that the other side has shown.
fn chain(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let shown = connection.peer_identity().and_then(|shown| shown.downcast().ok());
    shown.map(|shown: Box<Vec<CertificateDer<'static>>>| *shown).unwrap_or_default()
}

fn channel(stream: QuicStream, identity: Identity, address: String) -> Channel {
    let connection = stream.connection();
    let (datagrams, asides) = (QuicDatagrams::new(connection.clone()), QuicAsides::new(connection.clone()));
    Channel::new(Lingering::new(stream), identity, address).with_datagrams(datagrams).with_asides(asides)
}

/// Why a dial came to nothing.
fn refused(endpoint: &Endpoint, verifier: &Verifier, error: io::Error) -> TransportError {
    if let Some(reason) = verifier.refusal() {
        return TransportError::untrusted(endpoint, reason);
    }
    let said = match error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectionError>()) {
        Some(ConnectionError::ConnectionClosed(said)) => alert(u64::from(said.error_code)),
        _ => None,
    };
    match said {
        Some(alert) => TransportError::Refused { endpoint: endpoint.clone(), reason: explain_alert(alert) },
        None => TransportError::io(endpoint, error),
    }
}

/// The alert of TLS in an error code of QUIC (RFC 9001 §4.8).
fn alert(code: u64) -> Option<AlertDescription> {
    code.checked_sub(0x100).and_then(|alert| u8::try_from(alert).ok()).map(AlertDescription::from)
}
