//! Sessions over a NATS broker, between machines that cannot reach each other.
//!
//! Whoever dials publishes an opening to the subject, with an inbox of its own to be answered at. The broker gives it to
//! one of those who listen, who answers with an inbox too. From then on each side publishes to the other's inbox.
//!
//! `envelope` is a message, `flow` makes a stream of messages that may be lost, `channel` is the task that carries it,
//! `listener` answers openings, `place` says what may be published to.

mod channel;
mod envelope;
mod flow;
#[cfg(test)]
mod flow_tests;
mod listener;
mod outgoing;
mod place;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, StatusCode, Subscriber};
use async_trait::async_trait;
use dashmap::DashMap;
use tokio::io::BufReader;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::channel::{End, Line, next};
use self::envelope::{Envelope, Kind};
use self::listener::Accepting;
use self::place::{Place, inbox, is_inbox};
use crate::endpoint::Endpoint;
use crate::limits;
use crate::peer::Identity;
use crate::transport::{Channel, Credentials, Listener, Transport, TransportError, tls};

pub use async_nats::ConnectOptions as BrokerOptions;

/// The longest pause before the broker is tried again.
const RECONNECT_MOST: Duration = Duration::from_millis(500);
/// How often that is tried before what depends on it is over. A listener starts again after that.
const RECONNECTS_MAX: usize = 120;
/// An inbox has one owner: no name has to be asked for, and with an address none is.
const NO_NAME: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// The messages of all channels that may wait for the way to the broker; further ones make their channels wait.
const MESSAGES_WAITING: usize = 256;

/// `nats://host:port/subject`: sessions over a NATS broker (2.2 or later). Nothing is proven about the peer
/// without [`credentials`](Nats::credentials). A node has it only when it is given to `NodeBuilder::transport`; it then
/// dials whatever broker a reference names.
///
/// Several listeners on one subject are a group: each new channel goes to one of them. A listener's
/// [`endpoint`](Listener::endpoint) has a subject of its own below the shared one, so that a reference leads to the host
/// that made it. Subjects are letters, digits, `-` and `_` with single dots between; at the broker they begin with `rmi.`.
///
/// What the broker loses, repeats or swaps is made good: a broker that is back within 10 s ends no channel. A peer that
/// is silent for that long is taken for dead. The broker, and whoever may subscribe to `_INBOX.>` there, can read
/// everything and write in the peer's name, unless both sides have [`credentials`](Nats::credentials).
///
/// The connection to the broker is shared by all channels of one `Nats` and its clones, and closed with the last.
/// A broker that is not on this machine is listened at only with credentials, with the option `?plaintext`, or after
/// [`Nats::broker`].
#[derive(Clone)]
pub struct Nats {
    options: Arc<HashMap<String, BrokerOptions>>,
    clients: Arc<DashMap<String, Weak<Client>>>,
    channels_max: usize,
    credentials: Option<Credentials>,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            options: Arc::default(),
            clients: Arc::default(),
            channels_max: limits::BROKER_CHANNELS_MAX,
            credentials: None,
        }
    }
}

impl Nats {
    /// A transport that signs in nowhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects to the broker at `address` (`host:port`, as endpoints have it) with `options`: how to sign in, and TLS.
    /// Their name, credentials, certificates and timeouts are kept; what bounds memory and reconnecting is set here.
    #[must_use]
    pub fn broker(mut self, address: impl Into<String>, options: BrokerOptions) -> Self {
        Arc::make_mut(&mut self.options).insert(address.into(), options);
        // Those made so far may have signed in differently.
        self.clients = Arc::default();
        self
    }

    /// Proves by TLS who is at either end of a channel, so that the broker can neither read nor write in anybody's name. A
    /// listener then takes only who shows a certificate that its authority has signed, and its endpoint carries the digest
    /// of its key (`?key=`), as with [`Tls`](crate::transport::Tls). An endpoint with `?key=` or `?tls` is dialled so, one
    /// without is not; with `?tls` alone, whoever answers must have the name set by [`Credentials::expect_name`].
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Gives a listener so many channels at most, those that are closing included, instead of
    /// [`BROKER_CHANNELS_MAX`](limits::BROKER_CHANNELS_MAX): for a node that has more connections.
    #[must_use]
    pub fn channels_max(mut self, channels: usize) -> Self {
        self.channels_max = channels.min(Semaphore::MAX_PERMITS);
        self
    }

