//! Connections that are taken, each after a handshake of its own.

use std::sync::Arc;

use async_trait::async_trait;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{WELCOME, vouched_identity};
use crate::endpoint::Endpoint;
use crate::transport::handshakes::Handshakes;
use crate::transport::{Channel, Listener, TransportError, pause_after};

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
                    let welcome = welcome(self.acceptor.clone(), tcp, address.clone(), self.endpoint.clone());
                    self.handshakes.begin(address, welcome);
                }
                Err(error) => pause_after(&self.endpoint, &error).await,
            }
        }
    }
}

/// The handshake with one peer.
async fn welcome(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    address: String,
    endpoint: Endpoint,
) -> Result<Channel, TransportError> {
    let io = |error| TransportError::io(&endpoint, error);
    let mut stream = acceptor.accept(super::socket(tcp).map_err(io)?).await.map_err(io)?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let identity = vouched_identity(chain).map_err(|error| TransportError::untrusted(&endpoint, error))?;
    stream.write_all(&[WELCOME]).await.map_err(io)?;
    stream.flush().await.map_err(io)?;
    Ok(super::channel(stream.into(), identity, address))
}
