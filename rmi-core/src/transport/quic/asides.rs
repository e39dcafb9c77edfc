//! Further one-way streams of a QUIC connection, for large bodies.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use tokio::io::AsyncWrite;

use super::stream::Acknowledged;
use crate::transport::{AsideReader, AsideWriter, Asides};

type Getting<S> = Option<Pin<Box<dyn Future<Output = Result<S, ConnectionError>> + Send>>>;

pub(super) struct QuicAsides {
    connection: Connection,
    opening: Getting<SendStream>,
    accepting: Getting<RecvStream>,
}

impl QuicAsides {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, opening: None, accepting: None }
    }
}

impl Asides for QuicAsides {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<AsideWriter>> {
        let connection = &self.connection;
        let opening = self.opening.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        Poll::Ready(Ok(Box::new(Leaving { send: opened?, told: None, known: false })))
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<AsideReader>> {
        let connection = &self.connection;
        let accepting = self.accepting.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_uni().await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.accepting = None;
        Poll::Ready(Ok(Box::new(accepted?)))
    }
}

/// A stream that is taken back unless the other side has all of it: the library would end it as if it were whole.
struct Leaving {
    send: SendStream,
    told: Option<Acknowledged>,
    known: bool,
}

impl AsyncWrite for Leaving {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let send = &mut this.send;
        let told = this.told.get_or_insert_with(|| {
            // An error means that the other side wants no more: nothing is left to be told.
            let _ = send.finish();
            Box::pin(send.stopped())
        });
        ready!(told.as_mut().poll(cx))?;
        this.known = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if !self.known {
            // One that is over already cannot be taken back, and need not be.
            let _ = self.send.reset(VarInt::from_u32(0));
        }
    }
}