    /// The connection to a broker: the one that is there, or a fresh one.
    async fn client(&self, broker: &str) -> Result<Arc<Client>, Failed> {
        let known = self.clients.get(broker).and_then(|client| client.upgrade());
        if let Some(client) = known.filter(|client| client.connection_state() == State::Connected) {
            return Ok(client);
        }
        let options = self.options.get(broker).cloned().unwrap_or_default();
        let client = bounded(options).connect(format!("nats://{broker}")).await.map_err(Failed::of)?;
        let client = Arc::new(client);
        self.clients.retain(|_, client| client.strong_count() > 0);
        self.clients.insert(broker.to_owned(), Arc::downgrade(&client));
        Ok(client)
    }

    async fn call(&self, place: &Place) -> Result<Line, Failed> {
        let client = self.client(&place.broker).await?;
        let own = inbox();
        let mut subscriber = client.subscribe(own.clone()).await.map_err(Failed::of)?;
        let opening = Envelope::bare(Kind::Open).encode();
        client.publish_with_reply(place.subject(), own, opening).await.map_err(Failed::of)?;
        let answered = timeout(limits::BROKER_ANSWER, answer(&mut subscriber)).await;
        let peer = answered.map_err(|_| Failed::unanswered())??;
        Ok(Line { client, inbox: subscriber, peer })
    }
}

/// Where the peer that answers an opening listens.
async fn answer(subscriber: &mut Subscriber) -> Result<String, Failed> {
    let over = || Failed::new(io::ErrorKind::NotConnected, "the broker is out of reach");
    let message = next(subscriber).await.ok_or_else(over)?;
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(Failed::new(io::ErrorKind::ConnectionRefused, "nobody listens on the subject"));
    }
    let peer = message.reply.filter(|peer| is_inbox(peer));
    match (Envelope::decode(message.payload).map(|envelope| envelope.kind), peer) {
        (Ok(Kind::Answer), Some(peer)) => Ok(peer.into_string()),
        _ => Err(Failed::new(io::ErrorKind::InvalidData, "the answer is not one of a listener")),
    }
}

fn bounded(options: BrokerOptions) -> BrokerOptions {
    let delay = |attempts: usize| match u32::try_from(attempts) {
        Ok(attempts) if attempts <= 1 => Duration::ZERO,
        Ok(attempts) => (Duration::from_millis(5) * attempts.min(100)).min(RECONNECT_MOST),
        Err(_) => RECONNECT_MOST,
    };
    options
        // A broker that does not answer is noticed as soon as a peer is.
        .ping_interval(limits::BROKER_BEAT)
        .subscription_capacity(limits::BROKER_WAITING)
        .client_capacity(MESSAGES_WAITING)
        .max_reconnects(RECONNECTS_MAX)
        .reconnect_delay_callback(delay)
        // Where we connect to is the program's choice, or the reference's, not the broker's.
        .ignore_discovered_servers()
}

#[async_trait]
impl Transport for Nats {
    fn scheme(&self) -> &'static str {
        "nats"
    }

    fn cost(&self) -> u8 {
        90
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let place = Place::of(endpoint)?;
        let proof = match (&self.credentials, endpoint.has_option("key") || endpoint.has_option("tls")) {
            (Some(credentials), true) => Some(credentials.dialling(endpoint)?),
            (None, true) => return Err(TransportError::address(endpoint, "it is dialled with Nats::credentials")),
            (_, false) => None,
        };
        let stream = self.call(&place).await.map_err(|error| error.at(endpoint))?.open(None);
        match proof {
            Some(proof) => tls::prove(proof, endpoint, NO_NAME.into(), buffered(stream)).await,
            None => Ok(Channel::new(stream, Identity::Unproven, endpoint.to_string())),
        }
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        let place = Place::of(endpoint)?;
        let asked_for = endpoint.has_option("plaintext") || self.options.contains_key(&place.broker);
        if !asked_for
            && self.credentials.is_none()
            && !place.is_loopback().await.map_err(|error| TransportError::io(endpoint, error))?
        {
            let reason = "whoever is at the broker could read and call; use Nats::credentials, or write";
            return Err(TransportError::address(endpoint, format!("{reason} {endpoint}?plaintext to allow it")));
        }
        Ok(Box::new(Accepting::start(self, endpoint, place).await?))
    }
}

/// The stream as TLS reads it best.
fn buffered(stream: End) -> BufReader<End> {
    BufReader::with_capacity(tls::READ_BYTES, stream)
}

/// What went wrong at the broker.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failed(io::Error);

impl Failed {
    fn new(kind: io::ErrorKind, text: &str) -> Self {
        Self(io::Error::new(kind, text))
    }

    fn of(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(io::Error::other(error))
    }

    fn unanswered() -> Self {
        let text = format!("whoever listens on the subject did not answer within {:?}", limits::BROKER_ANSWER);
        Self::new(io::ErrorKind::TimedOut, &text)
    }

    fn at(self, endpoint: &Endpoint) -> TransportError {
        TransportError::io(endpoint, self.0)
    }
}
