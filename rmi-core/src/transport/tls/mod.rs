//! TLS over TCP.

mod credentials;
mod listener;
mod verify;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, TlsStream};

pub(in crate::transport) use credentials::host;
pub use credentials::{Credentials, CredentialsError};
use listener::Accepting;
#[cfg(feature = "nats")]
pub(in crate::transport) use listener::welcome;
pub(in crate::transport) use verify::{Verifier, explain_alert, vouched_identity};

use crate::endpoint::Endpoint;
use crate::transport::lingering::Lingering;
use crate::transport::{Channel, Listener, Stream, Transport, TransportError};

/// What the listening side sends first. With TLS 1.3 the side that dials is done before the other has looked at its
/// certificate; this tells it that it is welcome, or that it is not, before it sends a call.
pub(in crate::transport) const WELCOME: u8 = 1;

/// What is read from the socket at once: a record and the beginning of the next. The TLS library itself asks for 4 KiB.
pub(in crate::transport) const READ_BYTES: usize = 32 * 1024;

/// `tls://host:port`: TLS 1.3 over TCP. Each side proves by a certificate who it is, and nobody can read along.
///
/// A listener takes who shows a certificate that its authority has signed; its endpoint carries the digest of its own key
/// (`?key=`). Who dials such an endpoint accepts the owner of that key and nobody else: the certificate's names, its
/// authority and its end do not matter then, and only names that our own authority vouches for are in the identity. An
/// endpoint without a key is answered by who has a certificate of our authority for the host in the endpoint, or for the
/// name set by [`Credentials::expect_name`].
///
/// No session is resumed and nothing is sent before the handshake is done. Limits:
/// [`LISTENER_HANDSHAKES_MAX`](crate::limits::LISTENER_HANDSHAKES_MAX).
#[derive(Debug, Clone)]
pub struct Tls {
    credentials: Credentials,
}

impl Tls {
    /// A transport that shows and checks these.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials }
    }
}

#[async_trait]
impl Transport for Tls {
    fn scheme(&self) -> &'static str {
        "tls"
    }

    fn cost(&self) -> u8 {
        60
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let proof = self.credentials.dialling(endpoint)?;
        let io = |error| TransportError::io(endpoint, error);
        let tcp = socket(TcpStream::connect(endpoint.address()).await.map_err(io)?).map_err(io)?;
        let address = tcp.get_ref().peer_addr().map_err(io)?;
        let asked = ServerName::try_from(host(endpoint).to_owned());
        let asked = asked.unwrap_or_else(|_| ServerName::IpAddress(address.ip().into()));
        prove(proof, endpoint, asked, tcp).await
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        let io = |error| TransportError::io(endpoint, error);
        let listener = TcpListener::bind(endpoint.address()).await.map_err(io)?;
        let bound = self.credentials.endpoint(endpoint, listener.local_addr().map_err(io)?)?;
        Ok(Box::new(Accepting::new(bound, listener, self.credentials.listening().clone())))
    }
}

fn socket(tcp: TcpStream) -> io::Result<BufReader<TcpStream>> {
    // The session gathers what belongs together; the kernel must not wait for more.
    tcp.set_nodelay(true)?;
    Ok(BufReader::with_capacity(READ_BYTES, tcp))
}

/// What we show to whoever answers, and what we want to see.
type Proof = (ClientConfig, Arc<Verifier>);

/// Proves on both sides of `stream`, which leads to whoever listens at `endpoint`, who is there. The name asked for is for
/// those who listen under many; nothing is proven by it.
pub(in crate::transport) async fn prove(
    (config, verifier): Proof,
    endpoint: &Endpoint,
    asked: ServerName<'static>,
    stream: impl Stream + 'static,
) -> Result<Channel, TransportError> {
    let welcomed = async {
        let mut stream = TlsConnector::from(Arc::new(config)).connect(asked, stream).await?;
        match stream.read_u8().await? {
            WELCOME => Ok(stream),
            other => Err(io::Error::other(format!("a welcome of {other} is not known"))),
        }
    };
    let stream = welcomed.await.map_err(|error| refused(endpoint, &verifier, error))?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let identity = verifier.identity(chain).map_err(|error| TransportError::untrusted(endpoint, error))?;
    Ok(channel(TlsStream::from(stream), identity, endpoint.to_string()))
}

fn channel(stream: impl Stream + 'static, identity: crate::Identity, address: String) -> Channel {
    Channel::new(Lingering::new(stream), identity, address)
}

/// Why a dial came to nothing: we do not believe the other side, it does not believe us, or it does not speak TLS.
fn refused(endpoint: &Endpoint, verifier: &Verifier, error: io::Error) -> TransportError {
    if let Some(reason) = verifier.refusal() {
        return TransportError::untrusted(endpoint, reason);
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => {
            TransportError::Refused { endpoint: endpoint.clone(), reason: explain_alert(*alert) }
        }
        Some(rustls::Error::InvalidMessage(_)) if endpoint.scheme() == "tls" => {
            TransportError::NotTls(endpoint.clone())
        }
        Some(other) => TransportError::untrusted(endpoint, other),
        None => TransportError::io(endpoint, error),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_welcome_on_the_page_is_what_it_says() {
        assert_eq!(crate::tests::example("welcome"), &[super::WELCOME][..]);
    }
}
