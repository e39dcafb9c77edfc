//! Calls between two nodes of one process, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rmi_core::{Bytes, ErrorKind, Executed, Node, Proxy, RemoteError, remote};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
enum BankError {
    #[error("insufficient funds: {0} cents short")]
    Insufficient(u64),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

type Banking<T> = Result<T, BankError>;

#[remote(name = "bank.Account")]
trait Account {
    #[remote(idempotent)]
    async fn balance(&self) -> Result<u64, BankError>;
    async fn deposit(&self, cents: u64, memo: &str) -> Banking<u64>;
    async fn withdraw(&self, cents: u64) -> Banking<u64>;
    #[remote(rename = "fancy", alias = "old")]
    async fn describe(&self, tags: &[String], note: Option<&str>, extra: Option<&Vec<u8>>) -> Banking<String>;
    async fn blobs(&self, slice: &[u8], vector: Vec<u8>, shared: Bytes, maybe: Option<&[u8]>) -> Banking<Vec<u8>>;
    async fn watch(&self, observer: Proxy<dyn Observer>) -> Banking<Proxy<dyn Account>>;
    #[remote(oneway)]
    async fn touch(&self) -> Banking<()>;
    #[remote(timeout = "50ms")]
    async fn hang(&self) -> Banking<()>;
    async fn fail(&self) -> Banking<()> {
        panic!("as told")
    }
}

#[remote]
trait Observer {
    async fn changed(&self, balance: u64) -> Result<(), RemoteError>;
}

#[derive(Default)]
struct Vault {
    cents: AtomicU64,
    touched: tokio::sync::Notify,
}

#[remote]
impl Account for Vault {
    async fn balance(&self) -> Result<u64, BankError> {
        Ok(self.cents.load(Ordering::SeqCst))
    }
    async fn deposit(&self, cents: u64, memo: &str) -> Banking<u64> {
        assert_eq!(memo, "tip");
        Ok(self.cents.fetch_add(cents, Ordering::SeqCst) + cents)
    }
    async fn withdraw(&self, cents: u64) -> Banking<u64> {
        let have = self.cents.load(Ordering::SeqCst);
        Err(BankError::Insufficient(cents - have))
    }
    async fn describe(&self, tags: &[String], note: Option<&str>, extra: Option<&Vec<u8>>) -> Banking<String> {
        Ok(format!("{tags:?} {note:?} {extra:?}"))
    }
    async fn blobs(&self, slice: &[u8], vector: Vec<u8>, shared: Bytes, maybe: Option<&[u8]>) -> Banking<Vec<u8>> {
        Ok([slice, &vector, &shared, maybe.unwrap_or(b"-")].concat())
    }
    async fn watch(&self, observer: Proxy<dyn Observer>) -> Banking<Proxy<dyn Account>> {
        observer.changed(self.balance().await?).await?;
        Ok(Proxy::new(Self { cents: AtomicU64::new(77), ..Self::default() }))
    }
    async fn touch(&self) -> Banking<()> {
        self.touched.notify_one();
        Ok(())
    }
    async fn hang(&self) -> Banking<()> {
        std::future::pending().await
    }
}

struct Seen(tokio::sync::mpsc::UnboundedSender<u64>);

#[remote]
impl Observer for Seen {
    async fn changed(&self, balance: u64) -> Result<(), RemoteError> {
        self.0.send(balance).unwrap();
        Ok(())
    }
}

struct Pair {
    host: Node,
    _caller: Node,
    vault: Arc<Vault>,
    account: Proxy<dyn Account>,
}

async fn pair(endpoint: &str) -> Pair {
    let host = Node::builder().listen(endpoint).start().await.unwrap();
    let caller = Node::builder().start().await.unwrap();
    let vault = Arc::new(Vault::default());
    let reference = host.export(&Proxy::<dyn Account>::from_arc(vault.clone())).unwrap();
    let account = caller.proxy(&reference).unwrap();
    Pair { host, _caller: caller, vault, account }
}

#[tokio::test]
async fn calls_arrive_and_results_come_back() {
    let pair = pair("tcp://127.0.0.1:0").await;
    assert_eq!(pair.account.deposit(5, "tip").await, Ok(5));
    assert_eq!(pair.account.balance().await, Ok(5));
    assert_eq!(pair.account.withdraw(7).await, Err(BankError::Insufficient(2)));
    let text = pair.account.describe(&["a".into()], Some("n"), None).await.unwrap();
    assert_eq!(text, r#"["a"] Some("n") None"#);
    let blob = pair.account.blobs(b"a", b"b".to_vec(), Bytes::from_static(b"c"), None).await.unwrap();
    assert_eq!(blob, b"abc-");
    assert_eq!(pair.host.connections(), 1);
}

#[tokio::test]
async fn callbacks_and_returned_references_share_the_connection() {
    let pair = pair("tcp://127.0.0.1:0").await;
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let other = pair.account.watch(Proxy::new(Seen(sender))).await.unwrap();
    assert_eq!(seen.recv().await, Some(0));
    assert_eq!(other.balance().await, Ok(77));
    assert_eq!(pair.host.connections(), 1);
}

#[tokio::test]
async fn a_oneway_call_does_not_wait() {
    let pair = pair("tcp://127.0.0.1:0").await;
    pair.account.touch().await.unwrap();
    pair.vault.touched.notified().await;
}

fn remote_error(result: Banking<()>) -> RemoteError {
    match result {
        Err(BankError::Remote(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_deadline_and_a_panic_are_told() {
    let pair = pair("tcp://127.0.0.1:0").await;
    let error = remote_error(pair.account.hang().await);
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Deadline, Executed::Maybe));
    let error = remote_error(pair.account.fail().await);
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Panicked, Executed::Yes));
    assert_eq!(pair.account.balance().await, Ok(0));
}

#[tokio::test]
async fn large_bodies_are_cut_and_put_together() {
    let pair = pair("tcp://127.0.0.1:0").await;
    let large = vec![7u8; 5 << 20];
    let (a, b) =
        tokio::join!(pair.account.blobs(&large, Vec::new(), Bytes::new(), None), pair.account.deposit(1, "tip"));
    assert_eq!(a.unwrap().len(), large.len() + 1);
    assert_eq!(b, Ok(1));
}

#[tokio::test]
async fn shutdown_lets_calls_finish_and_refuses_new_ones() {
    let pair = pair("tcp://127.0.0.1:0").await;
    pair.account.balance().await.unwrap();
    pair.host.shutdown().await;
    let error = match pair.account.balance().await {
        Err(BankError::Remote(error)) => error,
        other => panic!("{other:?}"),
    };
    // It said goodbye, and with that its objects are gone.
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Gone, Executed::No));
}

