//! Streams of values between nodes.
//!
//! A [`Streaming`] is a value: a method returns it, takes it as an argument, or has it inside of either. It is made of any
//! [`Stream`], or filled through a [`StreamSender`]:
//!
//! ```
//! use rmi_core::{Node, Proxy, RemoteError, Streaming, remote};
//! use rmi_core::streaming::Policy;
//!
//! #[remote]
//! trait Counter {
//!     async fn count(&self, to: u64) -> Result<Streaming<u64>, RemoteError>;
//! }
//!
//! struct Abacus;
//!
//! #[remote]
//! impl Counter for Abacus {
//!     async fn count(&self, to: u64) -> Result<Streaming<u64>, RemoteError> {
//!         let (sender, numbers) = Streaming::channel(16, Policy::Block);
//!         tokio::spawn(async move {
//!             for number in 0..to {
//!                 sender.send(number).await?;
//!             }
//!             Ok::<_, RemoteError>(())
//!         });
//!         Ok(numbers)
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
//! let reference = host.export(&Proxy::<dyn Counter>::new(Abacus))?;
//!
//! let caller = Node::builder().start().await?;
//! let counter: Proxy<dyn Counter> = caller.proxy(&reference)?;
//! let mut numbers = counter.count(1000).await?;
//! let mut sum = 0;
//! while let Some(number) = numbers.next().await {
//!     sum += number?;
//! }
//! assert_eq!(sum, 499_500);
//! # Ok(())
//! # }
//! ```
//!
//! The protocol knows nothing of streams: two hidden objects make one. What travels is a reference to a `Source` of the
//! producer's node. The reader opens it when it is first polled, giving a `Sink` of its own; the source pushes batches into
//! the sink as far as the reader's credit goes. Nothing is outstanding while a stream is idle. The reader holds the source
//! and the source's pump holds the sink, so that each side learns from the loss of its object that the other is gone. An
//! [`Authorizer`](crate::Authorizer) sees the calls between them under the interface names `rmi.Source` and `rmi.Sink`.

mod end;
mod pump;
mod reader;
mod sender;
mod sink;
mod source;
mod value;
mod window;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits;
use crate::proxy::Proxy;
use reader::Reader;
use source::Source;

pub use end::End;
pub use sender::{Policy, StreamSender};

/// What can be in a stream: everything that can be an argument. Proxies and streams may be inside.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an item of a stream",
    note = "derive `Serialize` and `Deserialize`; an item must be `Send` and borrow nothing"
)]
pub trait Item: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Item for T {}

/// A stream of this process.
type Items<T> = Pin<Box<dyn Stream<Item = Result<T, RemoteError>> + Send>>;

/// A stream of `T`s, from this process or another.
///
/// It is a [`Stream`] of `Result<T, RemoteError>`: an error is the last item, and only a stream that its producer
/// finished ends without one. [`end`](Self::end) says why it ended.
///
/// Order: as the producer made them, none missing and none twice. Limits: the reader's [`window`](Self::window) bounds what
/// is under way, so a slow reader stops the producer. Cancellation: dropping it, read or not, drops the producer. In one
/// process it is the producer's stream itself, with nothing encoded and nothing buffered.
///
/// It can be sent once. Sent on before it was read, it leads the next reader to the producer directly; sent on after
/// that, its items pass through here. Serializing it consumes it, whether or not the call then succeeds.
#[must_use = "a stream does nothing unless it is read or sent"]
pub struct Streaming<T> {
    state: Mutex<State<T>>,
    window_items: u32,
    window_bytes: u32,
    end: Option<End>,
}

enum State<T> {
    /// The stream of this process.
    Here(Items<T>),
    /// Came in, and was not read.
    Away(Proxy<dyn Source>),
    Reading(Box<Reader>),
    /// Serialized.
    Sent,
    Over,
}

impl<T: Item> Streaming<T> {
    /// A stream with these items. It is polled here, on a task of its own when the reader is in another node.
    pub fn new(items: impl Stream<Item = T> + Send + 'static) -> Self {
        Self::fallible(Infallible(Box::pin(items)))
    }

    /// A stream whose producer can fail: its first error is its end.
    pub fn fallible(items: impl Stream<Item = Result<T, RemoteError>> + Send + 'static) -> Self {
        Self::made_of(State::Here(Box::pin(items)))
    }

