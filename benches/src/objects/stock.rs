//! The host: it makes objects, and says how many it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rmi_core::{Limits, Node, Proxy, RemoteError, Streaming, remote};

use crate::Result;

#[remote]
pub(crate) trait Part {
    async fn touch(&self) -> Result<(), RemoteError>;
}

#[remote]
pub(crate) trait Stock {
    /// So many new objects, at most [`TOGETHER`].
    async fn make(&self, count: u32) -> Result<Vec<Proxy<dyn Part>>, RemoteError>;
    /// How many objects the host exports, and how many connections it has.
    async fn left(&self) -> Result<(u64, u64), RemoteError>;
    /// So many integers, from 0.
    async fn numbers(&self, count: u32) -> Result<Streaming<u64>, RemoteError>;
    /// How many integers the last stream was asked for already.
    async fn made(&self) -> Result<u64, RemoteError>;
}

/// The most references that go into one frame, in round numbers.
pub(crate) const TOGETHER: u32 = 1000;

/// An object with as little of its own as there can be, so that what is measured is not its own.
struct Small;

#[remote]
impl Part for Small {
    async fn touch(&self) -> Result<(), RemoteError> {
        Ok(())
    }
}

struct Store {
    node: Node,
    made: Arc<AtomicU64>,
}

#[remote]
impl Stock for Store {
    async fn make(&self, count: u32) -> Result<Vec<Proxy<dyn Part>>, RemoteError> {
        Ok((0..count).map(|_| Proxy::<dyn Part>::new(Small)).collect())
    }

    async fn left(&self) -> Result<(u64, u64), RemoteError> {
        Ok((self.node.exported() as u64, self.node.connections() as u64))
    }

    async fn numbers(&self, count: u32) -> Result<Streaming<u64>, RemoteError> {
        let made = self.made.clone();
        // One stream at a time: nobody else writes.
        let numbers = (0..u64::from(count)).inspect(move |number| made.store(number + 1, Ordering::Relaxed));
        Ok(Streaming::new(futures_util::stream::iter(numbers)))
    }

    async fn made(&self) -> Result<u64, RemoteError> {
        Ok(self.made.load(Ordering::Relaxed))
    }
}

/// Serves until the process ends; says where on the first line of the output.
pub(crate) async fn serve(at: &str, lease: Option<Duration>) -> Result<()> {
    let node = Node::builder().listen(at).limits(limits(lease)).start().await?;
    let store = Store { node: node.clone(), made: Arc::default() };
    crate::child::announce(&node.export(&Proxy::<dyn Stock>::new(store))?.to_string());
    std::future::pending().await
}

fn limits(lease: Option<Duration>) -> Limits {
    let mut limits = Limits::default();
    limits.lease = lease.unwrap_or(limits.lease);
    limits
}
