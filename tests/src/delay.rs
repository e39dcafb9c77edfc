//! A transport whose bytes take their time.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use rmi_core::transport::{Channel, Listener, Stream, Transport, TransportError};
use rmi_core::{Bytes, Endpoint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A transport whose channels carry every byte, in each direction, this much later. It slows down those channels of the inner
/// transport that are dialled and accepted through it, and their order and number of bytes are what they were.
///
/// The time is tokio's: tests can stop it, and then read off it how long something took.
pub struct Delay {
    inner: Arc<dyn Transport>,
    delay: Duration,
}

impl Delay {
    /// `inner`, with `delay` in each direction.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, delay: Duration) -> Self {
        Self { inner, delay }
    }
}

fn slow(channel: Channel, delay: Duration) -> Channel {
    let (under_way, sleep) = (VecDeque::new(), Box::pin(sleep_until(Instant::now())));
    let stream = Slow { stream: channel.stream, delay, under_way, bytes: 0, sleep, ended: false };
    Channel::new(stream, channel.identity, channel.address)
}

#[async_trait]
impl Transport for Delay {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        Ok(slow(self.inner.dial(endpoint).await?, self.delay))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(Listening { inner: self.inner.listen(endpoint).await?, delay: self.delay }))
    }
}

struct Listening {
    inner: Box<dyn Listener>,
    delay: Duration,
}

#[async_trait]
impl Listener for Listening {
    fn endpoint(&self) -> &Endpoint {
        self.inner.endpoint()
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        Ok(slow(self.inner.accept().await?, self.delay))
    }
}

/// What may be under way before the sender has to wait.
const UNDER_WAY_MAX: usize = 1 << 20;

/// Both ends hold back what they read; what they write goes on at once.
struct Slow {
    stream: Box<dyn Stream>,
    delay: Duration,
    under_way: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    sleep: Pin<Box<Sleep>>,
    ended: bool,
}

impl Slow {
    /// Takes what has been sent off the inner stream, with the time at which it arrives. The end arrives as an empty piece.
    fn take_sent(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        while !self.ended && self.bytes < UNDER_WAY_MAX {
            let mut buffer = ReadBuf::new(&mut bytes);
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) else { break };
            read?;
            self.ended = buffer.filled().is_empty();
            self.bytes += buffer.filled().len();
            self.under_way.push_back((Instant::now() + self.delay, Bytes::copy_from_slice(buffer.filled())));
        }
        Ok(())
    }
}

impl AsyncRead for Slow {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.take_sent(cx)?;
        let Some((due, piece)) = this.under_way.front_mut() else {
            return if this.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        if *due > Instant::now() {
            this.sleep.as_mut().reset(*due);
            ready!(this.sleep.as_mut().poll(cx));
        }
        let now = piece.split_to(piece.len().min(buffer.remaining()));
        let whole = piece.is_empty();
        buffer.put_slice(&now);
        this.bytes -= now.len();
        if whole {
            this.under_way.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
