//! The task of a connection: it moves bytes between channel and session, and starts what came in.
//!
//! One task reads and writes. Everything of one read is handled before anything is written, so many answers leave in one
//! write; and when callers have woken it, it lets the others that are ready queue their calls first.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, timeout};

use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::LeaseId;
use crate::node::beside::Beside;
use crate::node::connection::{Connection, lock};
use crate::node::{now, serve};
use crate::peer::Peer;
use crate::proto::{Event, Session, code};
use crate::security::Access;
use crate::transport::{Channel, Datagrams, Stream};

/// What one read may bring on a quiet connection and on a busy one.
const READ_QUIET: usize = 4 * 1024;
const READ_BUSY: usize = 128 * 1024;
/// How many pieces go into one write.
const PIECES_PER_WRITE: usize = 64;
/// How often a driver reads before it lets others run.
const READS_PER_TURN: usize = 16;
/// How long a connection that is over may take to tell the peer.
const FAREWELL: Duration = Duration::from_secs(1);

/// Moves the bytes of a connection that a peer made until it is over.
pub(super) async fn drive(connection: Arc<Connection>, channel: Channel) {
    let driver = run(&connection, Driver::new(connection.clone(), channel, None)).await;
    finish(&connection, driver).await;
}

/// Lets the session meet whoever is at the other end, until it is over or the session has to look elsewhere.
pub(super) async fn run(connection: &Arc<Connection>, mut driver: Driver) -> Driver {
    let datagram_bytes = driver.datagrams.as_ref().map_or(0, |datagrams| datagrams.bytes_max());
    connection.locked(|session| {
        session.set_datagram_bytes(datagram_bytes);
        session.set_asides(driver.beside.is_there());
        session.start(now());
    });
    // The program's authorizer runs on this task: what it does to itself must not leave a connection that nobody drives.
    let poll = |cx: &mut Context<'_>| catch_unwind(AssertUnwindSafe(|| driver.poll(cx)));
    let mut poll = poll;
    let end = std::future::poll_fn(|cx| match poll(cx) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    if end.await.is_err() {
        connection.locked(|session| session.goodbye(code::DONE, "the task of the connection panicked"));
    }
    driver
}

/// Tells everybody that the session is over, the peer last.
pub(super) async fn finish(connection: &Arc<Connection>, driver: Driver) {
    connection.ended();
    driver.farewell().await;
    connection.gone();
}

/// The one timer of a connection.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl Timer {
    /// Wakes the task at `due` at the latest; `Ready` when that has passed. A timer that is set to an earlier time is left
    /// alone: it fires, nothing is due, and it is set again.
    pub(super) fn poll(&mut self, due: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = due else { return Poll::Pending };
        if self.armed.is_none_or(|armed| due < armed) {
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(due.into()),
                none => *none = Some(Box::pin(tokio::time::sleep_until(due.into()))),
            }
            self.armed = Some(due);
        }
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        self.armed = None;
        Poll::Ready(())
    }
}

pub(super) struct Driver {
    connection: Arc<Connection>,
    /// Where the channel was dialled.
    place: Option<Endpoint>,
    stream: Box<dyn Stream>,
    datagrams: Option<Box<dyn Datagrams>>,
    beside: Beside,
    identity: crate::peer::Identity,
    address: String,
    /// What the transport is told: see [`Channel::one_awaited`].
    one_awaited: Arc<AtomicBool>,
    /// What came with the last read.
    came: usize,
    input: BytesMut,
    read_size: usize,
    batch: VecDeque<Bytes>,
    /// Datagrams on their way to the channel.
    waiting: VecDeque<Bytes>,
    timer: Timer,
    events: Vec<Event>,
    replies: serve::Replies,
    /// Whether callers were given their chance to queue before the next write.
    yielded: bool,
    /// Whether something was written since it was last asked for.
    wrote: bool,
    /// Whether the last read found nothing, and whether the one before it left room for more.
    drained: bool,
    has_room: bool,
    /// Whether the channel can still be written to.
    writable: bool,
}

