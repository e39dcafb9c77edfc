//! What a driver moves beside the bytes of a channel: large bodies on streams of their own.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::limits;
use crate::node::connection::Connection;
use crate::node::now;
use crate::proto::{Arriving, Aside, Event};
use crate::transport::{AsideReader, AsideWriter, Asides};

/// What one read of a stream may bring.
const READ: usize = 128 * 1024;
/// How much is read before others may run: more than can have come and not been read.
const READ_PER_TURN: usize = 8 << 20;

/// The streams beside the bytes of one channel.
pub(super) struct Beside {
    asides: Option<Box<dyn Asides>>,
    /// Whether the peer's hello was there: a stream may overtake it, and waits.
    met: bool,
    /// A body for which no stream can be opened yet.
    next: Option<Aside>,
    leaving: Vec<(AsideWriter, Aside)>,
    coming: Vec<(AsideReader, Arriving)>,
}

impl Beside {
    pub(super) fn new(asides: Option<Box<dyn Asides>>) -> Self {
        Self { asides, met: false, next: None, leaving: Vec::new(), coming: Vec::new() }
    }

    /// The peer has said hello.
    pub(super) fn meet(&mut self) {
        self.met = true;
    }

    /// Whether the channel has such streams.
    pub(super) fn is_there(&self) -> bool {
        self.asides.is_some()
    }

    /// Reads all that has come by now.
    pub(super) fn receive(&mut self, connection: &Connection, events: &mut Vec<Event>, cx: &mut Context<'_>) {
        let mut left = READ_PER_TURN;
        while self.met {
            self.accept(cx);
            let before = self.coming.len();
            self.coming.retain_mut(|(stream, arriving)| {
                read_on(stream, arriving, connection, events, &mut left, cx).is_pending()
            });
            // Where one has ended another may have come that nobody waits for yet.
            if self.coming.len() == before {
                return;
            }
        }
    }

    fn accept(&mut self, cx: &mut Context<'_>) {
        while self.coming.len() < limits::ASIDES_MAX
            && let Some(asides) = &mut self.asides
            && let Poll::Ready(accepted) = asides.poll_accept(cx)
        {
            match accepted {
                Ok(stream) => self.coming.push((stream, Arriving::default())),
                // That the channel is over is for its bytes to say.
                Err(_) => self.asides = None,
            }
        }
    }

    /// Writes what the streams take.
    pub(super) fn transmit(&mut self, connection: &Connection, cx: &mut Context<'_>) {
        loop {
            self.open(connection, cx);
            let before = self.leaving.len();
            self.leaving.retain_mut(|(stream, aside)| write_on(stream, aside, connection, cx).is_pending());
            if self.leaving.len() == before {
                return;
            }
        }
    }

    fn open(&mut self, connection: &Connection, cx: &mut Context<'_>) {
        while self.leaving.len() < limits::ASIDES_MAX
            && let Some(asides) = &mut self.asides
        {
            let next = self.next.take().or_else(|| {
                connection.locked(|session| {
                    session.set_driver(cx.waker());
                    session.poll_aside(now())
                })
            });
            let Some(aside) = next else { return };
            match asides.poll_open(cx) {
                Poll::Ready(Ok(stream)) => self.leaving.push((stream, aside)),
                Poll::Ready(Err(_)) => self.asides = None,
                Poll::Pending => {
                    self.next = Some(aside);
                    return;
                }
            }
        }
    }
}

/// Reads until the stream has no more for now; `Ready` when it is over.
fn read_on(
    stream: &mut AsideReader,
    arriving: &mut Arriving,
    connection: &Connection,
    events: &mut Vec<Event>,
    left: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<()> {
    while *left > 0 {
        arriving.input.reserve(READ);
        // Whoever takes a stream back ends the connection, or lets its caller wait.
        let Ok(read) = ready!(pin!(stream.read_buf(&mut arriving.input)).poll(cx)) else { return Poll::Ready(()) };
        *left = left.saturating_sub(read);
        connection.locked(|session| session.handle_aside(arriving, read == 0, now(), events));
        if read == 0 {
            return Poll::Ready(());
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Writes what the stream takes, and says so; `Ready` when the peer has it all, or wants no more.
fn write_on(stream: &mut AsideWriter, aside: &mut Aside, connection: &Connection, cx: &mut Context<'_>) -> Poll<()> {
    let before = aside.chunk().len();
    let written = poll_write(stream, aside, connection, cx);
    if written.is_ready() || aside.chunk().len() != before {
        connection.locked(|session| session.aside_taken(aside, written.is_ready(), now()));
    }
    written.map(drop)
}

/// Writes until the peer has it all.
fn poll_write(
    stream: &mut AsideWriter,
    aside: &mut Aside,
    connection: &Connection,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !aside.chunk().is_empty() {
        // Others may close the session at any moment, and its callers must learn the truth.
        if aside.is_last() && !connection.locked(|session| session.may_complete(aside)) {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        match ready!(Pin::new(&mut *stream).poll_write(cx, aside.chunk()))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => aside.advance(written),
        }
    }
    Pin::new(stream).poll_shutdown(cx)
}
