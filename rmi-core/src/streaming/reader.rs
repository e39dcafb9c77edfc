//! Reads a stream whose producer is in another node.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::runtime::Handle;

use crate::call::batch::Batch;
use crate::error::{Fault, RemoteError};
use crate::proxy::Proxy;
use crate::streaming::Item;
use crate::streaming::end::End;
use crate::streaming::sink::Inbox;
use crate::streaming::source::Source;
use crate::streaming::window::{Amount, Window};

/// A call to the source: to open it, or to grant more.
type Asking = Pin<Box<dyn Future<Output = Result<(), RemoteError>> + Send>>;

pub(super) struct Reader {
    source: Arc<Proxy<dyn Source>>,
    inbox: Arc<Inbox>,
    asking: Option<Asking>,
    /// What is being read.
    batch: Batch,
    /// What the batch counts in the window; it does until it is read.
    cost: u64,
    size: Amount,
    consumed: Amount,
    /// How much was consumed when credit was last granted.
    granted: Amount,
}

impl Reader {
    /// A reader of the source, which is asked when the reader is first polled.
    pub(super) fn open(source: Proxy<dyn Source>, items: u32, bytes: u32) -> Result<Self, RemoteError> {
        let source = Arc::new(source);
        let (inbox, sink) = Inbox::new(Window::new(items, bytes)?);
        let opened = source.clone();
        let asking: Asking = Box::pin(async move { opened.open(sink, items, bytes).await });
        let size = Amount { items: items.into(), bytes: bytes.into() };
        let (consumed, granted) = (Amount::default(), Amount::default());
        Ok(Self { source, inbox, asking: Some(asking), batch: Batch::default(), cost: 0, size, consumed, granted })
    }

    /// The next item, or how the stream ended.
    pub(super) fn poll_next<T: Item>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, End>> {
        loop {
            if let Some(item) = self.batch.next() {
                self.consumed.items += 1;
                if self.is_due() {
                    self.ask(cx);
                }
                return Poll::Ready(item.map_err(End::Failed));
            }
            self.batch = Batch::default();
            self.consumed.bytes += std::mem::take(&mut self.cost);
            self.ask(cx);
            self.batch = ready!(self.inbox.poll_take(cx))?;
            self.cost = self.batch.cost();
        }
    }

    /// Whether half of the window was consumed and not granted again. Less would be many calls; more, and the producer
    /// could run dry.
    fn is_due(&self) -> bool {
        let open = self.consumed.saturating_sub(self.granted);
        open.items * 2 >= self.size.items || open.bytes * 2 >= self.size.bytes
    }

    /// Goes on with the call that is under way, then makes the one that is due. One that fails is the end, after what
    /// has arrived.
    fn ask(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(asking) = &mut self.asking {
                let Poll::Ready(outcome) = asking.as_mut().poll(cx) else { return };
                self.asking = None;
                if let Err(error) = outcome {
                    self.inbox.end(self.end_of(error));
                }
            }
            if !self.is_due() {
                return;
            }
            self.grant();
        }
    }

    /// A stream that was read and whose source cannot be reached any more is lost, whichever call found out.
    fn end_of(&self, error: RemoteError) -> End {
        let lost = self.consumed.items > 0 && error.fault() == Fault::Network && !error.is_relayed();
        if lost { End::Lost } else { End::of(error) }
    }

    fn grant(&mut self) {
        self.granted = self.consumed;
        let total = self.consumed.saturating_add(self.size);
        // The own window first: what is granted may come at once.
        if self.inbox.grant(total) {
            let source = self.source.clone();
            self.asking = Some(Box::pin(async move { source.grant(total.items, total.bytes).await }));
        }
    }
}

/// The source is let go with the last proxy to it; saying so is faster, and does not wait for other holders.
impl Drop for Reader {
    fn drop(&mut self) {
        if !self.inbox.close() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let source = self.source.clone();
            runtime.spawn(async move { source.close().await });
        }
    }
}
