//! TCP sockets.

use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpStream, lookup_host};

use crate::endpoint::Endpoint;
use crate::peer::Identity;
use crate::transport::{Channel, Listener, Transport, TransportError, pause_after};

/// `tcp://host:port`: TCP sockets. Nothing is proven about the peer, and nothing is secret on the way.
///
/// An address that is not loopback is listened on only with the option `?plaintext`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

#[async_trait]
impl Transport for Tcp {
    fn scheme(&self) -> &'static str {
        "tcp"
    }

    fn cost(&self) -> u8 {
        70
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let stream =
            TcpStream::connect(endpoint.address()).await.map_err(|error| TransportError::io(endpoint, error))?;
        channel(stream, endpoint.to_string()).map_err(|error| TransportError::io(endpoint, error))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        let io = |error| TransportError::io(endpoint, error);
        let addresses: Vec<SocketAddr> = lookup_host(endpoint.address()).await.map_err(io)?.collect();
        if addresses.iter().any(|address| !address.ip().is_loopback()) && !endpoint.has_option("plaintext") {
            return Err(TransportError::Exposed(endpoint.clone()));
        }
        let listener = TcpListener::bind(&*addresses).await.map_err(io)?;
        let bound = format!("tcp://{}", listener.local_addr().map_err(io)?);
        let endpoint = bound.parse().map_err(|_| TransportError::address(endpoint, "its address does not print"))?;
        Ok(Box::new(Accepting { endpoint, listener }))
    }
}

struct Accepting {
    endpoint: Endpoint,
    listener: TcpListener,
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        loop {
            let error = match self.listener.accept().await {
                Ok((stream, address)) => match channel(stream, format!("tcp://{address}")) {
                    Ok(channel) => return Ok(channel),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            pause_after(&self.endpoint, &error).await;
        }
    }
}

fn channel(stream: TcpStream, address: String) -> std::io::Result<Channel> {
    // The session gathers what belongs together; the kernel must not wait for more.
    stream.set_nodelay(true)?;
    Ok(Channel::new(stream, Identity::Unproven, address))
}
