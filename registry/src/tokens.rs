//! Fencing tokens that rise across restarts, without a write for each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmi_core::sync::{SyncError, Tokens};
use tokio::runtime::Handle;

use crate::state::{State, Wish};
use crate::writer::Writer;

/// How many tokens are reserved by one write. Half of them are left when the next are asked for: more than can be granted
/// while a disk is written.
const BLOCK: u64 = 1_000_000;

/// The tokens of all semaphores of a registry. What is not given when the process ends is never given.
#[derive(Clone)]
pub(crate) struct Reserved(Arc<Shared>);

struct Shared {
    writer: Writer,
    runtime: Handle,
    stock: Mutex<Stock>,
}

/// The tokens above `given`, up to `last`, are on the disk as reserved and not given.
struct Stock {
    given: u64,
    last: u64,
    refilling: bool,
}

impl Reserved {
    /// No tokens yet; those to come are larger than all that the store knows of.
    pub(crate) fn new(writer: Writer) -> Self {
        let given = writer.read(State::tokens);
        let stock = Mutex::new(Stock { given, last: given, refilling: false });
        Self(Arc::new(Shared { writer, runtime: Handle::current(), stock }))
    }

    /// Sees to it that there are tokens.
    pub(crate) async fn ready(&self) -> Result<(), SyncError> {
        let left = self.0.stock().left();
        if left > 0 { Ok(()) } else { self.0.refill().await }
    }
}

impl Tokens for Reserved {
    fn next(&self) -> Result<u64, SyncError> {
        let mut stock = self.0.stock();
        if stock.left() <= BLOCK / 2 && !stock.refilling {
            stock.refilling = true;
            self.0.runtime.spawn(refill(self.0.clone()));
        }
        stock.take().ok_or_else(|| SyncError::Tokens("the registry has yet to store more; try again".into()))
    }
}

async fn refill(shared: Arc<Shared>) {
    if let Err(error) = shared.refill().await {
        tracing::error!(%error, "trying again with the next token");
    }
    shared.stock().refilling = false;
}

impl Shared {
    async fn refill(&self) -> Result<(), SyncError> {
        let stored = self.writer.change(Wish::Tokens(BLOCK)).await;
        stored.map_err(|error| SyncError::Tokens(error.to_string()))?;
        let last = self.writer.read(State::tokens);
        let mut stock = self.stock();
        stock.last = stock.last.max(last);
        Ok(())
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock {
    fn left(&self) -> u64 {
        self.last.saturating_sub(self.given)
    }

    fn take(&mut self) -> Option<u64> {
        if self.left() == 0 {
            return None;
        }
        self.given += 1;
        Some(self.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durable, Loaded, Memory, Store, StoreError, Write};

    /// A disk that is full.
    struct Full;

    impl Store for Full {
        fn load(&mut self) -> Result<Loaded, StoreError> {
            Ok(Loaded::default())
        }

        fn apply(&mut self, _: u64, _: &[Write]) -> Result<(), StoreError> {
            Err(StoreError::File { path: "x".into(), reason: "no space".into() })
        }
    }

    fn tokens(store: impl Store) -> Reserved {
        Reserved::new(Writer::start(store, Arc::default()).unwrap())
    }

    #[tokio::test]
    async fn tokens_rise_across_restarts_and_need_no_write_each() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("names.redb");
        let mut last = 0;
        for start in 0..3 {
            let tokens = tokens(Durable::open(&data).unwrap());
            tokens.ready().await.unwrap();
            for _ in 0..1000 {
                let token = tokens.next().unwrap();
                assert!(token > last);
                last = token;
            }
            assert_eq!(tokens.0.writer.read(State::tokens), (start + 1) * BLOCK);
            let writer = tokens.0.writer.clone();
            drop(tokens);
            writer.finish().await;
        }
    }

    #[tokio::test]
    async fn more_are_reserved_before_the_last_is_given() {
        let tokens = tokens(Memory);
        tokens.ready().await.unwrap();
        for number in 1..=2 * BLOCK {
            assert_eq!(tokens.next(), Ok(number));
            if number % (BLOCK / 2) == 0 {
                while tokens.0.stock().refilling {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_on_the_disk_is_not_given() {
        let tokens = tokens(Full);
        let error = tokens.ready().await.unwrap_err();
        assert!(error.to_string().contains("no space"), "{error}");
        assert!(tokens.next().is_err());
    }
}
