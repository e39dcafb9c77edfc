//! Unix sockets.

use std::io;

use async_trait::async_trait;
use tokio::net::UnixStream;

use crate::endpoint::Endpoint;
use crate::transport::socket::{self, Bound};
use crate::transport::{Channel, Listener, Transport, TransportError, pause_after};

/// `unix:/path`: Unix sockets. The kernel proves the peer's user, group and process.
///
/// The socket is for its owner alone (mode 0600) and removed with the listener; one that a killed process left behind is
/// taken over. Limit: the path has 107 bytes at most.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unix;

#[async_trait]
impl Transport for Unix {
    fn scheme(&self) -> &'static str {
        "unix"
    }

    fn cost(&self) -> u8 {
        20
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let stream = socket::connect(endpoint).await?;
        channel(stream, endpoint).map_err(|error| TransportError::io(endpoint, error))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(Accepting { endpoint: endpoint.clone(), bound: Bound::new(endpoint).await? }))
    }
}

struct Accepting {
    endpoint: Endpoint,
    bound: Bound,
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        loop {
            let accepted = self.bound.accept().await;
            match accepted.and_then(|stream| channel(stream, &self.endpoint)) {
                Ok(channel) => return Ok(channel),
                Err(error) => pause_after(&self.endpoint, &error).await,
            }
        }
    }
}

fn channel(stream: UnixStream, endpoint: &Endpoint) -> io::Result<Channel> {
    let identity = socket::identity(&stream)?;
    Ok(Channel::new(stream, identity, endpoint.to_string()))
}
