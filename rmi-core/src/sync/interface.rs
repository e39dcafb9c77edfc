//! Semaphores and permits as remote objects.

use rmi_macros::remote;
use serde::{Deserialize, Serialize};

use crate::error::RemoteError;
use crate::naming::{Name, NameError};
use crate::proxy::Proxy;

/// A number of permits that callers take and give back.
///
/// Fair: callers are served in the order in which they came, whatever they ask for. One who asks for many is not overtaken
/// by those who ask for few.
#[remote(name = "rmi.Semaphore")]
pub trait Semaphore {
    /// Takes `n` permits, all at once, and waits for them until the call's deadline: 30 s, or what
    /// [`CallOptions::timeout`](crate::CallOptions::timeout) says.
    ///
    /// Cancellation: a call that is dropped, or whose deadline passes, leaves the queue and takes nothing. What was granted
    /// while it ended goes back.
    ///
    /// # Errors
    /// `NoPermits`, `TooMany` and `Full` at once; `Closed` when the semaphore ends; `Remote` with
    /// [`Deadline`](crate::ErrorKind::Deadline) when there were not enough in time.
    async fn acquire(&self, n: u32) -> Result<Grant, SyncError>;

    /// Takes `n` permits if they are free and nobody waits; `None` if not.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn try_acquire(&self, n: u32) -> Result<Option<Grant>, SyncError>;

    /// How many permits nobody has now.
    ///
    /// # Errors
    /// What the call itself may fail with.
    #[remote(idempotent)]
    async fn available(&self) -> Result<u32, SyncError>;
}

/// Permits that were taken. They go back when this is released or when nobody holds it any more, whatever comes first.
#[remote(name = "rmi.Permit")]
pub trait Permit {
    /// Gives the permits back. When it returns `Ok` they are free; a second time changes nothing.
    ///
    /// It needs a place among the calls in flight, as every call: a process that waits for a permit in each of its places
    /// drops its own instead.
    ///
    /// # Errors
    /// What the call itself may fail with.
    #[remote(idempotent)]
    async fn release(&self) -> Result<(), SyncError>;

    /// Whether the permits are still taken; returns at once.
    ///
    /// # Errors
    /// `Released`: they were given back. `Remote` when the permit is gone.
    #[remote(idempotent)]
    async fn check(&self) -> Result<(), SyncError>;
}

/// What who acquires permits gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Grant {
    /// The fencing token: larger than that of every earlier grant of the semaphore.
    pub token: u64,
    /// What was taken. Dropping its last proxy, wherever that is, gives it back.
    pub permit: Proxy<dyn Permit>,
}

impl Grant {
    /// A grant made of these parts.
    #[must_use]
    pub fn new(token: u64, permit: Proxy<dyn Permit>) -> Self {
        Self { token, permit }
    }
}

/// Why a semaphore did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SyncError {
    /// Nothing was asked for, or there is nothing to take.
    #[error("0 permits; the least is 1")]
    NoPermits,
    /// More was asked for than there is.
    #[error("{asked} permits exceed the {permits} that the semaphore has")]
    TooMany {
        /// How many were asked for.
        asked: u32,
        /// How many there are, taken or not.
        permits: u32,
    },
    /// Something is used up.
    #[error("{limit} {what}, which is the limit")]
    Full {
        /// Of what.
        what: String,
        /// How many there may be.
        limit: u64,
    },
    /// The semaphore ends with its process.
    #[error("the semaphore is closed")]
    Closed,
    /// The permits were given back before.
    #[error("the permits were given back")]
    Released,
    /// A named semaphore is not what the caller takes it for.
    #[error("semaphore {name} has {permits} permits, not {asked}")]
    Permits {
        /// The name.
        name: Name,
        /// How many it has.
        permits: u32,
        /// How many the caller believes it has.
        asked: u32,
    },
    /// Not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There are no tokens: their source cannot be written.
    #[error("no fencing token can be given: {0}")]
    Tokens(String),
    /// The call failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}
