//! The bank's object.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rmi_core::streaming::Policy;
use rmi_core::{Proxy, RemoteError, Streaming, remote};

use crate::{Bank, BankError, Observer, Subscription};

/// A bank in memory.
#[derive(Default)]
pub struct Vault {
    accounts: Mutex<HashMap<String, u64>>,
    /// The subscriptions belong to those who watch; they are only known here.
    subscriptions: Mutex<Vec<Weak<Subscribed>>>,
    given_up: AtomicU64,
    printed: Arc<AtomicU64>,
}

/// Holds the observer as long as somebody holds this.
struct Subscribed {
    observer: Proxy<dyn Observer>,
    told: AtomicU64,
}

impl Vault {
    /// Changes an account under the lock, and tells the observers without it.
    async fn change(
        &self,
        account: &str,
        change: impl FnOnce(Option<u64>) -> Result<u64, BankError>,
    ) -> Result<u64, BankError> {
        let cents = {
            let mut accounts = self.accounts();
            let cents = change(accounts.get(account).copied())?;
            accounts.insert(account.to_owned(), cents);
            cents
        };
        for subscription in self.subscriptions() {
            // An observer that is gone does not stop the bank.
            if subscription.observer.changed(account, cents).await.is_ok() {
                subscription.told.fetch_add(1, Relaxed);
            }
        }
        Ok(cents)
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The subscriptions that are still held; the others are forgotten.
    fn subscriptions(&self) -> Vec<Arc<Subscribed>> {
        let mut subscriptions = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        subscriptions.retain(|subscription| subscription.strong_count() > 0);
        subscriptions.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Counts an audit that does not reach its end.
struct Unfinished<'a>(Option<&'a Vault>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(vault) = self.0 {
            vault.given_up.fetch_add(1, Relaxed);
        }
    }
}

#[remote]
impl Bank for Vault {
    async fn balance(&self, account: &str) -> Result<u64, BankError> {
        self.accounts().get(account).copied().ok_or_else(|| BankError::NoAccount(account.to_owned()))
    }

    async fn deposit(&self, account: &str, cents: u64) -> Result<u64, BankError> {
        self.change(account, |have| Ok(have.unwrap_or(0) + cents)).await
    }

    async fn withdraw(&self, account: &str, cents: u64) -> Result<u64, BankError> {
        let pay = |have: Option<u64>| {
            let have = have.ok_or_else(|| BankError::NoAccount(account.to_owned()))?;
            have.checked_sub(cents).ok_or(BankError::Insufficient(cents.saturating_sub(have)))
        };
        self.change(account, pay).await
    }

    async fn watch(&self, observer: Proxy<dyn Observer>) -> Result<Proxy<dyn Subscription>, BankError> {
        let subscription = Arc::new(Subscribed { observer, told: AtomicU64::new(0) });
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&subscription));
        Ok(Proxy::from_arc(subscription))
    }

    async fn watched(&self) -> Result<usize, BankError> {
        Ok(self.subscriptions().len())
    }

    async fn statement(&self, pages: u64) -> Result<Streaming<String>, BankError> {
        let (sender, statement) = Streaming::channel(1, Policy::Block);
        let printed = self.printed.clone();
        tokio::spawn(async move {
            for page in 1..=pages {
                printed.fetch_add(1, Relaxed);
                // Waits until there is room; fails when nobody reads any more.
                sender.send(format!("page {page} of {pages}")).await?;
            }
            Ok::<_, RemoteError>(())
        });
        Ok(statement)
    }

    async fn printed(&self) -> Result<u64, BankError> {
        Ok(self.printed.load(Relaxed))
    }

    async fn audit(&self, millis: u64) -> Result<(), BankError> {
        let mut unfinished = Unfinished(Some(self));
        tokio::time::sleep(Duration::from_millis(millis)).await;
        unfinished.0 = None;
        Ok(())
    }

    async fn given_up(&self) -> Result<u64, BankError> {
        Ok(self.given_up.load(Relaxed))
    }
}

#[remote]
impl Subscription for Subscribed {
    async fn told(&self) -> Result<u64, RemoteError> {
        Ok(self.told.load(Relaxed))
    }
}
