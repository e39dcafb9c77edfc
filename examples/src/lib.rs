//! What the examples share: a bank, and processes of their own.

pub mod process;
mod vault;

use rmi_core::{Proxy, RemoteError, Streaming, remote};
use serde::{Deserialize, Serialize};

pub use vault::Vault;

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
    /// Tells `observer` every later change of every account, as long as somebody refers to the subscription.
    async fn watch(&self, observer: Proxy<dyn Observer>) -> Result<Proxy<dyn Subscription>, BankError>;
    /// How many subscriptions there are.
    #[remote(idempotent)]
    async fn watched(&self) -> Result<usize, BankError>;
    /// A statement of so many pages, each printed when the reader has room for it.
    async fn statement(&self, pages: u64) -> Result<Streaming<String>, BankError>;
    /// How many pages were printed.
    #[remote(idempotent)]
    async fn printed(&self) -> Result<u64, BankError>;
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

/// What keeps an observer informed: dropping the last proxy to it unsubscribes.
#[remote(name = "bank.Subscription")]
pub trait Subscription {
    /// How many changes the observer was told.
    #[remote(idempotent)]
    async fn told(&self) -> Result<u64, RemoteError>;
}
