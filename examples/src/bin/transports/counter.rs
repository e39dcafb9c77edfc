//! The bank's counter: a bank that knows who stands in front of it.

use rmi_core::{Bytes, CallContext, Proxy, Streaming, remote};
use rmi_examples::{Bank, BankError, Observer, Subscription, Vault};

/// A bank with a counter.
#[remote(name = "bank.Counter")]
pub(crate) trait Counter: Bank {
    /// What is proven about the caller.
    #[remote(idempotent)]
    async fn who(&self) -> Result<String, BankError>;
    /// Returns a copy of the document.
    #[remote(idempotent)]
    async fn copy(&self, document: Bytes) -> Result<Bytes, BankError>;
}

/// Serves at the counter.
#[derive(Default)]
pub(crate) struct Clerk(Vault);

#[remote]
impl Counter for Clerk {
    async fn who(&self) -> Result<String, BankError> {
        let context = CallContext::current();
        Ok(context.and_then(|context| context.peer().map(|peer| peer.identity.to_string())).unwrap_or_default())
    }

    async fn copy(&self, document: Bytes) -> Result<Bytes, BankError> {
        Ok(document)
    }
}

#[remote]
impl Bank for Clerk {
    async fn balance(&self, account: &str) -> Result<u64, BankError> {
        self.0.balance(account).await
    }
    async fn deposit(&self, account: &str, cents: u64) -> Result<u64, BankError> {
        self.0.deposit(account, cents).await
    }
    async fn withdraw(&self, account: &str, cents: u64) -> Result<u64, BankError> {
        self.0.withdraw(account, cents).await
    }
    async fn watch(&self, observer: Proxy<dyn Observer>) -> Result<Proxy<dyn Subscription>, BankError> {
        self.0.watch(observer).await
    }
    async fn watched(&self) -> Result<usize, BankError> {
        self.0.watched().await
    }
    async fn statement(&self, pages: u64) -> Result<Streaming<String>, BankError> {
        self.0.statement(pages).await
    }
    async fn printed(&self) -> Result<u64, BankError> {
        self.0.printed().await
    }
    async fn audit(&self, millis: u64) -> Result<(), BankError> {
        self.0.audit(millis).await
    }
    async fn given_up(&self) -> Result<u64, BankError> {
        self.0.given_up().await
    }
}
