//! A channel over the broker: the stream that the program has, and the task between it and the broker.

use std::future::{pending, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use async_nats::{Client, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::envelope::{Envelope, HEAD_BYTES, Kind};
use super::flow::{Flow, Over};
use crate::limits;

/// What lies between the program and the task, in each direction.
const BUFFER_BYTES: usize = 2 * limits::BROKER_PIECE_BYTES;

/// Why the channel ended, for the program to read.
struct Failure {
    over: Over,
    /// Whether all that the peer wrote had arrived by then.
    whole: bool,
}

/// The program's end of a channel.
pub(super) struct End {
    stream: DuplexStream,
    failure: Arc<OnceLock<Failure>>,
    /// Dropped with the stream: tells the task.
    _held: oneshot::Sender<()>,
}

impl End {
    fn error(&self) -> Option<io::Error> {
        self.failure.get().map(|failure| io::Error::new(failure.over.kind(), failure.over.to_string()))
    }

    /// Whether there is still somebody to write to.
    fn check(&self) -> io::Result<()> {
        self.error().map_or(Ok(()), Err)
    }

    fn explain<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| self.error().unwrap_or(error))
    }
}

impl AsyncRead for End {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.remaining();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        let is_end = before > 0 && into.remaining() == before;
        if is_end && self.failure.get().is_some_and(|failure| !failure.whole) {
            return Poll::Ready(Err(self.error().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.explain(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, pieces));
        Poll::Ready(self.explain(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The task takes what is there without being asked.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where a channel's messages come from and go to.
pub(super) struct Line {
    pub(super) client: Arc<Client>,
    /// What the peer sends.
    pub(super) inbox: Subscriber,
    /// Where the peer listens.
    pub(super) peer: String,
}

impl Line {
    /// Starts the task of the channel. It ends with the channel, and keeps `place` until then.
    pub(super) fn open(self, place: Option<OwnedSemaphorePermit>) -> End {
        let (stream, inner) = tokio::io::duplex(BUFFER_BYTES);
        let (reader, writer) = tokio::io::split(inner);
        let (held, dropped) = oneshot::channel();
        let failure = Arc::new(OnceLock::new());
        let piece_bytes = self.client.max_payload().saturating_sub(HEAD_BYTES).clamp(1, limits::BROKER_PIECE_BYTES);
        let flow = Flow::new(Instant::now());
        let carrier = Carrier { line: self, flow, piece_bytes, reader, writer, dropped, _place: place };
        tokio::spawn(carrier.run(failure.clone()));
        End { stream, failure, _held: held }
    }
}

/// The task of a channel.
struct Carrier {
    line: Line,
    flow: Flow,
    piece_bytes: usize,
    reader: ReadHalf<DuplexStream>,
    writer: WriteHalf<DuplexStream>,
    dropped: oneshot::Receiver<()>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Carrier {
    async fn run(mut self, failure: Arc<OnceLock<Failure>>) {
        let result = self.carry().await;
        let Self { line, flow, reader, writer, dropped, _place, .. } = self;
        let tell = result != Err(Over::Gone);
        let leave = async {
            let Err(over) = result else { return };
            tracing::debug!(%over, "a channel over the broker is over");
            let _ = failure.set(Failure { over, whole: flow.has_ended() });
            if !flow.is_abandoned() {
                leave_behind(flow, reader, writer, dropped).await;
            }
        };
        tokio::join!(farewell(line, tell), leave);
    }

    /// Moves bytes until both sides have said all, or the program has let go and what it wrote has arrived.
    async fn carry(&mut self) -> Result<(), Over> {
        let mut timer = pin!(sleep_until(self.flow.due()));
        while !self.flow.is_done() {
            while let Some(envelope) = self.flow.poll_transmit(Instant::now()) {
                publish(&self.line, &envelope).await?;
            }
            let due = self.flow.due();
            // A timer that fires too early does no harm; one that is set anew for each message costs.
            if due < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            let held = !self.flow.is_abandoned();
            let front = self.flow.front().cloned();
            tokio::select! {
                message = next(&mut self.line.inbox) => self.handle(message)?,
                piece = read(&mut self.reader, self.piece_bytes), if self.flow.has_room() => self.flow.push(piece),
                written = write(&mut self.writer, front.as_ref()), if front.is_some() => self.written(written),
                _ = &mut self.dropped, if held => self.flow.abandon(Instant::now()),
                () = timer.as_mut() => self.flow.handle_timeout(Instant::now())?,
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: Option<Message>) -> Result<(), Over> {
        let message = message.ok_or(Over::Broker)?;
        // Only to an answer does the broker say so: whoever asked for the channel has not waited for it.
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(Over::Absent);
        }
        self.flow.handle(Envelope::decode(message.payload)?, Instant::now())
    }

    fn written(&mut self, written: io::Result<usize>) {
        match written {
            Ok(count) => self.flow.advance(count, Instant::now()),
            Err(_) => self.flow.abandon(Instant::now()),
        }
    }
}

/// What had arrived before the channel failed is the program's to read; what it writes goes nowhere.
async fn leave_behind(
    mut flow: Flow,
    mut reader: ReadHalf<DuplexStream>,
    mut writer: WriteHalf<DuplexStream>,
    mut dropped: oneshot::Receiver<()>,
) {
    let ignore = async {
        while !read(&mut reader, limits::BROKER_PIECE_BYTES).await.is_empty() {}
        pending().await
    };
    tokio::select! {
        () = deliver(&mut flow, &mut writer) => {}
        () = ignore => {}
        _ = &mut dropped => {}
    }
}

/// Tells the peer that it need not wait for the silence, unless it has told us.
async fn farewell(line: Line, tell: bool) {
    let Line { client, inbox, peer } = line;
    drop(inbox);
    let told = async {
        if tell {
            let _ = client.publish(peer, Envelope::bare(Kind::Gone).encode()).await;
        }
        // A connection to the broker that is dropped loses what it has not written.
        let _ = client.flush().await;
    };
    let _ = timeout(limits::BROKER_SILENCE, told).await;
}

async fn deliver(flow: &mut Flow, writer: &mut WriteHalf<DuplexStream>) {
    while let Some(front) = flow.front().cloned() {
        let Ok(count) = write(writer, Some(&front)).await else { return };
        flow.advance(count, Instant::now());
    }
}

/// Hands a message to the broker's connection. That it waits for long means that the broker is away.
async fn publish(line: &Line, envelope: &Envelope) -> Result<(), Over> {
    let published = line.client.publish(line.peer.clone(), envelope.encode());
    match timeout(limits::BROKER_SILENCE, published).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Over::Broker),
    }
}

pub(super) async fn next(subscriber: &mut Subscriber) -> Option<Message> {
    poll_fn(|cx| Pin::new(&mut *subscriber).poll_next(cx)).await
}

/// What the program has written, at most `most` bytes; nothing when it writes no more.
async fn read(reader: &mut ReadHalf<DuplexStream>, most: usize) -> Bytes {
    poll_fn(|cx| {
        // On the stack, so that a channel at rest holds no buffer.
        let mut space = [const { MaybeUninit::uninit() }; limits::BROKER_PIECE_BYTES];
        let mut buffer = ReadBuf::uninit(space.get_mut(..most).unwrap_or_default());
        // The pipe to the program cannot fail; that it is closed is its end.
        let _ = ready!(Pin::new(&mut *reader).poll_read(cx, &mut buffer));
        Poll::Ready(Bytes::copy_from_slice(buffer.filled()))
    })
    .await
}

/// Gives the program what it can take of a piece, or the end.
async fn write(writer: &mut WriteHalf<DuplexStream>, piece: Option<&Bytes>) -> io::Result<usize> {
    match piece {
        Some(piece) if !piece.is_empty() => writer.write(piece).await,
        _ => writer.shutdown().await.map(|()| 0),
    }
}
