//! What the examples share: a bank, and processes of their own.

pub mod process;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rmi_core::{Proxy, RemoteError, remote};
use serde::{Deserialize, Serialize};

/// Why the bank did not do what it was asked.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum BankError {
    /// The account holds less.
    #[error("insufficient funds: {0} cents short")]
    Insufficient(u64),
    /// Nobody has opened the account.
    #[error("there is no account {0:?}")]
    NoAccount(String),
    /// The call failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// A bank with accounts by name.
#[remote(name = "bank.Bank")]
pub trait Bank {
    /// Balance in cents.
    #[remote(idempotent)]
    async fn balance(&self, account: &str) -> Result<u64, BankError>;
    /// Pays in, opening the account if need be, and returns the balance.
    async fn deposit(&self, account: &str, cents: u64) -> Result<u64, BankError>;
    /// Pays out and returns the balance.
    async fn withdraw(&self, account: &str, cents: u64) -> Result<u64, BankError>;
    /// Tells `observer` every later change of every account.
    async fn watch(&self, observer: Proxy<dyn Observer>) -> Result<(), BankError>;
    /// Takes its time before it returns.
    async fn audit(&self, millis: u64) -> Result<(), BankError>;
    /// How many audits were given up by their callers.
    #[remote(idempotent)]
    async fn given_up(&self) -> Result<u64, BankError>;
}

/// Who wants to know about changes.
#[remote(name = "bank.Observer")]
pub trait Observer {
    /// An account holds this much now.
    async fn changed(&self, account: &str, cents: u64) -> Result<(), RemoteError>;
}

/// A bank in memory.
#[derive(Default)]
pub struct Vault {
    accounts: Mutex<HashMap<String, u64>>,
    observers: Mutex<Vec<Proxy<dyn Observer>>>,
    given_up: std::sync::atomic::AtomicU64,
}

impl Vault {
    /// Changes an account under the lock, and tells the observers without it.
    async fn change(
        &self,
        account: &str,
        change: impl FnOnce(Option<u64>) -> Result<u64, BankError>,
    ) -> Result<u64, BankError> {
        let cents = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            let cents = change(accounts.get(account).copied())?;
            accounts.insert(account.to_owned(), cents);
            cents
        };
        let observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for observer in observers {
            // An observer that is gone does not stop the bank.
            let _ = observer.changed(account, cents).await;
        }
        Ok(cents)
    }
}

/// Counts an audit that does not reach its end.
struct Unfinished<'a>(Option<&'a Vault>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(vault) = self.0 {
            vault.given_up.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

#[remote]
impl Bank for Vault {
    async fn balance(&self, account: &str) -> Result<u64, BankError> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.get(account).copied().ok_or_else(|| BankError::NoAccount(account.to_owned()))
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

    async fn watch(&self, observer: Proxy<dyn Observer>) -> Result<(), BankError> {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner).push(observer);
        Ok(())
    }

    async fn audit(&self, millis: u64) -> Result<(), BankError> {
        let mut unfinished = Unfinished(Some(self));
        tokio::time::sleep(Duration::from_millis(millis)).await;
        unfinished.0 = None;
        Ok(())
    }

    async fn given_up(&self) -> Result<u64, BankError> {
        Ok(self.given_up.load(std::sync::atomic::Ordering::Relaxed))
    }
}