#[remote(name = "calls.Safe")]
trait Safe {
    async fn open(&self) -> Result<Proxy<dyn Safe>, RemoteError>;
    async fn weigh(&self) -> Result<u64, RemoteError>;
}

/// Returns the object that it keeps, and counts how often it was weighed.
struct Keeper {
    kept: Option<Proxy<dyn Safe>>,
    weighed: Arc<AtomicU64>,
}

#[remote]
impl Safe for Keeper {
    async fn open(&self) -> Result<Proxy<dyn Safe>, RemoteError> {
        self.kept.clone().ok_or_else(|| RemoteError::new(ErrorKind::Misuse, Executed::Yes, "empty"))
    }
    async fn weigh(&self) -> Result<u64, RemoteError> {
        Ok(self.weighed.fetch_add(1, Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_result_that_must_not_be_sent_keeps_no_promise() {
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let weighed = Arc::new(AtomicU64::new(0));
    let inner = Proxy::<dyn Safe>::new(Keeper { kept: None, weighed: weighed.clone() });
    assert!(host.revoke(host.export(&inner).unwrap().object));
    let outer = Proxy::<dyn Safe>::new(Keeper { kept: Some(inner), weighed: Arc::default() });
    let caller = Node::builder().start().await.unwrap();
    let safe: Proxy<dyn Safe> = caller.proxy(&host.export(&outer).unwrap()).unwrap();
    let error = safe.pipelined().open().await.unwrap().weigh().await.unwrap_err();
    assert_eq!(error.executed(), Executed::No);
    assert!(error.message().contains("the object was revoked"), "{error}");
    assert_eq!(weighed.load(Ordering::SeqCst), 0);
}