    /// A stream that is filled through a sender, with a queue of `capacity` items, at least one, between them.
    pub fn channel(capacity: usize, policy: Policy) -> (StreamSender<T>, Self) {
        let (sender, items) = sender::channel(capacity, policy);
        (sender, Self::fallible(items))
    }

    /// Sets how many items, and how many encoded bytes, may be under way to this reader, instead of 4,096 and 1 MiB. An
    /// item that is larger than what is left passes all the same, one at a time; a reference in an item counts
    /// [`STREAM_REFERENCE_BYTES`](limits::STREAM_REFERENCE_BYTES).
    ///
    /// Limits: at least 1 each, at most [`STREAM_WINDOW_ITEMS_MAX`](limits::STREAM_WINDOW_ITEMS_MAX) and
    /// [`STREAM_WINDOW_BYTES_MAX`](limits::STREAM_WINDOW_BYTES_MAX); what is beyond counts as the limit. Has no effect once
    /// the stream is being read, or in the process of its producer.
    pub fn window(mut self, items: u32, bytes: u32) -> Self {
        self.window_items = items.clamp(1, limits::STREAM_WINDOW_ITEMS_MAX);
        self.window_bytes = bytes.clamp(1, limits::STREAM_WINDOW_BYTES_MAX);
        self
    }

    /// The next item; `None` after the last one or after an error. Cancellation: no item is lost.
    ///
    /// # Errors
    /// `Disconnected`: the producer's node said goodbye, or was not heard of until its lease was over. `Cancelled`: the
    /// producer was cancelled. `BadReply`: an item is not a `T`. `Protocol`: the producer sent more than it may. Otherwise
    /// what the producer ended the stream with.
    pub async fn next(&mut self) -> Option<Result<T, RemoteError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn made_of(state: State<T>) -> Self {
        let (window_items, window_bytes) = (limits::STREAM_WINDOW_ITEMS, limits::STREAM_WINDOW_BYTES);
        Self { state: Mutex::new(state), window_items, window_bytes, end: None }
    }
}

impl<T> Streaming<T> {
    /// Why there are no more items; `None` while there may be.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }
}

impl<T: Item> State<T> {
    /// The next item, or how the stream ended.
    #[inline]
    fn poll_next(&mut self, cx: &mut Context<'_>, items: u32, bytes: u32) -> Poll<Result<T, End>> {
        loop {
            match self {
                Self::Reading(reader) => return reader.poll_next(cx),
                Self::Here(stream) => {
                    return Poll::Ready(match ready!(stream.as_mut().poll_next(cx)) {
                        Some(item) => item.map_err(End::of),
                        None => Err(End::Finished),
                    });
                }
                Self::Away(source) => {
                    let reader = Reader::open(source.clone(), items, bytes).map_err(End::Failed)?;
                    *self = Self::Reading(Box::new(reader));
                }
                Self::Sent | Self::Over => {
                    let text = "the stream was sent and cannot be read here";
                    return Poll::Ready(Err(End::Failed(RemoteError::new(ErrorKind::Misuse, Executed::No, text))));
                }
            }
        }
    }
}

impl<T: Item> Stream for Streaming<T> {
    type Item = Result<T, RemoteError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.end.is_some() {
            return Poll::Ready(None);
        }
        let state = this.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(match ready!(state.poll_next(cx, this.window_items, this.window_bytes)) {
            Ok(item) => Some(Ok(item)),
            Err(end) => {
                *state = State::Over;
                this.end.insert(end).error().map(Err)
            }
        })
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").field("end", &self.end).finish_non_exhaustive()
    }
}

/// A stream that cannot fail as one that can.
struct Infallible<S>(Pin<Box<S>>);

impl<S: Stream> Stream for Infallible<S> {
    type Item = Result<S::Item, RemoteError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx).map(|item| item.map(Ok))
    }
}

/// The two hidden interfaces.
#[cfg(test)]
pub(crate) fn interfaces() -> [&'static crate::interface::Descriptor; 2] {
    use crate::interface::Interface;
    [<dyn Source>::descriptor(), <dyn sink::Sink>::descriptor()]
}
