//! Two one-way carriers as one channel.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read comes from one end, what is written goes to the other, which is closed when writing is shut down: that is how
/// the reader of a pipe sees the end.
pub(super) struct Ends<R, W> {
    reads: R,
    writes: Option<W>,
}

impl<R, W> Ends<R, W> {
    pub(super) fn new(reads: R, writes: W) -> Self {
        Self { reads, writes: Some(writes) }
    }
}

impl<R: AsyncRead + Unpin, W: Unpin> AsyncRead for Ends<R, W> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().reads).poll_read(cx, buffer)
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> Ends<R, W> {
    /// The writing end, while there is one.
    fn writes(self: Pin<&mut Self>) -> io::Result<Pin<&mut W>> {
        let writes = self.get_mut().writes.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Pin::new(writes))
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> AsyncWrite for Ends<R, W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.writes.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().writes {
            Some(writes) => Pin::new(writes).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(writes) = &mut this.writes {
            ready!(Pin::new(writes).poll_shutdown(cx))?;
        }
        this.writes = None;
        Poll::Ready(Ok(()))
    }
}
