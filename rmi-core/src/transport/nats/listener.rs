//! Taking the channels that peers ask for on a subject.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use async_nats::{Client, Message, Subscriber};
use async_trait::async_trait;
use futures_core::Stream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::channel::{End, Line};
use super::envelope::{Envelope, Kind};
use super::place::{Place, inbox, is_inbox};
use super::{Failed, Nats, buffered};
use crate::endpoint::Endpoint;
use crate::peer::Identity;
use crate::transport::handshakes::Handshakes;
use crate::transport::{Channel, Credentials, Listener, TransportError, tls};

/// The group in which the listeners of one subject take turns.
const GROUP: &str = "rmi";
/// How many channels may wait for `accept`.
const BACKLOG: usize = 128;

/// A listener, whose task answers those who ask for a channel.
pub(super) struct Accepting {
    endpoint: Endpoint,
    channels: mpsc::Receiver<End>,
    /// For those who must prove who they are.
    acceptor: Option<TlsAcceptor>,
    proofs: Handshakes,
    task: AbortHandle,
}

impl Accepting {
    /// Listens on the place that `endpoint` names, together with others, and on one of its own.
    pub(super) async fn start(nats: &Nats, endpoint: &Endpoint, shared: Place) -> Result<Self, TransportError> {
        let own = shared.own();
        let credentials = nats.credentials.clone();
        let name = own.endpoint(credentials.as_ref().map(Credentials::key));
        let name = name.map_err(|error| TransportError::address(endpoint, error.to_string()))?;
        let (sender, channels) = mpsc::channel(BACKLOG);
        let mut asked = Asked { nats: nats.clone(), shared, own, subscribed: None };
        asked.subscribe().await.map_err(|error| error.at(endpoint))?;
        let task = tokio::spawn(answer(asked, sender)).abort_handle();
        let acceptor = credentials.map(|credentials| credentials.listening().clone().into());
        Ok(Self { endpoint: name, channels, acceptor, proofs: Handshakes::default(), task })
    }
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        loop {
            let stream = tokio::select! {
                channel = self.proofs.next() => return Ok(channel),
                stream = self.channels.recv() => stream.ok_or_else(|| TransportError::Over(self.endpoint.clone()))?,
            };
            let address = self.endpoint.to_string();
            let Some(acceptor) = self.acceptor.clone() else {
                return Ok(Channel::new(stream, Identity::Unproven, address));
            };
            let welcome = tls::welcome(acceptor, buffered(stream), address.clone(), self.endpoint.clone());
            self.proofs.begin(address, welcome);
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut asked: Asked, channels: mpsc::Sender<End>) {
    let places = Arc::new(Semaphore::new(asked.nats.channels_max));
    loop {
        let (client, opening) = asked.next().await;
        let Some(peer) = who_asks(&opening) else {
            tracing::debug!(broker = asked.shared.broker, "a message that asks for no channel");
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(
                broker = asked.shared.broker,
                limit = asked.nats.channels_max,
                "no channel is given: there are too many"
            );
            continue;
        };
        let own = inbox();
        // Should the broker's connection be over by now, whoever asks gets no answer and asks again.
        let Ok(subscriber) = client.subscribe(own.clone()).await else { continue };
        let given = Envelope::bare(Kind::Answer).encode();
        if client.publish_with_reply(peer.clone(), own, given).await.is_err() {
            continue;
        }
        let stream = Line { client, inbox: subscriber, peer }.open(Some(place));
        if channels.send(stream).await.is_err() {
            return;
        }
    }
}

/// The inbox of whoever asks for a channel.
fn who_asks(opening: &Message) -> Option<String> {
    let envelope = Envelope::decode(opening.payload.clone()).ok()?;
    let peer = opening.reply.as_ref()?.as_str();
    (envelope.kind == Kind::Open && is_inbox(peer)).then(|| peer.to_owned())
}

/// The openings that arrive at a listener.
struct Asked {
    nats: Nats,
    shared: Place,
    own: Place,
    subscribed: Option<(Arc<Client>, [Subscriber; 2])>,
}

impl Asked {
    async fn subscribe(&mut self) -> Result<(), Failed> {
        let client = self.nats.client(&self.shared.broker).await?;
        let shared = client.queue_subscribe(self.shared.subject(), GROUP.into()).await.map_err(Failed::of)?;
        let own = client.subscribe(self.own.subject()).await.map_err(Failed::of)?;
        // Whoever dials from now on is heard.
        client.flush().await.map_err(Failed::of)?;
        self.subscribed = Some((client, [shared, own]));
        Ok(())
    }

    /// The next opening. The broker may be away for as long as it likes.
    async fn next(&mut self) -> (Arc<Client>, Message) {
        loop {
            if let Some((client, subscribers)) = &mut self.subscribed {
                if let Some(opening) = either(subscribers).await {
                    return (client.clone(), opening);
                }
                tracing::warn!(broker = self.shared.broker, "the broker is out of reach; trying again");
                self.subscribed = None;
            }
            if let Err(error) = self.subscribe().await {
                tracing::debug!(%error, "cannot listen at the broker");
                tokio::time::sleep(super::RECONNECT_MOST).await;
            }
        }
    }
}

/// The next message of either; nothing when one is over.
async fn either(subscribers: &mut [Subscriber; 2]) -> Option<Message> {
    poll_fn(|cx| {
        let polled = subscribers.iter_mut().map(|subscriber| Pin::new(subscriber).poll_next(cx));
        polled.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}
