//! What a servant can learn about the call it is serving.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::call::{LocalObject, Target};
use crate::id::{MethodId, ObjectId};
use crate::interface::Interface;
use crate::metadata::Metadata;
use crate::peer::Peer;
use crate::proxy::Proxy;

thread_local! {
    static CURRENT: RefCell<Option<CallContext>> = const { RefCell::new(None) };
}

/// The call that is being served: who calls, how long there is, what came along.
///
/// Inside a servant's method [`CallContext::current`] finds it, in every function called from there and on every thread,
/// as long as no other task is spawned; a task takes part with [`scope`](Self::scope).
#[derive(Clone)]
pub struct CallContext(Arc<Inner>);

struct Inner {
    peer: Option<Arc<Peer>>,
    object: Option<ObjectId>,
    this: Option<Arc<LocalObject>>,
    method: MethodId,
    request: u64,
    deadline: Instant,
    metadata: Metadata,
    hops: u8,
    cancelled: AtomicBool,
    wake: Notify,
}

/// What a context is made of.
pub(crate) struct ContextParts {
    pub(crate) peer: Option<Arc<Peer>>,
    pub(crate) object: Option<ObjectId>,
    /// The object itself; `None` when the call is passed on to another node.
    pub(crate) this: Option<Arc<LocalObject>>,
    pub(crate) method: MethodId,
    pub(crate) request: u64,
    pub(crate) deadline: Instant,
    pub(crate) metadata: Metadata,
    pub(crate) hops: u8,
}

impl CallContext {
    pub(crate) fn new(parts: ContextParts) -> Self {
        let ContextParts { peer, object, this, method, request, deadline, metadata, hops } = parts;
        let (cancelled, wake) = (AtomicBool::new(false), Notify::new());
        Self(Arc::new(Inner { peer, object, this, method, request, deadline, metadata, hops, cancelled, wake }))
    }

    /// The call that the running code serves, if it serves one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Runs `read` on the current call without cloning it.
    pub(crate) fn with_current<R>(read: impl FnOnce(Option<&Self>) -> R) -> R {
        CURRENT.with_borrow(|current| read(current.as_ref()))
    }

    /// The node that calls; `None` when the caller is in this process.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.0.peer.as_deref()
    }

    /// The object that is called; `None` when the caller is in this process.
    #[must_use]
    pub fn object(&self) -> Option<ObjectId> {
        self.0.object
    }

    /// A proxy to the object that is called, so that a servant can hand out references to itself: the same object as every
    /// other reference to it. `None` when it is not known to implement `T`.
    ///
    /// A servant that keeps such a proxy keeps itself alive for ever: keep it [weakly](Proxy::downgrade).
    #[must_use]
    pub fn this<T: ?Sized + Interface>(&self) -> Option<Proxy<T>> {
        let object = self.0.this.clone()?;
        Proxy::from_target(&Target::Local(object), None).ok()
    }

    /// The method that is called.
    #[must_use]
    pub fn method(&self) -> MethodId {
        self.0.method
    }

    /// A number that no other call to this node has, for logs.
    #[must_use]
    pub fn request_id(&self) -> u64 {
        self.0.request
    }

    /// When the caller gives up, on this process's clock.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// The time left until the deadline; zero when it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.deadline.saturating_duration_since(tokio::time::Instant::now().into_std())
    }

    /// The keys and values that the caller sent along.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// How many calls this one is inside of: 0 when a program made it on its own account.
    #[must_use]
    pub fn hops(&self) -> u8 {
        self.0.hops
    }

    /// Whether the caller has gone away or the deadline has passed. The method itself is dropped then; this is for
    /// what it left running.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Waits until the call is cancelled. For tasks that the method spawned; it never resolves when the call ends
    /// in the ordinary way.
    pub async fn cancelled(&self) {
        loop {
            let woken = self.0.wake.notified();
            if self.is_cancelled() {
                return;
            }
            woken.await;
        }
    }

    pub(crate) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        self.0.wake.notify_waiters();
    }

    /// Runs `future` as part of this call: it finds the context, and the calls it makes inherit the deadline.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        Within { context: self, future: Box::pin(future) }
    }

    /// Like [`scope`](Self::scope), for a future that is boxed already.
    pub(crate) fn within<T: ?Sized + Future>(self, future: Pin<Box<T>>) -> Within<T> {
        Within { context: self, future }
    }

    /// Runs `f` as part of this call.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        f()
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("CallContext");
        out.field("request", &self.0.request).field("method", &self.0.method).field("peer", &self.0.peer).finish()
    }
}

/// A future that runs as part of a call.
pub(crate) struct Within<T: ?Sized> {
    context: CallContext,
    future: Pin<Box<T>>,
}

impl<T: ?Sized + Future> Future for Within<T> {
    type Output = T::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let this = self.get_mut();
        let future = this.future.as_mut();
        this.context.enter(|| future.poll(cx))
    }
}

struct Restore(Option<CallContext>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.replace(self.0.take());
    }
}
