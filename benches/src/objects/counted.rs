//! A transport that counts the frames that pass, those that renew leases apart.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use rmi_core::Endpoint;
use rmi_core::transport::{Channel, Listener, Stream, Transport, TransportError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What has passed in both directions of the channels that are dialled.
#[derive(Default)]
pub(crate) struct Frames {
    all: AtomicU64,
    renewals: AtomicU64,
}

impl Frames {
    /// How many frames there were, and how many of them were renewals.
    pub(crate) fn passed(&self) -> [u64; 2] {
        [&self.all, &self.renewals].map(|count| count.load(Ordering::Relaxed))
    }

    fn add(&self, passed: Passed) {
        self.all.fetch_add(passed.frames, Ordering::Relaxed);
        self.renewals.fetch_add(passed.renewals, Ordering::Relaxed);
    }
}

/// The kind of a frame that renews a lease. Protocol §3.
const RENEW: u8 = 12;

/// A transport that counts the frames.
pub(crate) struct Counted {
    inner: Arc<dyn Transport>,
    frames: Arc<Frames>,
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn Transport>, frames: Arc<Frames>) -> Self {
        Self { inner, frames }
    }
}

#[async_trait]
impl Transport for Counted {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let channel = self.inner.dial(endpoint).await?;
        let directions = [Direction::default(), Direction::default()];
        let stream = Counting { stream: channel.stream, frames: self.frames.clone(), directions };
        Ok(Channel::new(stream, channel.identity, channel.address))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        self.inner.listen(endpoint).await
    }
}

struct Counting {
    stream: Box<dyn Stream>,
    frames: Arc<Frames>,
    directions: [Direction; 2],
}

/// Where one direction is: in the length of a frame, or in its bytes.
#[derive(Default)]
struct Direction {
    length: [u8; 4],
    known: usize,
    left: usize,
    is_begun: bool,
}

#[derive(Debug, Default, PartialEq)]
struct Passed {
    frames: u64,
    renewals: u64,
}

impl Direction {
    /// The frames that end in these bytes, and the renewals that begin in them.
    fn pass(&mut self, mut bytes: &[u8]) -> Passed {
        let mut passed = Passed::default();
        while let Some((&first, rest)) = bytes.split_first() {
            if self.known < self.length.len() {
                self.length[self.known] = first;
                self.known += 1;
                bytes = rest;
                if self.known == self.length.len() {
                    self.left = usize::try_from(u32::from_le_bytes(self.length)).unwrap_or(usize::MAX);
                }
            } else {
                // The kind stands behind the length.
                passed.renewals += u64::from(first == RENEW && !self.is_begun);
                self.is_begun = true;
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
            }
            if self.known == self.length.len() && self.left == 0 {
                (self.known, self.is_begun) = (0, false);
                passed.frames += 1;
            }
        }
        passed
    }
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.frames.add(this.directions[0].pass(&buffer.filled()[before..]));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.frames.add(this.directions[1].pass(&bytes[..written]));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let wire = [3, 0, 0, 0, 7, 12, 12, 1, 0, 0, 0, 12, 2, 0, 0, 0, 1];
        for size in 1..=wire.len() {
            let mut direction = Direction::default();
            let count = |sum: Passed, piece: &[u8]| {
                let Passed { frames, renewals } = direction.pass(piece);
                Passed { frames: sum.frames + frames, renewals: sum.renewals + renewals }
            };
            let passed = wire.chunks(size).fold(Passed::default(), count);
            assert_eq!(passed, Passed { frames: 2, renewals: 1 }, "in pieces of {size}");
            assert_eq!(direction.left, 1);
        }
    }
}
