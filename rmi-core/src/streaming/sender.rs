//! A stream that is filled from elsewhere in the program.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tokio::sync::Notify;

use crate::error::{ErrorKind, Executed, RemoteError};

/// What [`StreamSender::send`] does when the queue is full because the reader is slow, or nobody reads yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Waits until there is a place.
    Block,
    /// Drops the item that has waited longest: a reader that is late sees what is new.
    DropOldest,
    /// Drops the item that comes.
    DropNewest,
    /// Fails with `Overloaded`, and the item is dropped; the stream goes on.
    Fail,
}

/// The sending half of [`Streaming::channel`](crate::Streaming::channel).
///
/// Dropping it finishes the stream once what is queued was read. [`fail`](Self::fail) ends it with an error instead, as
/// does a panic that drops it: a reader must not take half of a stream for the whole.
pub struct StreamSender<T> {
    queue: Arc<Queue<T>>,
}

/// The receiving half, a stream.
pub(super) struct Receiving<T> {
    queue: Arc<Queue<T>>,
}

struct Queue<T> {
    state: Mutex<Queued<T>>,
    capacity: usize,
    policy: Policy,
    /// A place is free.
    room: Notify,
    /// The reader is gone.
    gone: Notify,
}

struct Queued<T> {
    items: VecDeque<T>,
    end: Option<Result<(), RemoteError>>,
    has_reader: bool,
    dropped: u64,
    reader: Option<Waker>,
}

pub(super) fn channel<T>(capacity: usize, policy: Policy) -> (StreamSender<T>, Receiving<T>) {
    let state = Queued { items: VecDeque::new(), end: None, has_reader: true, dropped: 0, reader: None };
    let capacity = capacity.max(1);
    let (room, gone) = (Notify::new(), Notify::new());
    let queue = Arc::new(Queue { state: Mutex::new(state), capacity, policy, room, gone });
    (StreamSender { queue: queue.clone() }, Receiving { queue })
}

impl<T> StreamSender<T> {
    /// Queues an item for the reader; when the queue is full, does what the policy says.
    ///
    /// Order: the items of one task arrive in the order they were sent. Cancellation: dropping the future while it waits
    /// drops the item.
    ///
    /// # Errors
    /// `Cancelled`: the reader is gone, or an item before this one could not be sent (it was too large, say), which the reader has
    /// been told. `Overloaded`: the queue is full, with [`Policy::Fail`].
    pub async fn send(&self, item: T) -> Result<(), RemoteError> {
        let mut item = item;
        loop {
            // Before the look at the queue, so that a place that is free right after it is not missed.
            let room = self.queue.room.notified();
            match self.queue.offer(item)? {
                None => return Ok(()),
                Some(back) => item = back,
            }
            room.await;
        }
    }

    /// Ends the stream with an error, which the reader gets after what is queued.
    pub fn fail(self, error: RemoteError) {
        self.queue.end(Err(error));
    }

    /// Waits until the reader is gone: it dropped the stream, or its node was lost.
    pub async fn closed(&self) {
        loop {
            let gone = self.queue.gone.notified();
            if self.is_closed() {
                return;
            }
            gone.await;
        }
    }

    /// Whether the reader is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.queue.state().has_reader
    }

    /// How many items the policy has dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.state().dropped
    }
}

impl<T> Drop for StreamSender<T> {
    fn drop(&mut self) {
        let panicked = || RemoteError::new(ErrorKind::Panicked, Executed::Yes, "the stream's sender panicked");
        self.queue.end(if std::thread::panicking() { Err(panicked()) } else { Ok(()) });
    }
}

impl<T> fmt::Debug for StreamSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Queue { capacity, policy, .. } = &*self.queue;
        f.debug_struct("StreamSender").field("capacity", capacity).field("policy", policy).finish_non_exhaustive()
    }
}

impl<T> Queue<T> {
    /// Queues the item, or gives it back when it has to wait.
    fn offer(&self, item: T) -> Result<Option<T>, RemoteError> {
        let mut state = self.state();
        if !state.has_reader {
            let text = "nobody reads the stream any more: its reader left, or an item before could not be sent to it";
            return Err(RemoteError::new(ErrorKind::Cancelled, Executed::No, text));
        }
        let mut oldest = None;
        if state.items.len() >= self.capacity {
            match self.policy {
                Policy::Block => return Ok(Some(item)),
                Policy::Fail => return Err(full(self.capacity)),
                Policy::DropNewest => {
                    state.dropped += 1;
                    return Ok(None);
                }
                Policy::DropOldest => {
                    state.dropped += 1;
                    oldest = state.items.pop_front();
                }
            }
        }
        state.items.push_back(item);
        let reader = state.reader.take();
        drop(state);
        drop(oldest);
        reader.into_iter().for_each(Waker::wake);
        Ok(None)
    }

    /// The first end counts.
    fn end(&self, end: Result<(), RemoteError>) {
        let reader = {
            let mut state = self.state();
            state.end.get_or_insert(end);
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, Queued<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn full(capacity: usize) -> RemoteError {
    let text = format!("the stream holds {capacity} items, which is the limit");
    RemoteError::new(ErrorKind::Overloaded, Executed::No, text)
}

impl<T> Stream for Receiving<T> {
    type Item = Result<T, RemoteError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.queue.state();
        if let Some(item) = state.items.pop_front() {
            drop(state);
            if self.queue.policy == Policy::Block {
                self.queue.room.notify_one();
            }
            return Poll::Ready(Some(Ok(item)));
        }
        match &mut state.end {
            Some(end) => Poll::Ready(std::mem::replace(end, Ok(())).err().map(Err)),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Receiving<T> {
    fn drop(&mut self) {
        let items = {
            let mut state = self.queue.state();
            state.has_reader = false;
            std::mem::take(&mut state.items)
        };
        drop(items);
        self.queue.room.notify_waiters();
        self.queue.gone.notify_waiters();
    }
}
