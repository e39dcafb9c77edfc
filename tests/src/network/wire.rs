//! One simulated channel: two directions, each a bounded queue of pieces that are on their way.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::Random;
use crate::network::Cut;

/// What a direction holds before its writer waits.
const BUFFER_BYTES: usize = 64 * 1024;

/// A channel between two ends.
pub(super) struct Wire(Mutex<State>);

struct State {
    ended: Option<Cut>,
    /// What the end of that index has written.
    directions: [Direction; 2],
    random: Random,
    delay_max_ms: u64,
}

#[derive(Default)]
struct Direction {
    pieces: VecDeque<Piece>,
    /// The bytes in `pieces`.
    bytes: usize,
    /// When the last piece, or the end, arrives: nothing overtakes it.
    last: Option<Instant>,
    finished: bool,
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Piece {
    arrives: Instant,
    bytes: Vec<u8>,
    taken: usize,
}

/// One end of a channel.
pub(super) struct End {
    wire: Arc<Wire>,
    side: usize,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// A channel whose pieces take up to `delay_max_ms`, as `seed` has it, and its two ends.
pub(super) fn pair(seed: u64, delay_max_ms: u64) -> (Weak<Wire>, End, End) {
    let state = State { ended: None, directions: Default::default(), random: Random::new(seed), delay_max_ms };
    let wire = Arc::new(Wire(Mutex::new(state)));
    let end = |side| End { wire: wire.clone(), side, sleep: None };
    (Arc::downgrade(&wire), end(0), end(1))
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel is dead from now on, in both directions.
    pub(super) fn end(&self, how: Cut) {
        let mut state = self.lock();
        state.ended = Some(how);
        for direction in &mut state.directions {
            direction.pieces.clear();
            direction.wake();
        }
    }
}

impl State {
    /// When something that is sent now by `side` arrives.
    fn arrival(&mut self, side: usize) -> Instant {
        let delay = Duration::from_millis(self.random.between(1, self.delay_max_ms));
        let direction = &mut self.directions[side];
        let arrives = direction.last.map_or(Instant::now() + delay, |last| last.max(Instant::now() + delay));
        direction.last = Some(arrives);
        arrives
    }
}

impl Direction {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// Fills `buffer` from what has arrived by now.
    fn read(&mut self, buffer: &mut ReadBuf<'_>, now: Instant) {
        while let Some(piece) = self.pieces.front_mut().filter(|piece| piece.arrives <= now) {
            let rest = &piece.bytes[piece.taken..];
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..count]);
            (piece.taken, self.bytes) = (piece.taken + count, self.bytes - count);
            if piece.taken < piece.bytes.len() {
                return;
            }
            self.pieces.pop_front();
        }
    }

    /// When there will be something to read, or the end; `None` when nobody knows.
    fn next(&self) -> Option<Instant> {
        let end = self.last.filter(|_| self.finished);
        self.pieces.front().map(|piece| piece.arrives).or(end)
    }
}

fn reset<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for End {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            // One reading of the clock: what arrives between two would be taken for the end.
            let now = Instant::now();
            let due = {
                let mut state = this.wire.lock();
                let ended = state.ended;
                let direction = &mut state.directions[1 - this.side];
                direction.reader = Some(cx.waker().clone());
                match ended {
                    Some(Cut::Reset) => return reset(),
                    Some(Cut::Silent) => return Poll::Pending,
                    None => {}
                }
                let before = buffer.filled().len();
                direction.read(buffer, now);
                if buffer.filled().len() > before {
                    direction.writer.take().into_iter().for_each(Waker::wake);
                    return Poll::Ready(Ok(()));
                }
                direction.next()
            };
            let Some(due) = due else { return Poll::Pending };
            if due <= now {
                return Poll::Ready(Ok(()));
            }
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            sleep.as_mut().reset(due);
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.wire.lock();
        let ended = state.ended;
        if ended == Some(Cut::Reset) {
            return reset();
        }
        let direction = &mut state.directions[self.side];
        if direction.unread || direction.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(BUFFER_BYTES - direction.bytes);
        if count == 0 && !bytes.is_empty() {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        direction.bytes += count;
        // What goes into a dead channel fills its buffer and gets nowhere.
        if ended.is_none() {
            let arrives = state.arrival(self.side);
            let direction = &mut state.directions[self.side];
            direction.pieces.push_back(Piece { arrives, bytes: bytes[..count].to_vec(), taken: 0 });
            direction.reader.take().into_iter().for_each(Waker::wake);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish(&mut self.wire.lock());
        Poll::Ready(Ok(()))
    }
}

impl End {
    fn finish(&self, state: &mut State) {
        if !state.directions[self.side].finished {
            state.arrival(self.side);
            state.directions[self.side].finished = true;
            state.directions[self.side].wake();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.wire.lock();
        self.finish(&mut state);
        let incoming = &mut state.directions[1 - self.side];
        incoming.unread = true;
        incoming.wake();
    }
}