/// Whether the driver may go on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Over,
}

impl Driver {
    pub(super) fn new(connection: Arc<Connection>, channel: Channel, place: Option<Endpoint>) -> Self {
        let Channel { stream, identity, address, one_awaited, datagrams, asides } = channel;
        Self {
            connection,
            place,
            stream,
            datagrams,
            beside: Beside::new(asides),
            identity,
            address,
            one_awaited,
            came: 0,
            input: BytesMut::new(),
            read_size: READ_QUIET,
            batch: VecDeque::new(),
            waiting: VecDeque::new(),
            timer: Timer::default(),
            events: Vec::new(),
            replies: Vec::new(),
            yielded: false,
            wrote: false,
            drained: false,
            has_room: false,
            writable: true,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Calls that waited for a promise go before those that came after it was settled.
        serve::serve_due(&self.connection, &mut self.replies);
        self.reply();
        let (mut reads, mut transmitted) = (READS_PER_TURN, false);
        loop {
            if self.receive(cx, &mut reads) == Flow::Over || self.receive_datagrams(cx) == Flow::Over {
                return Poll::Ready(());
            }
            if self.hold_back(cx) {
                return if transmitted { self.rest(cx) } else { Poll::Pending };
            }
            transmitted = true;
            if self.transmit(cx) == Flow::Over {
                return Poll::Ready(());
            }
            // Some transports wait a moment for the answer to what was written: that is when they are asked again.
            let idle = !std::mem::take(&mut self.wrote) && self.drained;
            if idle || reads == 0 {
                if !idle {
                    cx.waker().wake_by_ref();
                }
                // Also beside a peer that always has more to say: time passes for it, too.
                return self.rest(cx);
            }
        }
    }

    /// Waits for the session's next moment.
    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.connection.locked(|session| {
                session.set_driver(cx.waker());
                session.poll_timeout()
            });
            self.connection.rested();
            ready!(self.timer.poll(due, cx));
            self.connection.tend_held();
            self.connection.locked(|session| session.handle_timeout(now()));
            if self.transmit(cx) == Flow::Over {
                return Poll::Ready(());
            }
        }
    }

    /// Reads what there is, but no more than so often, and handles it.
    fn receive(&mut self, cx: &mut Context<'_>, reads: &mut usize) -> Flow {
        self.drained = false;
        while *reads > 0 {
            *reads -= 1;
            let read = self.poll_read(cx);
            // What the peer had whole before it said something, such as goodbye, counts before that.
            if self.beside.is_there() && self.receive_beside(cx) == Flow::Over {
                return Flow::Over;
            }
            match read {
                Poll::Pending => {
                    self.drained = true;
                    return Flow::On;
                }
                Poll::Ready(Ok(0)) => return self.lost("the peer closed it without a goodbye"),
                Poll::Ready(Err(error)) => return self.lost(&error.to_string()),
                Poll::Ready(Ok(_)) if self.handle_input() == Flow::Over => return Flow::Over,
                // There was room for more: what is answered by now goes first.
                Poll::Ready(Ok(_)) if self.has_room => return Flow::On,
                Poll::Ready(Ok(_)) => {}
            }
        }
        Flow::On
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < self.read_size / 2 {
            self.input.reserve(self.read_size);
        }
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        self.has_room = self.input.len() < self.input.capacity();
        self.read_size = if read >= READ_QUIET / 2 { READ_BUSY } else { READ_QUIET };
        Poll::Ready(Ok(read))
    }

    fn handle_input(&mut self) -> Flow {
        let now = now();
        let (input, events) = (&mut self.input, &mut self.events);
        self.connection.locked(|session| session.handle_bytes(input, now, events));
        self.came = self.events.len();
        self.handle_events(now)
    }

    fn handle_events(&mut self, now: Instant) -> Flow {
        let mut flow = Flow::On;
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Opened { node, endpoints, lease } => {
                    self.beside.meet();
                    let (identity, address) = (self.identity.clone(), self.address.clone());
                    let peer = Peer { node, connection: self.connection.id, identity, address };
                    if !self.opened(peer, endpoints, lease) {
                        // Of what came with the hello nothing counts.
                        break;
                    }
                }
                Event::Call(call) => serve::receive(&self.connection, call, now, &mut self.replies),
                Event::Cancel(id) => serve::cancel(&self.connection, id, &mut self.replies),
                Event::Forget(promises) => serve::forget(&self.connection, &promises),
                Event::Broken { promise, error } => lock(&self.connection.promises).broken(promise, &error),
                Event::Released(released) => self.connection.released(&released),
                Event::Claim(claim) => self.connection.claimed_by_peer(&claim),
                Event::GoingAway => self.connection.claim_introduced(),
                Event::Claimed(claimed) => self.connection.answered(&claimed),
                Event::Closed => flow = Flow::Over,
            }
        }
        self.reply();
        flow
    }

    fn receive_beside(&mut self, cx: &mut Context<'_>) -> Flow {
        self.beside.receive(&self.connection, &mut self.events, cx);
        if self.events.is_empty() { Flow::On } else { self.handle_events(now()) }
    }

    /// Takes in the messages beside the bytes, as many as bytes are read.
    fn receive_datagrams(&mut self, cx: &mut Context<'_>) -> Flow {
        for _ in 0..READS_PER_TURN {
            let Some(datagrams) = &mut self.datagrams else { return Flow::On };
            match datagrams.poll_receive(cx) {
                Poll::Pending => return Flow::On,
                // That the channel is over is for its bytes to say.
                Poll::Ready(None) => {
                    self.datagrams = None;
                    self.connection.locked(|session| session.set_datagram_bytes(0));
                }
                Poll::Ready(Some(datagram)) => {
                    let (now, events) = (now(), &mut self.events);
                    self.connection.locked(|session| session.handle_datagram(datagram, now, events));
                    if self.handle_events(now) == Flow::Over {
                        return Flow::Over;
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Flow::On
    }

    fn transmit_datagrams(&mut self, cx: &Context<'_>) {
        let Some(datagrams) = &mut self.datagrams else { return };
        let (bytes, waiting) = (datagrams.bytes_max(), &mut self.waiting);
        self.connection.locked(|session| {
            session.set_datagram_bytes(bytes);
            session.poll_datagrams(waiting);
            session.set_driver(cx.waker());
        });
        waiting.drain(..).for_each(|datagram| datagrams.send(datagram));
    }

    fn reply(&mut self) {
        if !self.replies.is_empty() {
            let replies = &mut self.replies;
            self.connection.locked(|session| replies.drain(..).for_each(|(id, outcome)| session.reply(id, outcome)));
        }
    }

    /// Says whether the peer may stay.
    fn opened(&mut self, peer: Peer, endpoints: Vec<Endpoint>, lease: LeaseId) -> bool {
        tracing::debug!(node = %peer.node, identity = %peer.identity, address = peer.address, "connected");
        let access =
            if self.connection.is_accepted() { self.connection.node.authorizer.admit(&peer) } else { Access::Allow };
        self.connection.opened(peer, endpoints, lease, self.place.take());
        let text = match access {
            Access::Allow => return true,
            Access::Deny(text) => text,
            Access::Hide => String::new(),
        };
        self.connection.locked(|session| session.goodbye(code::DENIED, &text));
        false
    }

    fn lost(&mut self, reason: &str) -> Flow {
        self.writable = false;
        let text = format!("the connection to {} was lost: {reason}", self.address);
        let error = RemoteError::new(ErrorKind::Disconnected, Executed::Maybe, text);
        self.connection.locked(|session| session.handle_lost(error));
        Flow::Over
    }

    /// With several calls under way, others that are ready run first, so that theirs leave in the same write.
    fn hold_back(&mut self, cx: &mut Context<'_>) -> bool {
        if std::mem::take(&mut self.yielded) {
            return false;
        }
        let several = |session: &mut Session| {
            session.has_output() && (session.calls_in_flight() > 1 || session.calls_served() > 1)
        };
        if !self.batch.is_empty() || !self.connection.locked(several) {
            return false;
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        true
    }

    /// Writes until there is nothing more, or the channel takes no more.
    fn transmit(&mut self, cx: &mut Context<'_>) -> Flow {
        self.transmit_datagrams(cx);
        if self.beside.is_there() {
            self.beside.transmit(&self.connection, cx);
        }
        loop {
            let batch = &mut self.batch;
            let over = self.connection.locked(|session| {
                session.poll_transmit(batch, now());
                session.set_driver(cx.waker());
                let several = session.calls_in_flight() > 1 || session.calls_served() > 1 || self.came > 1;
                self.one_awaited.store(!several, Ordering::Relaxed);
                session.is_over()
            });
            if over {
                return Flow::Over;
            }
            if self.batch.is_empty() {
                return Flow::On;
            }
            match self.poll_write(cx) {
                Poll::Pending => return Flow::On,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.lost(&error.to_string()),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.batch.is_empty() {
            let taken = ready!(write_some(&mut self.stream, &self.batch, cx))?;
            advance(&mut self.batch, taken);
            self.connection.locked(|session| session.written(taken, now()));
            self.wrote = true;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Sends what is queued, the goodbye last, and reads what the peer still sends, so that the goodbye is not lost in a
    /// reset.
    async fn farewell(mut self) {
        if !self.writable {
            return;
        }
        let tell = async {
            self.connection.locked(|session| session.poll_transmit(&mut self.batch, now()));
            while !self.batch.is_empty() {
                let taken = std::future::poll_fn(|cx| write_some(&mut self.stream, &self.batch, cx)).await?;
                advance(&mut self.batch, taken);
            }
            self.stream.flush().await?;
            self.stream.shutdown().await?;
            loop {
                self.input.clear();
                if self.stream.read_buf(&mut self.input).await? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        if let Ok(Err(error)) = timeout(FAREWELL, tell).await {
            tracing::debug!(%error, "the goodbye did not get through");
        }
    }
}

fn write_some(stream: &mut Box<dyn Stream>, batch: &VecDeque<Bytes>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let taken = match batch.front() {
        Some(first) if batch.len() == 1 => ready!(Pin::new(stream).poll_write(cx, first))?,
        _ => {
            let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
            for (slice, piece) in slices.iter_mut().zip(batch) {
                *slice = IoSlice::new(piece);
            }
            let count = batch.len().min(PIECES_PER_WRITE);
            ready!(Pin::new(stream).poll_write_vectored(cx, &slices[..count]))?
        }
    };
    if taken == 0 { Poll::Ready(Err(io::ErrorKind::WriteZero.into())) } else { Poll::Ready(Ok(taken)) }
}

/// Cuts what was written off the batch.
fn advance(batch: &mut VecDeque<Bytes>, mut taken: usize) {
    while let Some(first) = batch.front_mut() {
        if first.len() > taken {
            first.advance(taken);
            return;
        }
        taken -= first.len();
        batch.pop_front();
    }
}

/// Tells a peer that there is no room for it, if one write does it.
pub(super) async fn refuse(connection: Arc<Connection>, mut channel: Channel, text: String) {
    let mut batch = VecDeque::new();
    connection.locked(|session| {
        session.goodbye(code::FULL, &text);
        session.poll_transmit(&mut batch, now());
    });
    connection.ended();
    if let Some(goodbye) = batch.front() {
        let written = std::future::poll_fn(|cx| Pin::new(&mut channel.stream).poll_write(cx, goodbye));
        // The peer learns it from the closed channel otherwise.
        let _ = timeout(Duration::from_millis(100), written).await;
    }
    connection.gone();
}
