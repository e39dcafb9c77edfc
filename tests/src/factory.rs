//! Objects that are made on demand, and counted when they end.

use std::sync::Arc;

use rmi_core::{Proxy, RemoteError, remote};
use tokio::sync::watch;

/// Makes products.
#[remote]
pub trait Factory {
    /// So many new products, at most as many as references go into one frame.
    async fn make(&self, count: u32) -> Result<Vec<Proxy<dyn Product>>, RemoteError>;
}

/// What a [`Factory`] makes.
#[remote]
pub trait Product {
    /// Does nothing.
    async fn touch(&self) -> Result<(), RemoteError>;
}

/// A [`Factory`] that knows how many of its products have ended.
#[derive(Default)]
pub struct Workshop {
    ended: Arc<watch::Sender<u64>>,
}

struct Counted(Arc<watch::Sender<u64>>);

impl Workshop {
    /// The number of products that were dropped, as it changes.
    #[must_use]
    pub fn ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }
}

#[remote]
impl Factory for Workshop {
    async fn make(&self, count: u32) -> Result<Vec<Proxy<dyn Product>>, RemoteError> {
        Ok((0..count).map(|_| Proxy::<dyn Product>::new(Counted(self.ended.clone()))).collect())
    }
}

#[remote]
impl Product for Counted {
    async fn touch(&self) -> Result<(), RemoteError> {
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|ended| *ended += 1);
    }
}
