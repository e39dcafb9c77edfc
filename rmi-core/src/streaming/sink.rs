//! Where batches arrive: the reader's side of a stream between two nodes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rmi_macros::remote;

use crate::call::batch::Batch;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::proxy::{AnyProxy, Proxy};
use crate::streaming::end::End;
use crate::streaming::window::{Amount, Window};

/// What a producer pushes into. It is exported for as long as the producer holds it.
#[remote(name = "rmi.Sink")]
pub(super) trait Sink {
    /// Some items, encoded one behind the other, with the references that they name by index. The sequence numbers of
    /// batches are 0, 1, 2 …; a batch beyond the credit is refused, and ends the stream.
    async fn push(&self, sequence: u64, items: &[u8], references: Vec<AnyProxy>) -> Result<(), RemoteError>;

    /// There is no more: `sequence` batches were all, or something failed.
    async fn end(&self, sequence: u64, failure: Option<RemoteError>) -> Result<(), RemoteError>;
}

/// What has arrived and was not yet read.
pub(super) struct Inbox(Mutex<Arrived>);

struct Arrived {
    batches: VecDeque<Batch>,
    window: Window,
    sequence: u64,
    end: Option<End>,
    waker: Option<Waker>,
}

impl Inbox {
    /// An inbox, and the object through which it is filled.
    pub(super) fn new(window: Window) -> (Arc<Self>, Proxy<dyn Sink>) {
        let arrived = Arrived { batches: VecDeque::new(), window, sequence: 0, end: None, waker: None };
        let inbox = Arc::new(Self(Mutex::new(arrived)));
        (inbox.clone(), Proxy::new(Filling(inbox)))
    }

    /// The next batch, or how the stream ended after the last one.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Result<Batch, End>> {
        let mut arrived = self.arrived();
        if let Some(batch) = arrived.batches.pop_front() {
            return Poll::Ready(Ok(batch));
        }
        if let Some(end) = &arrived.end {
            return Poll::Ready(Err(end.clone()));
        }
        arrived.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Lets `total` come in all; says whether anything may come.
    pub(super) fn grant(&self, total: Amount) -> bool {
        let mut arrived = self.arrived();
        arrived.end.is_none() && arrived.window.grant(total).is_ok()
    }

    /// Ends the stream after what has arrived; says whether it had no end yet. The first end counts.
    pub(super) fn end(&self, end: End) -> bool {
        let (first, waker) = {
            let mut arrived = self.arrived();
            let first = arrived.end.is_none();
            arrived.end.get_or_insert(end);
            (first, arrived.waker.take())
        };
        waker.into_iter().for_each(Waker::wake);
        first
    }

    /// Nobody reads any more: what has arrived is dropped, for the producer may hold the sink for as long as it likes. Says
    /// whether the stream had no end yet.
    pub(super) fn close(&self) -> bool {
        let first = self.end(End::Cancelled);
        // Nothing is added after the end. Dropping references has effects elsewhere: not under the lock.
        let batches = std::mem::take(&mut self.arrived().batches);
        drop(batches);
        first
    }

    fn push(&self, sequence: u64, batch: Batch) -> Result<(), RemoteError> {
        let waker = {
            let mut arrived = self.arrived();
            arrived.admit(sequence, &batch)?;
            arrived.batches.push_back(batch);
            arrived.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrived {
    fn admit(&mut self, sequence: u64, batch: &Batch) -> Result<(), RemoteError> {
        self.expect(sequence)?;
        if batch.count() == 0 {
            return Err(violation(format!("batch {sequence} has no items")));
        }
        self.window.take(Amount { items: batch.count() as u64, bytes: batch.cost() })?;
        self.sequence += 1;
        Ok(())
    }

    fn expect(&self, sequence: u64) -> Result<(), RemoteError> {
        if self.end.is_some() {
            return Err(RemoteError::new(ErrorKind::Cancelled, Executed::No, "the stream has ended"));
        }
        if sequence != self.sequence {
            return Err(violation(format!("batch {sequence} came where {} was due", self.sequence)));
        }
        Ok(())
    }
}

fn violation(text: String) -> RemoteError {
    RemoteError::new(ErrorKind::Protocol, Executed::No, text)
}

/// The servant. When nobody can push any more it is dropped, and the reader learns that.
struct Filling(Arc<Inbox>);

impl Filling {
    /// What the producer did wrong ends the stream: nothing that follows can be trusted.
    fn refuse(&self, error: RemoteError) -> RemoteError {
        self.0.end(End::Failed(error.clone()));
        error
    }
}

#[remote]
impl Sink for Filling {
    async fn push(&self, sequence: u64, items: &[u8], references: Vec<AnyProxy>) -> Result<(), RemoteError> {
        let references = references.into_iter().map(|reference| reference.target().clone()).collect();
        let batch = Batch::received(items, references).map_err(|error| self.refuse(error))?;
        self.0.push(sequence, batch).map_err(|error| self.refuse(error))
    }

    async fn end(&self, sequence: u64, failure: Option<RemoteError>) -> Result<(), RemoteError> {
        match failure {
            Some(error) => self.0.end(End::of(error)),
            None => {
                // Bound to a name: the lock must be free when the stream is ended.
                let due = self.0.arrived().expect(sequence);
                due.map_err(|error| self.refuse(error))?;
                self.0.end(End::Finished)
            }
        };
        Ok(())
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.0.end(End::Lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Target;

    #[test]
    fn a_closed_inbox_keeps_nothing_and_takes_nothing() {
        let (inbox, sink) = Inbox::new(Window::new(10, 10_000).unwrap());
        let object = match sink.to_any().target() {
            Target::Local(object) => object.clone(),
            Target::Remote(_) => unreachable!("it was made here"),
        };
        let held = Arc::strong_count(&object);
        let batch = || Batch::received(&[0], vec![Target::Local(object.clone())]).unwrap();
        inbox.push(0, batch()).unwrap();
        assert_eq!(Arc::strong_count(&object), held + 1);
        assert!(inbox.close());
        assert!(!inbox.close());
        assert_eq!(inbox.push(1, batch()).unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(Arc::strong_count(&object), held);
    }
}
