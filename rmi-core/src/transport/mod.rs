//! Carriers of bytes: how channels are made to and from endpoints. Nothing here looks inside a frame.
//!
//! # The contract
//!
//! Every transport keeps these rules; the conformance suite has a test for each, with the rule's number in its name.
//!
//! - **C1** What one side writes the other reads, in order, unchanged, nothing lost and nothing added; with the next flush at
//!   the latest.
//! - **C2** Both sides can write at once; neither direction waits for the other.
//! - **C3** Dialling a place where nobody listens fails with an error, soon.
//! - **C4** What was written before a side shuts its writing down or drops the channel arrives; then the other side reads
//!   the end.
//! - **C5** After one side has shut its writing down it can still read.
//! - **C6** A reader that does not read makes the writer wait: nothing grows without bound.
//! - **C7** A listener's `endpoint()` can be dialled: a port that was left open is filled in.
//! - **C8** Dropping the future of `accept` loses no channel.
//! - **C9** After a listener is dropped its endpoint can be listened on again.
//! - **C10** Channels are independent: one that ends or stops does not touch the others.
//! - **C11** `identity` holds what is proven about the peer, never what the peer says.
//! - **C12** Two listeners cannot have one endpoint, except where a group is wanted that takes turns (`nats`).

mod ends;
pub(crate) mod exec;
#[cfg(target_os = "linux")]
mod fifo;
#[cfg(feature = "tls")]
mod handshakes;
#[cfg(feature = "tls")]
mod lingering;
mod memory;
#[cfg(target_os = "linux")]
mod mq;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "quic")]
mod quic;
#[cfg(target_os = "linux")]
mod shm;
mod socket;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod unix;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::endpoint::Endpoint;
use crate::peer::Identity;

pub use exec::{Program, pipes};
#[cfg(target_os = "linux")]
pub use fifo::Fifo;
pub use memory::Memory;
#[cfg(target_os = "linux")]
pub use mq::Mq;
#[cfg(feature = "nats")]
pub use nats::{BrokerOptions, Nats};
#[cfg(feature = "quic")]
pub use quic::Quic;
#[cfg(target_os = "linux")]
pub use shm::Shm;
pub use tcp::Tcp;
#[cfg(feature = "tls")]
pub use tls::{Credentials, CredentialsError, Tls};
pub use unix::Unix;

/// A two-way stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One ordered, reliable, two-way carrier of bytes, with what is proven about the peer.
#[non_exhaustive]
pub struct Channel {
    /// The bytes.
    pub stream: Box<dyn Stream>,
    /// What the transport has proven about the peer.
    pub identity: Identity,
    /// Where the channel goes to or came from, for people.
    pub address: String,
    /// Messages beside the bytes, where the network has them.
    pub datagrams: Option<Box<dyn Datagrams>>,
    /// One-way streams beside the bytes, where the network has them.
    pub asides: Option<Box<dyn Asides>>,
    /// Whether at most one answer is awaited, as whoever uses the channel says; true from the start. Only then a transport
    /// should wait awake for it: with several under way there is other work to do.
    pub one_awaited: Arc<AtomicBool>,
}

/// Messages beside the bytes of a channel, for calls that may be lost: each comes whole or not at all, in any order.
///
/// Nobody waits for them: what there is no room for is lost, on either side.
pub trait Datagrams: Send {
    /// The longest message that can be sent now, in bytes; 0 when the peer takes none.
    fn bytes_max(&self) -> usize;

    /// Sends a message, or loses it.
    fn send(&mut self, message: Bytes);

    /// The next message that came; `None` when there will be no more. After `Pending` the task is woken when there is one.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;
}

impl Channel {
    /// A channel over `stream`.
    pub fn new(stream: impl Stream + 'static, identity: Identity, address: impl Into<String>) -> Self {
        let one_awaited = Arc::new(AtomicBool::new(true));
        Self { stream: Box::new(stream), identity, address: address.into(), datagrams: None, asides: None, one_awaited }
    }

    /// The same channel, with messages beside its bytes.
    #[must_use]
    pub fn with_datagrams(self, datagrams: impl Datagrams + 'static) -> Self {
        Self { datagrams: Some(Box::new(datagrams)), ..self }
    }

    /// The same channel, with one-way streams beside its bytes.
    #[must_use]
    pub fn with_asides(self, asides: impl Asides + 'static) -> Self {
        Self { asides: Some(Box::new(asides)), ..self }
    }
}

/// The writing end of a stream beside the bytes. Shutting it down ends when the other side has everything, or is gone;
/// dropping it before that takes the stream back.
pub type AsideWriter = Box<dyn AsyncWrite + Send + Unpin>;

/// The reading end of a stream beside the bytes. One that was taken back ends with an error.
pub type AsideReader = Box<dyn AsyncRead + Send + Unpin>;

