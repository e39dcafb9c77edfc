//! A transport that breaks its channels where a plan says.

use std::io;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use rmi_core::Endpoint;
use rmi_core::transport::{Channel, Listener, Stream, Transport, TransportError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Random;

/// What goes wrong with the channels of a [`Faulty`] transport. Positions are drawn anew for each channel.
#[derive(Debug)]
pub struct Plan {
    random: Random,
    written: Option<RangeInclusive<u64>>,
    read: Option<RangeInclusive<u64>>,
    piece: Option<u64>,
    cuts: AtomicU64,
}

impl Plan {
    /// Nothing goes wrong; randomness to come follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), written: None, read: None, piece: None, cuts: AtomicU64::new(0) }
    }

    /// Cuts a channel after so many bytes were written to it; the bytes up to there arrive.
    #[must_use]
    pub fn cut_after_written(mut self, bytes: RangeInclusive<u64>) -> Self {
        self.written = Some(bytes);
        self
    }

    /// Cuts a channel after so many bytes were read from it.
    #[must_use]
    pub fn cut_after_read(mut self, bytes: RangeInclusive<u64>) -> Self {
        self.read = Some(bytes);
        self
    }

    /// Reads and writes take so many bytes at a time, at most.
    #[must_use]
    pub fn pieces(mut self, bytes: u64) -> Self {
        self.piece = Some(bytes.max(1));
        self
    }

    /// How many channels were cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    fn draw(&self, range: Option<&RangeInclusive<u64>>) -> u64 {
        range.map_or(u64::MAX, |range| self.random.between(*range.start(), *range.end()))
    }
}

/// A transport whose dialled and accepted channels break as planned.
pub struct Faulty {
    inner: Arc<dyn Transport>,
    plan: Arc<Plan>,
}

impl Faulty {
    /// `inner`, with the faults of `plan`.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, plan: Arc<Plan>) -> Self {
        Self { inner, plan }
    }
}

fn broken(channel: Channel, plan: &Arc<Plan>) -> Channel {
    let (written_left, read_left) = (plan.draw(plan.written.as_ref()), plan.draw(plan.read.as_ref()));
    let stream = Broken { stream: Some(channel.stream), plan: plan.clone(), written_left, read_left };
    Channel::new(stream, channel.identity, channel.address)
}

#[async_trait]
impl Transport for Faulty {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    fn cost(&self) -> u8 {
        self.inner.cost()
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        Ok(broken(self.inner.dial(endpoint).await?, &self.plan))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        let inner = self.inner.listen(endpoint).await?;
        Ok(Box::new(Listening { inner, plan: self.plan.clone() }))
    }
}

struct Listening {
    inner: Box<dyn Listener>,
    plan: Arc<Plan>,
}

#[async_trait]
impl Listener for Listening {
    fn endpoint(&self) -> &Endpoint {
        self.inner.endpoint()
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        Ok(broken(self.inner.accept().await?, &self.plan))
    }
}

struct Broken {
    stream: Option<Box<dyn Stream>>,
    plan: Arc<Plan>,
    written_left: u64,
    read_left: u64,
}

impl Broken {
    /// Both directions end: what was written before is still delivered, as a socket's buffer is.
    fn cut(&mut self) {
        if self.stream.take().is_some() {
            self.plan.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn piece(&self, wanted: usize, left: u64) -> usize {
        let most = self.plan.piece.unwrap_or(u64::MAX).min(left);
        usize::try_from(most).unwrap_or(usize::MAX).min(wanted)
    }
}

fn reset<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for Broken {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let most = this.piece(buffer.remaining(), this.read_left);
        let Some(stream) = this.stream.as_mut() else { return reset() };
        if most == 0 && buffer.remaining() > 0 {
            this.cut();
            return reset();
        }
        let mut bytes = vec![0; most];
        let mut part = ReadBuf::new(&mut bytes);
        std::task::ready!(Pin::new(stream).poll_read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        this.read_left -= part.filled().len() as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Broken {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let most = this.piece(bytes.len(), this.written_left);
        let Some(stream) = this.stream.as_mut() else { return reset() };
        if most == 0 && !bytes.is_empty() {
            this.cut();
            return reset();
        }
        let written = std::task::ready!(Pin::new(stream).poll_write(cx, &bytes[..most]))?;
        this.written_left -= written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().map_or_else(reset, |stream| Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().map_or_else(reset, |stream| Pin::new(stream).poll_shutdown(cx))
    }
}
