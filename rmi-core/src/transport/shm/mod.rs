//! Shared memory.

mod bells;
mod handover;
mod memory;
mod ring;
mod spin;
mod stream;

/// What the rings are made of. Their model in the tests puts loom's in its place.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
}

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::UnixStream;

use crate::endpoint::Endpoint;
use crate::peer::Identity;
use crate::transport::socket::{self, Bound};
use crate::transport::{Channel, Listener, Transport, TransportError, pause_after};

use bells::Bells;
use handover::Shared;
use spin::{Processors, Spin};
use stream::Rings;

/// `shm:/path`: shared memory, for processes of one machine. The path is that of a Unix socket, where the two meet as with
/// [`Unix`](super::Unix), with the same proof of who the peer is; the bytes then go through two rings in memory that has no
/// name, and the socket only tells when a process is gone.
///
/// A side that waits for an answer looks for it for a while before it sleeps ([`spin`](Self::spin)). That makes calls that are
/// answered at once several times faster than over a socket, and takes processor time that nobody else wants: it stops by itself
/// where it does not pay, never occupies more than half of the processors, and is off with one processor and inside one
/// process. `shm:/path?spin=off` turns it off on both sides of an endpoint.
///
/// Limits: the path has 107 bytes at most; a channel takes [two rings](crate::limits::SHM_RING_BYTES) of memory on the side of
/// the listener; Linux.
#[derive(Debug, Clone)]
pub struct Shm {
    spin: Duration,
    processors: Arc<Processors>,
}

/// About what it costs to put both sides to sleep and to wake them.
const SPIN: Duration = Duration::from_micros(50);

impl Shm {
    /// With the usual time to wait awake, 50 µs.
    #[must_use]
    pub fn new() -> Self {
        Self { spin: SPIN, processors: Arc::new(Processors::new()) }
    }

    /// How long a side waits awake for an answer before it sleeps, 1 ms at most; zero turns it off.
    #[must_use]
    pub fn spin(mut self, time: Duration) -> Self {
        self.spin = time.min(Duration::from_millis(1));
        self
    }

    fn channel(&self, shared: Shared, socket: UnixStream, endpoint: &Endpoint) -> io::Result<Channel> {
        let identity = socket::identity(&socket)?;
        let spin = Spin::new(self.spin_with(&identity, endpoint), self.processors.clone());
        let bells = Bells::new(shared.own_bell, shared.peer_bell, socket)?;
        let one_awaited = spin.one_awaited();
        let rings = Rings::new(shared.incoming, shared.outgoing, bells, spin);
        Ok(Channel { one_awaited, ..Channel::new(rings, identity, endpoint.to_string()) })
    }

    fn spin_with(&self, peer: &Identity, endpoint: &Endpoint) -> Duration {
        let own = i32::try_from(std::process::id()).ok();
        // Inside one process the answer may need this very thread.
        let inside = matches!(peer, Identity::Process { pid, .. } if *pid == own);
        let off = endpoint.option("spin") == Some("off");
        if inside || off { Duration::ZERO } else { self.spin }
    }
}

impl Default for Shm {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Transport for Shm {
    fn scheme(&self) -> &'static str {
        "shm"
    }

    fn cost(&self) -> u8 {
        10
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let socket = socket::connect(endpoint).await?;
        let shared = handover::take(&socket).await;
        let channel = shared.and_then(|shared| self.channel(shared, socket, endpoint));
        channel.map_err(|error| TransportError::io(endpoint, error))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        let bound = Bound::new(endpoint).await?;
        Ok(Box::new(Accepting { shm: self.clone(), endpoint: endpoint.clone(), bound }))
    }
}

struct Accepting {
    shm: Shm,
    endpoint: Endpoint,
    bound: Bound,
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Nothing waits for the peer between taking its connection and having the channel.
    async fn accept(&mut self) -> Result<Channel, TransportError> {
        loop {
            let made = self.bound.accept().await.and_then(|socket| {
                let shared = handover::give(&socket)?;
                self.shm.channel(shared, socket, &self.endpoint)
            });
            match made {
                Ok(channel) => return Ok(channel),
                // It has gone again: no reason to let others wait.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => pause_after(&self.endpoint, &error).await,
            }
        }
    }
}