/// One-way streams beside the bytes of a channel: what is lost of one keeps neither the others nor the bytes waiting. Large
/// bodies travel on them.
///
/// A transport lets a peer open [`ASIDES_MAX`](crate::limits::ASIDES_MAX) at a time, and bounds what may have come on one and
/// not been read so that the bytes never wait for that.
pub trait Asides: Send {
    /// Opens a stream to the peer. `Pending` while the peer lets no more be open; the task is woken then.
    ///
    /// # Errors
    /// The channel is over.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<AsideWriter>>;

    /// The next stream that the peer opened.
    ///
    /// # Errors
    /// The channel is over.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<AsideReader>>;
}

/// Makes channels to and from the endpoints of one scheme.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The scheme, in lower case.
    fn scheme(&self) -> &'static str;

    /// What a call costs here beside other transports: of the endpoints of a node the cheapest is tried first. The
    /// transports of this crate have 0 (the same process) to 90 (a broker on the network).
    fn cost(&self) -> u8 {
        100
    }

    /// Makes a channel to whoever listens at `endpoint`. The caller bounds the time.
    ///
    /// # Errors
    /// Nobody listens there, or the endpoint makes no sense to this transport.
    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError>;

    /// Listens at `endpoint` until the listener is dropped.
    ///
    /// # Errors
    /// The endpoint is taken, not permitted, or makes no sense to this transport.
    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError>;
}

/// Takes the channels that peers make to one endpoint.
#[async_trait]
pub trait Listener: Send + 'static {
    /// Where it listens, with a port that was left open filled in.
    fn endpoint(&self) -> &Endpoint;

    /// Waits for the next channel. Cancellation: dropping the future loses no channel.
    ///
    /// # Errors
    /// The listener is over and will take no more.
    async fn accept(&mut self) -> Result<Channel, TransportError>;
}

/// Why a transport could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The operating system refused.
    #[error("{endpoint}: {source}")]
    Io {
        /// Where.
        endpoint: Endpoint,
        /// The operating system's word.
        source: io::Error,
    },
    /// The address does not mean anything to the transport.
    #[error("{endpoint}: {reason}")]
    Address {
        /// Where.
        endpoint: Endpoint,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody listens there already.
    #[error("{0}: the endpoint is in use")]
    InUse(Endpoint),
    /// A listener that strangers on the network could reach, and read along with, was not asked for by name.
    #[error(
        "{0}: whoever is on the network could read and call; listen on tls://{address} instead, or write {0}?plaintext \
         to allow it (or listen on a loopback address)",
        address = .0.address()
    )]
    Exposed(Endpoint),
    /// Whoever answered could not prove to be who it should be.
    #[error("{endpoint}: whoever answers cannot be trusted: {reason}")]
    Untrusted {
        /// Where.
        endpoint: Endpoint,
        /// What is wrong.
        reason: String,
    },
    /// The other side does not let us in.
    #[error("{endpoint}: refused by the other side: {reason}")]
    Refused {
        /// Where.
        endpoint: Endpoint,
        /// What it said.
        reason: String,
    },
    /// Somebody listens there who does not speak TLS.
    #[error("{0}: whoever answers does not speak TLS; a listener without it is dialled as tcp://{address}", address = .0.address())]
    NotTls(Endpoint),
    /// The listener is over.
    #[error("{0}: the listener is over")]
    Over(Endpoint),
}

impl TransportError {
    fn io(endpoint: &Endpoint, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            return Self::InUse(endpoint.clone());
        }
        Self::Io { endpoint: endpoint.clone(), source }
    }

    fn address(endpoint: &Endpoint, reason: impl Into<String>) -> Self {
        Self::Address { endpoint: endpoint.clone(), reason: reason.into() }
    }

    #[cfg(feature = "tls")]
    fn untrusted(endpoint: &Endpoint, reason: impl std::fmt::Display) -> Self {
        Self::Untrusted { endpoint: endpoint.clone(), reason: reason.to_string() }
    }
}

/// The transports that every node has: `tcp` and `unix`, on Linux `shm`, `fifo` and `mq`. Those that need keys are not among
/// them, nor is `nats`: a reference from a peer must not make a node talk to a broker that the program knows nothing of.
#[must_use]
pub fn defaults() -> Vec<Arc<dyn Transport>> {
    vec![
        Arc::new(Tcp),
        Arc::new(Unix),
        #[cfg(target_os = "linux")]
        Arc::new(Shm::new()),
        #[cfg(target_os = "linux")]
        Arc::new(Fifo),
        #[cfg(target_os = "linux")]
        Arc::new(Mq),
    ]
}

/// After an accept that failed for want of something that others give back, such as file descriptors.
async fn pause_after(endpoint: &Endpoint, error: &io::Error) {
    tracing::warn!(%endpoint, %error, "cannot take a connection; trying again");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Whether something ran out that others give back, such as file descriptors.
#[cfg(target_os = "linux")]
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOSPC))
}

/// A caller that announced itself is gone, or none; one that lives sees that nobody answers.
#[cfg(target_os = "linux")]
fn unanswered(endpoint: &Endpoint, error: &io::Error) {
    tracing::debug!(%endpoint, %error, "cannot answer a caller");
}
