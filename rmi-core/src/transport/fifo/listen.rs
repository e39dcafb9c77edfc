//! The side that is announced to.

use std::io;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};

use super::READY;
use super::place::{Place, identity, is_id};
use crate::endpoint::Endpoint;
use crate::limits;
use crate::transport::ends::Ends;
use crate::transport::{Channel, Listener, TransportError, is_shortage, pause_after, unanswered};

/// How often a pipe may be replaced while it is being claimed.
const CLAIMS_MAX: usize = 16;

pub(super) struct Accepting {
    place: Place,
    rendezvous: Receiver,
    /// What was read and is not answered yet.
    heard: Vec<u8>,
}

impl Accepting {
    pub(super) fn at(place: Place) -> Result<Self, TransportError> {
        let rendezvous = claim(&place).and_then(|pipe| {
            place.sweep()?;
            Receiver::from_owned_fd(pipe)
        });
        match rendezvous {
            Ok(rendezvous) => Ok(Self { place, rendezvous, heard: Vec::with_capacity(limits::ANNOUNCED_BYTES_MAX) }),
            Err(error) => Err(TransportError::io(place.endpoint(), error)),
        }
    }

    /// Where the next announcement that was read whole ends.
    fn end_of_next(&self) -> Option<usize> {
        self.heard.iter().position(|byte| *byte == b'\n')
    }

    async fn hear(&mut self) -> io::Result<()> {
        if self.heard.len() >= limits::ANNOUNCED_BYTES_MAX {
            // Nobody who announces himself writes so much without an end of a line.
            self.heard.clear();
        }
        let room = limits::ANNOUNCED_BYTES_MAX - self.heard.len();
        (&mut self.rendezvous).take(room as u64).read_buf(&mut self.heard).await?;
        Ok(())
    }

    /// Opens the pair, takes its names away and says so to the caller.
    fn answer(&self, announcement: &[u8]) -> io::Result<Channel> {
        let id = std::str::from_utf8(announcement).ok().filter(|id| is_id(id));
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "an announcement that names no pair");
        let [up, down] = self.place.pair(id.ok_or_else(bad)?);
        let opened = self.open(&up, &down);
        if !matches!(&opened, Err(error) if is_shortage(error)) {
            [up, down].iter().for_each(|name| self.place.remove(name));
        }
        let (reads, writes) = opened?;
        rustix::io::write(&writes, &[READY])?;
        let identity = identity(&reads)?;
        let ends = Ends::new(Receiver::from_owned_fd(reads)?, Sender::from_owned_fd(writes)?);
        Ok(Channel::new(ends, identity, self.place.endpoint().to_string()))
    }

    /// The caller sees when what it reads is opened and closed again: that comes last.
    fn open(&self, up: &str, down: &str) -> io::Result<(OwnedFd, OwnedFd)> {
        let reads = self.place.open(up, OFlags::RDONLY)?;
        Ok((reads, self.place.open(down, OFlags::WRONLY)?))
    }
}

/// The pipe at the path, locked against other listeners; one that a killed process left behind is taken over. It is opened
/// for writing as well, so that it has no end when callers go.
fn claim(place: &Place) -> io::Result<OwnedFd> {
    for _ in 0..CLAIMS_MAX {
        match place.make(place.name()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let pipe = match place.open(place.name(), OFlags::RDWR) {
            // Whoever listened here has just taken it away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        match rustix::fs::flock(&pipe, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(io::ErrorKind::AddrInUse.into()),
            locked => locked?,
        }
        if place.has(place.name(), &pipe) {
            return Ok(pipe);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        self.place.endpoint()
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        loop {
            while let Some(end) = self.end_of_next() {
                let answer = self.answer(self.heard.get(..end).unwrap_or_default());
                if let Err(error) = &answer
                    && is_shortage(error)
                {
                    // The caller waits meanwhile.
                    pause_after(self.endpoint(), error).await;
                    continue;
                }
                self.heard.drain(..=end);
                match answer {
                    Ok(channel) => return Ok(channel),
                    Err(error) => unanswered(self.endpoint(), &error),
                }
            }
            if let Err(error) = self.hear().await {
                pause_after(self.place.endpoint(), &error).await;
            }
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        // Whoever listens here next has to wait for the lock, so the name is ours until then.
        if self.place.has(self.place.name(), &self.rendezvous) {
            self.place.remove(self.place.name());
        }
        let _ = self.place.sweep();
    }
}
