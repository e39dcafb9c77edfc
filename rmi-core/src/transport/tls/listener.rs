//! Connections that are taken, each after a handshake of its own.

use std::sync::Arc;

use async_trait::async_trait;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::{WELCOME, vouched_identity};
use crate::endpoint::Endpoint;
use crate::transport::handshakes::Handshakes;
use crate::transport::{Channel, Listener, Stream, TransportError, pause_after};

pub(super) struct Accepting {
    endpoint: Endpoint,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: Handshakes,
}

impl Accepting {
    pub(super) fn new(endpoint: Endpoint, listener: TcpListener, config: Arc<ServerConfig>) -> Self {
        Self { endpoint, listener, acceptor: config.into(), handshakes: Handshakes::default() }
    }
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        loop {
            let accepted = tokio::select! {
                channel = self.handshakes.next() => return Ok(channel),
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, address)) => {
                    let address = format!("tls://{address}");
                    let (acceptor, place, named) = (self.acceptor.clone(), self.endpoint.clone(), address.clone());
                    self.handshakes.begin(address, async move {
                        let stream = super::socket(tcp).map_err(|error| TransportError::io(&place, error))?;
                        welcome(acceptor, stream, named, place).await
                    });
                }
                Err(error) => pause_after(&self.endpoint, &error).await,
            }
        }
    }
}

/// The handshake with one peer, whom `stream` leads to.
pub(in crate::transport) async fn welcome(
    acceptor: TlsAcceptor,
    stream: impl Stream + 'static,
    address: String,
    endpoint: Endpoint,
) -> Result<Channel, TransportError> {
    let io = |error| TransportError::io(&endpoint, error);
    let mut stream = acceptor.accept(stream).await.map_err(io)?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let identity = vouched_identity(chain).map_err(|error| TransportError::untrusted(&endpoint, error))?;
    stream.write_all(&[WELCOME]).await.map_err(io)?;
    stream.flush().await.map_err(io)?;
    Ok(super::channel(TlsStream::from(stream), identity, address))
}
