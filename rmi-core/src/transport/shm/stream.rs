//! The two rings as a stream of bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

use super::bells::{Bells, Side, Woken};
use super::memory::Half;
use super::ring::{Consumer, Overrun, Producer};
use super::spin::Spin;
use crate::limits::SHM_LOOK_AGAIN;

/// How often one poll looks at the ring. A peer that rings without end gets no more of our time at once.
const LOOKS_PER_POLL: u32 = 8;

pub(super) struct Rings {
    incoming: Consumer<Half>,
    outgoing: Producer<Half>,
    bells: Bells,
    spin: Spin,
    /// When each half looks although nobody rang.
    reading: Clock,
    writing: Clock,
    /// Whether the peer is known to be gone.
    gone: bool,
}

impl Rings {
    pub(super) fn new(incoming: Half, outgoing: Half, bells: Bells, spin: Spin) -> Self {
        let (incoming, outgoing) = (Consumer::new(incoming), Producer::new(outgoing));
        let (reading, writing) = (Clock::default(), Clock::default());
        Self { incoming, outgoing, bells, spin, reading, writing, gone: false }
    }

    /// Copies out what is there.
    fn take(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
        let length = self.incoming.look()?.min(buffer.remaining());
        if length > 0 {
            let wake = self.incoming.take(buffer.initialize_unfilled_to(length));
            buffer.advance(length);
            self.ring_if(wake);
            self.spin.answered();
        }
        Ok(length)
    }

    /// Copies in as much as there is room for.
    fn put(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = self.outgoing.room()?;
        let mut left = room;
        for piece in pieces {
            let part = piece.get(..left).unwrap_or(piece);
            self.outgoing.put(part);
            left -= part.len();
        }
        if left < room {
            let wake = self.outgoing.publish();
            self.ring_if(wake);
            self.spin.expect();
        }
        Ok(room - left)
    }

    fn ring_if(&self, wake: bool) {
        if wake {
            self.bells.ring();
        }
    }

    fn wait_awake(&mut self) {
        if self.spin.is_due() {
            self.incoming.wake();
            let incoming = &mut self.incoming;
            self.spin.wait(|| incoming.look() != Ok(0) || incoming.is_ended());
        }
    }

    /// Waits until the incoming ring is to be looked at again.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.incoming.sleep() {
            return Poll::Ready(Ok(()));
        }
        let woken = ready!(poll_woken(&self.bells, Side::Reading, &mut self.reading, cx))?;
        self.gone |= woken == Woken::Gone;
        self.incoming.wake();
        Poll::Ready(Ok(()))
    }

    /// Waits until the outgoing ring is to be looked at again.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.sleep() {
            return Poll::Ready(Ok(()));
        }
        let woken = ready!(poll_woken(&self.bells, Side::Writing, &mut self.writing, cx))?;
        self.gone |= woken == Woken::Gone;
        self.outgoing.wake();
        Poll::Ready(Ok(()))
    }

    fn end(&mut self) {
        if !self.outgoing.is_closed() {
            let wake = self.outgoing.close();
            self.ring_if(wake);
        }
    }
}

impl AsyncRead for Rings {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let turn = ready!(coop::poll_proceed(cx));
        for _ in 0..LOOKS_PER_POLL {
            // What was published before the peer went is there when it is known to be gone.
            let last = this.gone;
            let taken = this.take(buffer)?;
            if taken > 0 || buffer.remaining() == 0 || this.incoming.is_ended() || last {
                turn.made_progress();
                return Poll::Ready(Ok(()));
            }
            this.wait_awake();
            ready!(this.poll_incoming(cx))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncWrite for Rings {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let turn = ready!(coop::poll_proceed(cx));
        let nothing = pieces.iter().all(|piece| piece.is_empty());
        for _ in 0..LOOKS_PER_POLL {
            if this.gone || this.outgoing.is_closed() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let taken = this.put(pieces)?;
            if taken > 0 || nothing {
                turn.made_progress();
                return Poll::Ready(Ok(taken));
            }
            ready!(this.poll_outgoing(cx))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What was written is with the peer already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        self.end();
    }
}

impl From<Overrun> for io::Error {
    fn from(overrun: Overrun) -> Self {
        Self::new(io::ErrorKind::InvalidData, overrun)
    }
}

/// Waits for the peer, or for the clock: a peer that should have rung and did not delays itself, by so much.
fn poll_woken(bells: &Bells, side: Side, clock: &mut Clock, cx: &mut Context<'_>) -> Poll<io::Result<Woken>> {
    match bells.poll_woken(side, cx) {
        Poll::Pending => clock.poll(cx).map(|()| Ok(Woken::Look)),
        woken => woken,
    }
}

/// Ticks now and then while somebody waits for it. It goes on ticking beside a channel that moves, which costs less than to
/// set it anew for each byte.
#[derive(Default)]
struct Clock {
    tick: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let tick = self.tick.get_or_insert_with(|| Box::pin(tokio::time::sleep(SHM_LOOK_AGAIN)));
        ready!(tick.as_mut().poll(cx));
        tick.as_mut().reset(Instant::now() + SHM_LOOK_AGAIN);
        Poll::Ready(())
    }
}
