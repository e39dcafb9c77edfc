//! A transport whose bytes take their time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rmi_core::Endpoint;
use rmi_core::transport::{Channel, Listener, Transport, TransportError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// A transport whose dialled channels take so long in each direction.
pub(crate) struct Delayed {
    inner: Arc<dyn Transport>,
    delay: Duration,
}

/// What is on its way in one direction, in pieces of at most [`PIECE`].
const ON_THE_WAY: usize = 256;
const PIECE: usize = 16 * 1024;

impl Delayed {
    pub(crate) fn new(inner: Arc<dyn Transport>, delay: Duration) -> Self {
        Self { inner, delay }
    }
}

#[async_trait]
impl Transport for Delayed {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let channel = self.inner.dial(endpoint).await?;
        let (near, ours) = tokio::io::duplex(PIECE);
        let (ours_read, ours_write) = tokio::io::split(ours);
        let (far_read, far_write) = tokio::io::split(channel.stream);
        carry(ours_read, far_write, self.delay);
        carry(far_read, ours_write, self.delay);
        Ok(Channel::new(near, channel.identity, channel.address))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        self.inner.listen(endpoint).await
    }
}

/// Carries bytes until either side ends: one task takes them and notes the time, the other hands them on when it has come.
fn carry(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    delay: Duration,
) {
    let (sent, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    tokio::spawn(async move {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut piece).await {
            if sent.send((Instant::now() + delay, piece[..count].to_vec())).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, piece)) = arriving.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        // Either side may have ended already.
        let _ = to.shutdown().await;
    });
}
