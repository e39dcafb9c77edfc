//! Moves what a producer has into the reader's sink, as far as the reader's credit goes.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::call::batch::Batch;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits;
use crate::proxy::{AnyProxy, Proxy};
use crate::streaming::sink::Sink;
use crate::streaming::source::Credit;
use crate::streaming::window::Amount;
use crate::streaming::{Item, Items};

/// A stream of the program's, without the type of its items.
pub(super) trait Producer: Send {
    /// Adds to `batch` what is ready, `room` at most.
    fn fill(&mut self, batch: &mut Batch, room: Amount, cx: &mut Context<'_>) -> Filled;
}

/// Why a batch takes no more.
pub(super) enum Filled {
    /// There may be more.
    Full,
    /// Nothing is ready; the producer will wake the pump.
    Waiting,
    /// There is no more, or something failed.
    Over(Option<RemoteError>),
}

impl<T: Item> Producer for Items<T> {
    fn fill(&mut self, batch: &mut Batch, room: Amount, cx: &mut Context<'_>) -> Filled {
        while (batch.count() as u64) < room.items && batch.cost() < room.bytes {
            let item = match self.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => item,
                Poll::Ready(None) => return Filled::Over(None),
                Poll::Pending => return Filled::Waiting,
            };
            if let Err(error) = item.and_then(|item| batch.push(&item)) {
                return Filled::Over(Some(error));
            }
        }
        Filled::Full
    }
}

type Push = Pin<Box<dyn Future<Output = Result<(), RemoteError>> + Send>>;

struct Pump {
    /// Gone when it has no more.
    producer: Option<Box<dyn Producer>>,
    sink: Arc<Proxy<dyn Sink>>,
    credit: Arc<Credit>,
    sequence: u64,
    under_way: Vec<Push>,
    /// How large the last batch was, and the next one probably is.
    bytes: usize,
}

/// Pumps until the stream is over. When the task is aborted, the producer and the sink are let go.
pub(super) async fn run(producer: Box<dyn Producer>, sink: Proxy<dyn Sink>, credit: Arc<Credit>) {
    let (producer, sink, under_way) = (Some(producer), Arc::new(sink), Vec::new());
    let mut pump = Pump { producer, sink, credit, sequence: 0, under_way, bytes: 0 };
    poll_fn(|cx| pump.poll(cx)).await;
}

impl Pump {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.advance(cx)) {
                Ok(()) => return Poll::Ready(()),
                Err(error) => self.fail(error),
            }
        }
    }

    /// Pushes what is ready; done when the end was told.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RemoteError>> {
        loop {
            self.settle(cx)?;
            let Some(producer) = &mut self.producer else {
                return if self.under_way.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            if self.under_way.len() >= limits::STREAM_BATCHES_UNDER_WAY {
                return Poll::Pending;
            }
            let room = ready!(self.credit.poll_room(cx))?;
            let mut batch = Batch::with_capacity(self.bytes);
            let filled = fill(producer.as_mut(), &mut batch, room, cx);
            // A large item goes alone: it may be too large, which must not stop those before it.
            let large = batch.split_large(limits::STREAM_LARGE_ITEM_BYTES);
            self.push(batch)?;
            self.push(large.unwrap_or_default())?;
            match filled {
                Filled::Full => {}
                Filled::Over(failure) => self.end(failure),
                Filled::Waiting => {
                    self.settle(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// A call failed, or the reader broke a rule.
    fn fail(&mut self, error: RemoteError) {
        tracing::debug!(%error, "a stream ends early");
        if error.is_relayed() {
            // The sink said so itself, and takes nothing more.
            self.producer = None;
            self.under_way.clear();
        } else if self.producer.is_some() {
            self.end(Some(error));
        }
    }

    /// Looks which calls are done; the first failure is the end.
    fn settle(&mut self, cx: &mut Context<'_>) -> Result<(), RemoteError> {
        let mut result = Ok(());
        self.under_way.retain_mut(|push| match push.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                if result.is_ok() {
                    result = outcome;
                }
                false
            }
        });
        result
    }

    fn push(&mut self, batch: Batch) -> Result<(), RemoteError> {
        if batch.count() == 0 {
            return Ok(());
        }
        self.credit.take(Amount { items: batch.count() as u64, bytes: batch.cost() })?;
        let (sink, sequence) = (self.sink.clone(), self.sequence);
        self.sequence += 1;
        let (items, references) = batch.into_parts();
        self.bytes = items.len();
        self.under_way.push(Box::pin(async move {
            let references = references.into_iter().map(|target| AnyProxy::new(target, None)).collect();
            sink.push(sequence, &items, references).await
        }));
        Ok(())
    }

    /// Tells the end behind the batches under way: calls through one proxy arrive in order.
    fn end(&mut self, failure: Option<RemoteError>) {
        self.producer = None;
        let (sink, sequence) = (self.sink.clone(), self.sequence);
        self.under_way.push(Box::pin(async move { sink.end(sequence, failure).await }));
    }
}

/// Runs the program's stream and its `Serialize`: a panic is the end of the stream, which the reader must learn.
fn fill(producer: &mut dyn Producer, batch: &mut Batch, room: Amount, cx: &mut Context<'_>) -> Filled {
    let items = room.items.min(limits::STREAM_BATCH_ITEMS);
    let bytes = room.bytes.min(limits::STREAM_BATCH_BYTES);
    let filled = catch_unwind(AssertUnwindSafe(|| producer.fill(batch, Amount { items, bytes }, cx)));
    filled.unwrap_or_else(|_| {
        // The item that panicked may have left half of itself.
        *batch = Batch::default();
        let text = "the stream's producer panicked";
        Filled::Over(Some(RemoteError::new(ErrorKind::Panicked, Executed::Yes, text)))
    })
}
