//! Streams whose end must be told by the program, not by the kernel.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::limits::LINGER;
use crate::transport::Stream;

/// A stream that is shut down when it is dropped: what was written arrives, and then the end. What cannot leave at once gets
/// [`LINGER`] on a task of its own.
pub(super) struct Lingering<S: Stream + 'static>(Option<S>);

impl<S: Stream + 'static> Lingering<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Some(stream))
    }

    /// The stream; there is one until the drop.
    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.0.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: Stream + 'static> Drop for Lingering<S> {
    fn drop(&mut self) {
        let Some(mut stream) = self.0.take() else { return };
        let at_once = Pin::new(&mut stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        if at_once.is_pending()
            && let Ok(runtime) = Handle::try_current()
        {
            // Nobody is left who could be told that it failed.
            runtime.spawn(async move { drop(timeout(LINGER, stream.shutdown()).await) });
        }
    }
}

impl<S: Stream + 'static> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl<S: Stream + 'static> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_dropped_stream_could_not_write_in_time_is_given_up() {
        /// A stream that never gets its end out.
        struct Stuck {
            _open: tokio::io::DuplexStream,
        }

        impl AsyncRead for Stuck {
            fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                Poll::Pending
            }
        }

        impl AsyncWrite for Stuck {
            fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
                Poll::Pending
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Pending
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Pending
            }
        }

        let (near, mut far) = tokio::io::duplex(1);
        drop(Lingering::new(Stuck { _open: near }));
        let begun = tokio::time::Instant::now();
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "the stream is gone");
        assert_eq!(begun.elapsed(), LINGER);
    }
}
