//! A mutex: a semaphore of one permit.

use crate::call::CallOptions;
use crate::proxy::Proxy;
use crate::sync::interface::{Grant, Semaphore, SyncError};

/// A semaphore used as a mutex. It is locked while the [`Grant`] that [`lock`](Self::lock) returned has its permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutex(Proxy<dyn Semaphore>);

impl Mutex {
    /// The mutex that this semaphore is, which should have one permit.
    #[must_use]
    pub fn new(semaphore: Proxy<dyn Semaphore>) -> Self {
        Self(semaphore)
    }

    /// The same mutex with these options for every call: how long to wait, above all.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> Self {
        Self(self.0.with(options))
    }

    /// Locks it, and waits for that until the call's deadline: 30 s if the options do not say otherwise.
    ///
    /// Cancellation and errors: as [`Semaphore::acquire`].
    ///
    /// # Errors
    /// `Remote` with [`Deadline`](crate::ErrorKind::Deadline) when it was not free in time.
    pub async fn lock(&self) -> Result<Grant, SyncError> {
        self.0.acquire(1).await
    }

    /// Locks it if it is free and nobody waits; `None` if not.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub async fn try_lock(&self) -> Result<Option<Grant>, SyncError> {
        self.0.try_acquire(1).await
    }
}
