//! Objects whose ends are counted, on hosts of a simulated network.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmi_core::{Endpoint, Node, NodeBuilder, ObjectId, Proxy, RemoteError, remote};
use rmi_tests::Network;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

#[remote(name = "conformance.Item")]
pub(super) trait Item {
    async fn touch(&self) -> Result<(), RemoteError>;
    /// Runs for this long after its call has returned at the caller.
    #[remote(oneway)]
    async fn linger(&self, millis: u64) -> Result<(), RemoteError>;
    /// Holds another object as long as this one lives.
    async fn tie(&self, other: Proxy<dyn Item>) -> Result<(), RemoteError>;
}

#[remote(name = "conformance.Shelf")]
pub(super) trait Shelf {
    /// A new item, so many times.
    async fn make(&self, copies: u32) -> Result<Vec<Proxy<dyn Item>>, RemoteError>;
    /// The items that were put, in a result.
    async fn stored(&self) -> Result<Vec<Proxy<dyn Item>>, RemoteError>;
    async fn put(&self, items: Vec<Proxy<dyn Item>>) -> Result<(), RemoteError>;
    async fn look(&self, items: Vec<Proxy<dyn Item>>) -> Result<(), RemoteError>;
    async fn hang(&self, items: Vec<Proxy<dyn Item>>) -> Result<(), RemoteError>;
    async fn clear(&self) -> Result<(), RemoteError>;
}

/// How many items there are and were.
#[derive(Clone)]
pub(super) struct Count {
    made: Arc<watch::Sender<usize>>,
    ended: Arc<watch::Sender<usize>>,
    pub(super) lingered: Arc<AtomicUsize>,
}

async fn until(what: &watch::Sender<usize>, count: usize, within: Duration) {
    let mut seen = what.subscribe();
    let reached = seen.wait_for(|&now| now >= count);
    assert!(timeout(within, reached).await.is_ok(), "{} of {count} after {within:?}", *what.borrow());
}

impl Count {
    pub(super) fn new() -> Self {
        let counter = || Arc::new(watch::Sender::new(0));
        Self { made: counter(), ended: counter(), lingered: Arc::default() }
    }

    pub(super) fn item(&self) -> Proxy<dyn Item> {
        self.made.send_modify(|made| *made += 1);
        Proxy::<dyn Item>::new(Counted { count: self.clone(), tied: Mutex::default() })
    }

    pub(super) async fn made(&self, count: usize) {
        until(&self.made, count, Duration::from_secs(5)).await;
    }

    /// So many items are dropped within this time.
    pub(super) async fn ended(&self, count: usize, within: Duration) {
        until(&self.ended, count, within).await;
    }

    /// So many items are dropped, and no more within this time.
    pub(super) async fn only_ended(&self, count: usize, within: Duration) {
        sleep(within).await;
        assert_eq!(*self.ended.borrow(), count, "items were dropped within {within:?}");
    }
}

struct Counted {
    count: Count,
    tied: Mutex<Vec<Proxy<dyn Item>>>,
}

#[remote]
impl Item for Counted {
    async fn touch(&self) -> Result<(), RemoteError> {
        Ok(())
    }
    async fn linger(&self, millis: u64) -> Result<(), RemoteError> {
        sleep(Duration::from_millis(millis)).await;
        self.count.lingered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    async fn tie(&self, other: Proxy<dyn Item>) -> Result<(), RemoteError> {
        self.tied.lock().unwrap().push(other);
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // From a task: what a program does at the end of an object may take its time.
        let ended = self.count.ended.clone();
        tokio::spawn(async move { ended.send_modify(|ended| *ended += 1) });
    }
}

/// A [`Shelf`] whose items are counted.
pub(super) struct Stocked {
    count: Count,
    items: Mutex<Vec<Proxy<dyn Item>>>,
}

#[remote]
impl Shelf for Stocked {
    async fn make(&self, copies: u32) -> Result<Vec<Proxy<dyn Item>>, RemoteError> {
        let item = self.count.item();
        Ok((0..copies).map(|_| item.clone()).collect())
    }
    async fn stored(&self) -> Result<Vec<Proxy<dyn Item>>, RemoteError> {
        Ok(self.items.lock().unwrap().clone())
    }
    async fn put(&self, items: Vec<Proxy<dyn Item>>) -> Result<(), RemoteError> {
        self.items.lock().unwrap().extend(items);
        Ok(())
    }
    async fn look(&self, items: Vec<Proxy<dyn Item>>) -> Result<(), RemoteError> {
        for item in items {
            item.touch().await?;
        }
        Ok(())
    }
    async fn hang(&self, _: Vec<Proxy<dyn Item>>) -> Result<(), RemoteError> {
        std::future::pending().await
    }
    async fn clear(&self) -> Result<(), RemoteError> {
        let items = std::mem::take(&mut *self.items.lock().unwrap());
        drop(items);
        Ok(())
    }
}

/// Where every host has its shelf.
pub(super) const SHELF: ObjectId = ObjectId::from_bytes(*b"conformance.shlf");

fn place(host: &str) -> Endpoint {
    format!("sim:{host}").parse().unwrap()
}

/// A host of the network with a shelf.
pub(super) async fn host(network: &Network, name: &str, count: &Count) -> Node {
    host_with(network, name, count, |builder| builder).await
}

/// A host whose node is built with more than the defaults.
pub(super) async fn host_with(
    network: &Network,
    name: &str,
    count: &Count,
    more: impl FnOnce(NodeBuilder) -> NodeBuilder,
) -> Node {
    let shelf = Proxy::<dyn Shelf>::new(Stocked { count: count.clone(), items: Mutex::default() });
    let builder = Node::builder().transport(network.host(name)).listen(place(name));
    more(builder).export_at(SHELF, &shelf).start().await.unwrap()
}

/// The shelf of host `name`, for `node`.
pub(super) fn shelf(node: &Node, name: &str) -> Proxy<dyn Shelf> {
    node.at(&place(name), SHELF)
}

/// An item of host `name` that `node` holds.
pub(super) async fn one(node: &Node, name: &str) -> Proxy<dyn Item> {
    shelf(node, name).make(1).await.unwrap().remove(0)
}
