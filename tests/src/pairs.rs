//! What a parent and its child have between them, inside one process.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rmi_core::Endpoint;
use rmi_core::transport::{Channel, Listener, Transport, TransportError, pipes};
use tokio::sync::mpsc;

/// The end that a side reads and the end that it writes.
type Side = (OwnedFd, OwnedFd);

/// Channels over pairs of anonymous pipes, or over a pair of sockets as a program behind `ssh` has. Unlike a child one can
/// listen, at any name.
pub struct Pairs {
    scheme: &'static str,
    make: fn() -> io::Result<(Side, Side)>,
    listening: Mutex<HashMap<String, mpsc::Sender<Channel>>>,
}

/// How many dials may wait for `accept`.
const BACKLOG: usize = 128;

impl Pairs {
    /// `exec:name`: two anonymous pipes for each channel.
    #[must_use]
    pub fn pipes() -> Self {
        Self { scheme: "exec", make: two_pipes, listening: Mutex::default() }
    }

    /// `ssh:name`: two sockets for each channel.
    #[must_use]
    pub fn sockets() -> Self {
        Self { scheme: "ssh", make: two_sockets, listening: Mutex::default() }
    }

    fn listening(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Channel>>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn two_pipes() -> io::Result<(Side, Side)> {
    let ((down, child_writes), (child_reads, up)) = (io::pipe()?, io::pipe()?);
    Ok(((down.into(), up.into()), (child_reads.into(), child_writes.into())))
}

fn two_sockets() -> io::Result<(Side, Side)> {
    let (near, far) = UnixStream::pair()?;
    let twice = |socket: UnixStream| io::Result::Ok((socket.try_clone()?.into(), socket.into()));
    Ok((twice(near)?, twice(far)?))
}

#[async_trait]
impl Transport for Pairs {
    fn scheme(&self) -> &'static str {
        self.scheme
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let listener = self.listening().get(endpoint.address()).cloned();
        let over = || TransportError::Over(endpoint.clone());
        let failed = |source| TransportError::Io { endpoint: endpoint.clone(), source };
        let (near, far) = (self.make)().map_err(failed)?;
        let far = pipes(far.0, far.1, endpoint.as_str()).map_err(failed)?;
        listener.ok_or_else(over)?.send(far).await.map_err(|_| over())?;
        pipes(near.0, near.1, endpoint.as_str()).map_err(failed)
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        let (sender, dialled) = mpsc::channel(BACKLOG);
        let mut listening = self.listening();
        if listening.get(endpoint.address()).is_some_and(|known| !known.is_closed()) {
            return Err(TransportError::InUse(endpoint.clone()));
        }
        listening.insert(endpoint.address().to_owned(), sender);
        Ok(Box::new(Accepting { endpoint: endpoint.clone(), dialled }))
    }
}

struct Accepting {
    endpoint: Endpoint,
    dialled: mpsc::Receiver<Channel>,
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        self.dialled.recv().await.ok_or_else(|| TransportError::Over(self.endpoint.clone()))
    }
}
