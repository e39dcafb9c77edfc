//! The stream of a session, with the connection that it belongs to.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use quinn::{Connection, RecvStream, SendStream, StoppedError, VarInt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::transport::tls::WELCOME;

/// One bidirectional stream. Shutting it down ends when the other side has everything, or is gone.
pub(in crate::transport) struct QuicStream {
    /// Alive as long as the stream; what goes beside the stream goes over it.
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    end: End,
}

pub(super) type Acknowledged = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send>>;

/// How far the end of our direction is.
enum End {
    Open,
    Told(Acknowledged),
    Known,
}

impl QuicStream {
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn new(connection: Connection, send: SendStream, recv: RecvStream) -> Self {
        Self { connection, send, recv, end: End::Open }
    }
}

/// Reads the first byte of a direction.
pub(super) async fn expect_welcome(recv: &mut RecvStream) -> io::Result<()> {
    match recv.read_u8().await? {
        WELCOME => Ok(()),
        other => Err(io::Error::other(format!("a welcome of {other} is not known"))),
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.recv), cx, buf)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, buf)
    }

    /// Takes all that there is room for: what is written together leaves together.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            match self.as_mut().poll_write(cx, buf) {
                Poll::Ready(Ok(some)) => {
                    taken += some;
                    if some < buf.len() {
                        break;
                    }
                }
                // What was taken is told first; the next write meets it again.
                _ if taken > 0 => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.end, End::Open) {
            // An error means that the other side wants no more: nothing is left to be told.
            let _ = self.send.finish();
            self.end = End::Told(Box::pin(self.send.stopped()));
        }
        if let End::Told(acknowledged) = &mut self.end {
            let known = ready!(acknowledged.as_mut().poll(cx));
            self.end = End::Known;
            known?;
        }
        Poll::Ready(Ok(()))
    }
}
