//! Channels inside one process.

use std::sync::Arc;

use async_trait::async_trait;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::endpoint::Endpoint;
use crate::peer::Identity;
use crate::transport::{Channel, Listener, Transport, TransportError};

/// `mem:name`: channels inside one process, for tests and simulations. Names are known within one `Memory` and its
/// clones; nothing is global.
#[derive(Clone)]
pub struct Memory {
    listening: Arc<DashMap<String, mpsc::Sender<DuplexStream>>>,
    buffer: usize,
}

/// What a direction holds before its writer waits.
const BUFFER_BYTES: usize = 64 * 1024;
/// How many dials may wait for `accept`.
const BACKLOG: usize = 128;

impl Memory {
    /// A memory in which nobody listens.
    #[must_use]
    pub fn new() -> Self {
        Self { listening: Arc::default(), buffer: BUFFER_BYTES }
    }

    /// The same memory; channels dialled through this value hold `bytes` in each direction before a writer waits.
    #[must_use]
    pub fn with_buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes.max(1);
        self
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Transport for Memory {
    fn scheme(&self) -> &'static str {
        "mem"
    }

    fn cost(&self) -> u8 {
        0
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let refused = || TransportError::io(endpoint, std::io::ErrorKind::ConnectionRefused.into());
        let listener = self.listening.get(endpoint.address()).map(|known| known.value().clone()).ok_or_else(refused)?;
        let (ours, theirs) = tokio::io::duplex(self.buffer);
        listener.send(theirs).await.map_err(|_| refused())?;
        Ok(Channel::new(ours, Identity::SameProcess, endpoint.to_string()))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        let Entry::Vacant(place) = self.listening.entry(endpoint.address().to_owned()) else {
            return Err(TransportError::InUse(endpoint.clone()));
        };
        let (sender, dialled) = mpsc::channel(BACKLOG);
        place.insert(sender);
        Ok(Box::new(Accepting { endpoint: endpoint.clone(), dialled, memory: self.clone() }))
    }
}

struct Accepting {
    endpoint: Endpoint,
    dialled: mpsc::Receiver<DuplexStream>,
    memory: Memory,
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        let stream = self.dialled.recv().await.ok_or_else(|| TransportError::Over(self.endpoint.clone()))?;
        Ok(Channel::new(stream, Identity::SameProcess, self.endpoint.to_string()))
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.memory.listening.remove(self.endpoint.address());
    }
}
