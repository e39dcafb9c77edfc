//! Connections that are taken, each after a handshake of its own.

use async_trait::async_trait;
use quinn::{Connection, Incoming};
use tokio::runtime::Handle;

use super::stream::{self, QuicStream};
use crate::endpoint::Endpoint;
use crate::limits::QUIC_UNPROVEN_MAX;
use crate::transport::handshakes::Handshakes;
use crate::transport::tls::{WELCOME, vouched_identity};
use crate::transport::{Channel, Listener, TransportError};

pub(super) struct Accepting {
    endpoint: Endpoint,
    quic: quinn::Endpoint,
    handshakes: Handshakes,
}

impl Accepting {
    pub(super) fn new(endpoint: Endpoint, quic: quinn::Endpoint) -> Self {
        Self { endpoint, quic, handshakes: Handshakes::default() }
    }

    /// Begins a handshake. With many under way, only with who can be reached at the address it claims: what we answer is
    /// larger than what it takes to ask.
    fn begin(&mut self, incoming: Incoming) {
        if self.handshakes.under_way() >= QUIC_UNPROVEN_MAX && incoming.may_retry() {
            // It asks again with what was sent to its address, or never does.
            let _ = incoming.retry();
            return;
        }
        let address = format!("quic://{}", incoming.remote_address());
        self.handshakes.begin(address.clone(), welcome(incoming, address, self.endpoint.clone()));
    }
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        loop {
            let incoming = tokio::select! {
                channel = self.handshakes.next() => return Ok(channel),
                incoming = self.quic.accept() => incoming,
            };
            self.begin(incoming.ok_or_else(|| TransportError::Over(self.endpoint.clone()))?);
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        // The socket stays while channels that came through it live: whoever dials meanwhile is told at once.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(refuse_all(self.quic.clone()));
        }
    }
}

/// Refuses whoever comes until the last connection is gone.
async fn refuse_all(quic: quinn::Endpoint) {
    let refuse = async {
        while let Some(incoming) = quic.accept().await {
            incoming.refuse();
        }
    };
    tokio::select! {
        () = quic.wait_idle() => {}
        () = refuse => {}
    }
}

/// The handshake with one peer, and its stream.
async fn welcome(incoming: Incoming, address: String, endpoint: Endpoint) -> Result<Channel, TransportError> {
    let io = |error| TransportError::io(&endpoint, error);
    let connection = incoming.await.map_err(|error| io(error.into()))?;
    let identity = vouched_identity(&super::chain(&connection));
    let identity = identity.map_err(|error| TransportError::untrusted(&endpoint, error))?;
    let stream = greeted(connection).await.map_err(io)?;
    Ok(super::channel(stream, identity, address))
}

async fn greeted(connection: Connection) -> std::io::Result<QuicStream> {
    let (mut send, mut recv) = connection.accept_bi().await?;
    stream::expect_welcome(&mut recv).await?;
    send.write_all(&[WELCOME]).await?;
    Ok(QuicStream::new(connection, send, recv))
}
