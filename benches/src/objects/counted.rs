//! A transport that counts the frames that pass.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use rmi_core::Endpoint;
use rmi_core::transport::{Channel, Listener, Stream, Transport, TransportError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A transport that counts the frames of both directions of the channels that are dialled.
pub(crate) struct Counted {
    inner: Arc<dyn Transport>,
    frames: Arc<AtomicU64>,
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn Transport>, frames: Arc<AtomicU64>) -> Self {
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
    frames: Arc<AtomicU64>,
    directions: [Direction; 2],
}

/// Where one direction is: in the length of a frame, or in its bytes.
#[derive(Default)]
struct Direction {
    length: [u8; 4],
    known: usize,
    left: usize,
}

impl Direction {
    /// The number of frames that end in these bytes.
    fn pass(&mut self, mut bytes: &[u8]) -> u64 {
        let mut frames = 0;
        while let Some((&first, rest)) = bytes.split_first() {
            if self.known < self.length.len() {
                self.length[self.known] = first;
                self.known += 1;
                bytes = rest;
                if self.known == self.length.len() {
                    self.left = usize::try_from(u32::from_le_bytes(self.length)).unwrap_or(usize::MAX);
                }
            } else {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
            }
            if self.known == self.length.len() && self.left == 0 {
                self.known = 0;
                frames += 1;
            }
        }
        frames
    }
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.frames.fetch_add(this.directions[0].pass(&buffer.filled()[before..]), Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.frames.fetch_add(this.directions[1].pass(&bytes[..written]), Ordering::Relaxed);
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
        let wire = [3, 0, 0, 0, 7, 7, 7, 1, 0, 0, 0, 9, 2, 0, 0, 0, 1];
        for size in 1..=wire.len() {
            let mut direction = Direction::default();
            let frames: u64 = wire.chunks(size).map(|piece| direction.pass(piece)).sum();
            assert_eq!((frames, direction.left), (2, 1), "in pieces of {size}");
        }
    }
}
