//! What wakes a side that sleeps: its doorbell, and the end of the peer's process.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

/// Why a side was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// There may be something to do.
    Look,
    /// The peer is gone; what it has published is there.
    Gone,
}

/// Which half of a channel sleeps. Each has a place for a waker of its own, as they may be in different tasks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Reading,
    Writing,
}

pub(super) struct Bells {
    own: AsyncFd<OwnedFd>,
    peer: OwnedFd,
    /// Silent after the handover; it closes with the peer's process.
    socket: UnixStream,
}

impl Bells {
    #[expect(deprecated, reason = "the new name is unsafe for the sake of descriptors that are not owned; these are")]
    pub(super) fn new(own: OwnedFd, peer: OwnedFd, socket: UnixStream) -> io::Result<Self> {
        Ok(Self { own: AsyncFd::new(own)?, peer, socket })
    }

    /// Wakes the peer. A peer that makes this fail keeps nobody asleep but itself.
    pub(super) fn ring(&self) {
        let _ = rustix::io::write(&self.peer, &0u64.to_ne_bytes());
    }

    /// Waits until this side is woken.
    ///
    /// Each ring is an edge for readers and for writers, as the counter is always readable and writable: it is never read.
    pub(super) fn poll_woken(&self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<Woken>> {
        let socket = match side {
            Side::Reading => self.socket.poll_read_ready(cx),
            Side::Writing => self.socket.poll_write_ready(cx),
        };
        if let Poll::Ready(ready) = socket {
            return Poll::Ready(ready.and_then(|()| self.listen(side)));
        }
        let rung = match side {
            Side::Reading => self.own.poll_read_ready(cx),
            Side::Writing => self.own.poll_write_ready(cx),
        };
        ready!(rung)?.clear_ready();
        Poll::Ready(Ok(Woken::Look))
    }

    /// Whether the peer is still there.
    fn listen(&self, side: Side) -> io::Result<Woken> {
        let interest = match side {
            Side::Reading => Interest::READABLE,
            Side::Writing => Interest::WRITABLE,
        };
        // That there is nothing is what clears the readiness.
        let heard = self.socket.try_io(interest, || {
            let (count, _) = rustix::net::recv(&self.socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
            Ok(count)
        });
        match heard {
            Ok(0) => Ok(Woken::Gone),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "the peer sent bytes beside the shared memory")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Woken::Look),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Woken::Gone),
            Err(error) => Err(error),
        }
    }
}
