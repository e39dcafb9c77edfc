//! Semaphores and mutexes as remote objects.
//!
//! A [`Semaphore`] has permits. Who acquires some gets a [`Grant`]: a [`Permit`], an object that stands for what was taken,
//! and a fencing token. The permits come back when the permit is released, when its last proxy is dropped, or when the
//! process that holds it dies.
//!
//! [`LocalSemaphore`] is the servant. [`Registry::semaphore`](crate::Registry::semaphore) finds one by its name, which the
//! registry process hosts, and [`Registry::mutex`](crate::Registry::mutex) one with a single permit.
//!
//! A holder that is cut off is believed dead after a while although it runs on. What a mutex guards is safe from it only if
//! it looks at the token: it remembers the largest it has seen and refuses smaller ones.
//!
//! ```
//! use rmi_core::Proxy;
//! use rmi_core::sync::{LocalSemaphore, Semaphore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let semaphore: Proxy<dyn Semaphore> = Proxy::new(LocalSemaphore::new(4));
//! let grant = semaphore.acquire(3).await?;
//! assert_eq!(semaphore.available().await?, 1);
//! drop(grant);
//! assert_eq!(semaphore.available().await?, 4);
//! # Ok(())
//! # }
//! ```

mod interface;
mod local;
mod mutex;
mod named;
mod queue;

pub use interface::{Grant, Permit, Semaphore, SyncError};
pub use local::{LocalSemaphore, Tokens, WeakSemaphore};
pub use mutex::Mutex;
pub use named::Semaphores;
