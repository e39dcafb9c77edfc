//! The servant of a semaphore, and of its permits.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rmi_macros::remote;
use tokio::sync::oneshot;

use crate::proxy::Proxy;
use crate::sync::interface::{Grant, Permit, Semaphore, SyncError};
use crate::sync::queue::Queue;

/// Where fencing tokens come from. A host that goes on with the same semaphores after a restart has one that remembers.
pub trait Tokens: Send + Sync + 'static {
    /// A token that is larger than every one before. It is asked under the lock of the semaphore, so that tokens rise in
    /// the order of grants: it returns at once and leaves the semaphore alone.
    ///
    /// # Errors
    /// `Tokens`: there is none. Whoever was to have it fails, and nothing is taken.
    fn next(&self) -> Result<u64, SyncError>;
}

/// The tokens 1, 2, 3, …
#[derive(Default)]
struct Counted(AtomicU64);

impl Tokens for Counted {
    fn next(&self) -> Result<u64, SyncError> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A semaphore that lives in this process: the servant of [`Semaphore`]. Cheap to clone; clones share the permits.
///
/// It lives as long as a clone of it, or a permit that it gave.
#[derive(Clone)]
pub struct LocalSemaphore(Arc<Shared>);

struct Shared {
    tokens: Arc<dyn Tokens>,
    queue: Mutex<Queue<Waiter>>,
}

/// What somebody who waits is told: what was granted, or why it was not.
type Granted = Result<Taken, SyncError>;
type Waiter = oneshot::Sender<Granted>;

impl LocalSemaphore {
    /// A semaphore with so many permits, all of them free. Its tokens begin with 1. Without permits it grants nothing.
    #[must_use]
    pub fn new(permits: u32) -> Self {
        Self::with_tokens(permits, Arc::new(Counted::default()))
    }

    /// Like [`new`](Self::new), with tokens that come from elsewhere.
    #[must_use]
    pub fn with_tokens(permits: u32, tokens: Arc<dyn Tokens>) -> Self {
        let queue = Mutex::new(Queue::new(permits));
        Self(Arc::new(Shared { tokens, queue }))
    }

    /// How many permits there are, taken or not.
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.0.queue().permits()
    }

    /// Refuses who waits and who comes, with `Closed`; permits that were taken stay valid. For a process that shuts down
    /// and does not want to wait for those who wait.
    pub fn close(&self) {
        let waiting = self.0.queue().close();
        // Wakes those who wait, with no lock held.
        drop(waiting);
    }

    /// A reference that does not keep the semaphore alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakSemaphore {
        WeakSemaphore(Arc::downgrade(&self.0))
    }
}

impl fmt::Debug for LocalSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.0.queue();
        write!(f, "LocalSemaphore({} of {} free)", queue.free(), queue.permits())
    }
}

/// A semaphore that lives as long as somebody else wants it to.
#[derive(Clone)]
pub struct WeakSemaphore(Weak<Shared>);

impl WeakSemaphore {
    /// The semaphore, if it is still there.
    #[must_use]
    pub fn upgrade(&self) -> Option<LocalSemaphore> {
        self.0.upgrade().map(LocalSemaphore)
    }
}

impl fmt::Debug for WeakSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakSemaphore(…)")
    }
}

#[remote]
impl Semaphore for LocalSemaphore {
    async fn acquire(&self, n: u32) -> Result<Grant, SyncError> {
        self.0.join(n)?.granted().await
    }

    async fn try_acquire(&self, n: u32) -> Result<Option<Grant>, SyncError> {
        // Who cannot be served at once leaves again, before anybody sees that there was one.
        self.0.join(n)?.granted_now()
    }

    async fn available(&self) -> Result<u32, SyncError> {
        Ok(self.0.queue().free())
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue<Waiter>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, n: u32) -> Result<Waiting, SyncError> {
        let (waiter, granted) = oneshot::channel();
        let place = self.queue().join(n, waiter)?;
        let waiting = Waiting { semaphore: self.clone(), place, granted };
        self.serve();
        Ok(waiting)
    }

    /// Grants what can be granted. A waiter that is going away lets its permits fall, which gives them back.
    fn serve(self: &Arc<Self>) {
        loop {
            let Some((waiter, granted)) = self.grant() else { return };
            // Waking runs code of others: not under the lock.
            drop(waiter.send(granted));
        }
    }

    fn grant(self: &Arc<Self>) -> Option<(Waiter, Granted)> {
        let mut queue = self.queue();
        let (n, waiter) = queue.grant()?;
        let token = self.tokens.next().inspect_err(|_| queue.give_back(n));
        Some((waiter, token.map(|token| Taken { semaphore: self.clone(), n, token })))
    }
}

/// Somebody who stands in the queue, or to whom permits are on the way. Dropping it undoes either.
struct Waiting {
    semaphore: Arc<Shared>,
    place: u64,
    granted: oneshot::Receiver<Granted>,
}

impl Waiting {
    async fn granted(mut self) -> Result<Grant, SyncError> {
        // Without an answer the semaphore was closed.
        let granted = (&mut self.granted).await.unwrap_or(Err(SyncError::Closed));
        granted.map(Taken::into_grant)
    }

    fn granted_now(mut self) -> Result<Option<Grant>, SyncError> {
        let granted = self.granted.try_recv().ok().transpose()?;
        Ok(granted.map(Taken::into_grant))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let left = self.semaphore.queue().leave(self.place);
        if left.is_some() {
            // Who stood behind may be satisfied with what is free.
            self.semaphore.serve();
        }
    }
}

/// Permits outside of their semaphore, on their way to a holder or with one. Dropping it gives them back.
struct Taken {
    semaphore: Arc<Shared>,
    n: u32,
    token: u64,
}

impl Taken {
    fn into_grant(self) -> Grant {
        Grant::new(self.token, Proxy::new(Held(Mutex::new(Some(self)))))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.semaphore.queue().give_back(self.n);
        self.semaphore.serve();
    }
}

/// The servant of a permit; empty when it was released.
struct Held(Mutex<Option<Taken>>);

impl Held {
    fn taken(&self) -> MutexGuard<'_, Option<Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[remote]
impl Permit for Held {
    async fn release(&self) -> Result<(), SyncError> {
        let taken = self.taken().take();
        drop(taken);
        Ok(())
    }

    async fn check(&self) -> Result<(), SyncError> {
        if self.taken().is_some() { Ok(()) } else { Err(SyncError::Released) }
    }
}
