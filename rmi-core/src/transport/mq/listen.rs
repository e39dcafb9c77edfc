//! The side that is announced to.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use async_trait::async_trait;
use nix::mqueue::MQ_OFlag;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::queue::{self, Queue, watched};
use super::{kernel, pair_names, peer, stream};
use crate::endpoint::Endpoint;
use crate::transport::{Channel, Listener, TransportError, is_shortage, pause_after, unanswered};

/// How many announcements may wait.
const BACKLOG: usize = 10;
/// How often a queue is tried to be claimed, and how long between: a caller that looks whether anybody listens has a lock on
/// it for a moment, and a listener that goes takes the queue away.
const CLAIMS_MAX: usize = 10;
const PAUSE: Duration = Duration::from_millis(5);

pub(super) struct Accepting {
    endpoint: Endpoint,
    rendezvous: AsyncFd<Queue>,
    /// What was received and is not answered yet.
    heard: Option<Announced>,
}

/// A message, and its length.
type Announced = ([u8; peer::ANNOUNCEMENT_BYTES], usize);

impl Accepting {
    pub(super) async fn at(endpoint: Endpoint) -> Result<Self, TransportError> {
        let claimed = claim(endpoint.address()).await;
        let queue = claimed.and_then(|queue| watched(queue, Interest::READABLE));
        match queue {
            Ok(rendezvous) => Ok(Self { endpoint, rendezvous, heard: None }),
            Err(error) => Err(TransportError::io(&endpoint, error)),
        }
    }

    async fn announced(&self) -> io::Result<Announced> {
        let mut message = [0; peer::ANNOUNCEMENT_BYTES];
        let length = self.rendezvous.async_io(Interest::READABLE, |queue| queue.receive(&mut message)).await?;
        Ok((message, length))
    }

    /// Opens the pair, takes its names away and says so to the caller.
    fn answer(&self, announcement: &[u8]) -> io::Result<Channel> {
        let bad = |text| io::Error::new(io::ErrorKind::InvalidData, text);
        let (id, number) = peer::announced(announcement).ok_or_else(|| bad("an announcement that names no pair"))?;
        let [up, down] = pair_names(self.endpoint.address(), id);
        let opened = open(&up, &down, number);
        if !matches!(&opened, Err(error) if is_shortage(error)) {
            [up, down].iter().for_each(|name| queue::remove(name));
        }
        let (reads, writes, caller) = opened?;
        // Its process lives still, so that it is the one with this number.
        if !reads.is_held()? {
            return Err(bad("an announcement whose caller is gone"));
        }
        writes.send(std::process::id().to_string().as_bytes())?;
        let identity = reads.identity()?;
        let reads = watched(reads, Interest::READABLE)?;
        Ok(Channel::new(stream::over(reads, writes, &caller)?, identity, self.endpoint.to_string()))
    }
}

/// The ends of a pair that are ours, and the process that has the others.
fn open(up: &str, down: &str, caller: &[u8]) -> io::Result<(Queue, Queue, OwnedFd)> {
    let (reads, writes) = (Queue::open(up, MQ_OFlag::O_RDONLY)?, Queue::open(down, MQ_OFlag::O_WRONLY)?);
    Ok((reads, writes, peer::process(caller)?))
}

/// The queue of that name, locked against other listeners; one that a killed process left behind is taken over.
async fn claim(name: &str) -> io::Result<Queue> {
    kernel::check()?;
    for _ in 0..CLAIMS_MAX {
        match Queue::make(name, MQ_OFlag::O_RDONLY, BACKLOG, peer::ANNOUNCEMENT_BYTES) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            // It is opened by its name in any case, as others may have been as fast.
            _ => {}
        }
        match Queue::open(name, MQ_OFlag::O_RDONLY) {
            Ok(queue) if queue.hold()? => {
                if let Some(queue) = held(queue, name)? {
                    return Ok(queue);
                }
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// A queue that nobody else holds, if callers can find and use it.
pub(super) fn held(queue: Queue, name: &str) -> io::Result<Option<Queue>> {
    if !queue.is_named(name) {
        // It was taken away meanwhile, and the name may be another listener's by now.
        return Ok(None);
    }
    if queue.message_bytes()? != peer::ANNOUNCEMENT_BYTES {
        // Nobody listens on a queue that is not for announcements.
        queue::remove(name);
        return Ok(None);
    }
    Ok(Some(queue))
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        loop {
            let Some((message, length)) = self.heard else {
                match self.announced().await {
                    Ok(announced) => self.heard = Some(announced),
                    Err(error) => pause_after(&self.endpoint, &error).await,
                }
                continue;
            };
            let answer = self.answer(message.get(..length).unwrap_or_default());
            if let Err(error) = &answer
                && is_shortage(error)
            {
                // The caller waits meanwhile.
                pause_after(&self.endpoint, error).await;
                continue;
            }
            self.heard = None;
            match answer {
                Ok(channel) => return Ok(channel),
                Err(error) => unanswered(&self.endpoint, &error),
            }
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let queue = self.rendezvous.get_ref();
        // Whoever listens here next has to wait for the lock, so the name is ours until then.
        if queue.is_named(self.endpoint.address()) {
            queue::remove(self.endpoint.address());
        }
    }
}
