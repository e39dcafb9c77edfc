//! The design's first example, against the public API alone.
#![deny(warnings)]
#![forbid(unsafe_code)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rmi_core::{CallOptions, Node, Proxy, Registry, RemoteError, remote};
use serde::{Deserialize, Serialize};

#[remote]
pub trait Account {
    /// Balance in cents.
    #[remote(idempotent)]
    async fn balance(&self) -> Result<u64, BankError>;
    async fn deposit(&self, cents: u64, memo: &str) -> Result<u64, BankError>;
    async fn withdraw(&self, cents: u64) -> Result<u64, BankError>;
    async fn watch(&self, observer: Proxy<dyn Observer>) -> Result<Proxy<dyn Subscription>, BankError>;
    #[remote(oneway)]
    async fn touch(&self) -> Result<(), BankError>;
}

#[remote]
pub trait Observer {
    async fn changed(&self, cents: u64) -> Result<(), RemoteError>;
}

#[remote]
pub trait Subscription {
    async fn active(&self) -> Result<bool, RemoteError>;
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum BankError {
    #[error("insufficient funds: {0} cents short")]
    Insufficient(u64),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

#[derive(Default)]
struct Vault {
    cents: AtomicU64,
}

struct Subscribed;

#[remote]
impl Subscription for Subscribed {
    async fn active(&self) -> Result<bool, RemoteError> {
        Ok(true)
    }
}

#[remote]
impl Account for Vault {
    async fn balance(&self) -> Result<u64, BankError> {
        Ok(self.cents.load(Ordering::SeqCst))
    }
    async fn deposit(&self, cents: u64, memo: &str) -> Result<u64, BankError> {
        assert_eq!(memo, "tip");
        Ok(self.cents.fetch_add(cents, Ordering::SeqCst) + cents)
    }
    async fn withdraw(&self, cents: u64) -> Result<u64, BankError> {
        Err(BankError::Insufficient(cents - self.cents.load(Ordering::SeqCst)))
    }
    async fn watch(&self, observer: Proxy<dyn Observer>) -> Result<Proxy<dyn Subscription>, BankError> {
        observer.changed(self.balance().await?).await?;
        Ok(Proxy::new(Subscribed))
    }
    async fn touch(&self) -> Result<(), BankError> {
        Ok(())
    }
}

static TOLD: Mutex<u64> = Mutex::new(0);

struct Printer;

#[remote]
impl Observer for Printer {
    async fn changed(&self, cents: u64) -> Result<(), RemoteError> {
        *TOLD.lock().unwrap() = cents;
        Ok(())
    }
}

/// A servant or a proxy: no difference.
async fn pay(account: &dyn Account) -> u64 {
    account.balance().await.unwrap()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [registry, socket] = [1, 2].map(|at| std::env::args().nth(at).expect("registry and socket"));
    let host = Node::builder().listen("tcp://127.0.0.1:0").listen(format!("unix:{socket}")).start().await?;
    let names = Registry::connect(&host, &*registry).await?;
    names.bind("bank/main", &Proxy::<dyn Account>::new(Vault::default())).await?;

    let caller = Node::builder().start().await?;
    let account: Proxy<dyn Account> = Registry::connect(&caller, registry).await?.lookup("bank/main").await?;
    account.deposit(500, "tip").await?;
    let balance = account.with(CallOptions::new().timeout(Duration::from_secs(5))).balance().await?;
    let short = match account.withdraw(600).await {
        Err(BankError::Insufficient(cents)) => cents,
        other => return Err(format!("{other:?}").into()),
    };
    let subscription = account.watch(Proxy::<dyn Observer>::new(Printer)).await?;
    let subscribed = if subscription.active().await? { "subscribed" } else { "not subscribed" };
    account.touch().await?;
    let told = *TOLD.lock().unwrap();
    println!("balance {balance}, {short} cents short, told {told}, {subscribed}, a plain call says {}", pay(&account).await);
    host.shutdown().await;
    Ok(())
}
