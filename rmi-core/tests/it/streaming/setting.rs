//! A host whose methods take and return streams, and a caller.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_core::Stream;
use rmi_core::transport::Memory;
use rmi_core::{Bytes, CallContext, Node, NodeBuilder, Proxy, RemoteError, Streaming, remote};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub(super) type Flowing<T> = Result<T, RemoteError>;

#[remote(name = "streaming.Flow")]
pub(super) trait Flow {
    async fn numbers(&self, to: u64) -> Flowing<Streaming<u64>>;
    async fn sum(&self, numbers: Streaming<u64>) -> Flowing<u64>;
    async fn double(&self, numbers: Streaming<u64>) -> Flowing<Streaming<u64>>;
    async fn exchange(&self, texts: Texts) -> Flowing<Texts>;
    async fn objects(&self, count: u64) -> Flowing<Streaming<Proxy<dyn Flow>>>;
    /// Items that are lists of so many objects each.
    async fn crowds(&self, sizes: Vec<u32>) -> Flowing<Streaming<Vec<Proxy<dyn Flow>>>>;
    async fn call_each(&self, objects: Streaming<Proxy<dyn Flow>>) -> Flowing<u64>;
    async fn grids(&self, rows: u64, columns: u64) -> Flowing<Streaming<Streaming<u64>>>;
    async fn blobs(&self, sizes: Vec<u32>) -> Flowing<Streaming<Bytes>>;
    async fn nothings(&self, count: u64) -> Flowing<Streaming<()>>;
    async fn broken(&self) -> Flowing<Streaming<Unwritable>>;
    /// The stream that the test put there.
    async fn prepared(&self) -> Flowing<Streaming<u64>>;
    /// Passes on what was prepared elsewhere, after reading so many of the numbers itself.
    async fn pass_on(&self, other: Proxy<dyn Flow>, read: u64) -> Flowing<Streaming<u64>>;
    async fn ping(&self) -> Flowing<u64>;
    /// The number of the connection that the call came over.
    async fn connection(&self) -> Flowing<u64>;
}

/// Streams inside a value, in both directions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Texts {
    pub(super) title: String,
    pub(super) parts: Vec<Streaming<String>>,
}

/// An item that fails to be encoded.
#[derive(Debug, Deserialize)]
pub(super) struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("as told"))
    }
}

#[derive(Default)]
pub(super) struct Well {
    prepared: Mutex<VecDeque<Streaming<u64>>>,
    pings: AtomicU64,
    /// Where streams were passed on from: who passes one on goes on talking to its producer's node.
    others: Mutex<Vec<Proxy<dyn Flow>>>,
}

impl Well {
    pub(super) fn prepare(&self, stream: Streaming<u64>) {
        self.prepared.lock().unwrap().push_back(stream);
    }
}

#[remote]
impl Flow for Well {
    async fn numbers(&self, to: u64) -> Flowing<Streaming<u64>> {
        Ok(Streaming::new(Each(0..to)))
    }
    async fn sum(&self, mut numbers: Streaming<u64>) -> Flowing<u64> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number?;
        }
        Ok(sum)
    }
    async fn double(&self, numbers: Streaming<u64>) -> Flowing<Streaming<u64>> {
        Ok(Streaming::fallible(Doubled(numbers)))
    }
    async fn exchange(&self, texts: Texts) -> Flowing<Texts> {
        let mut parts = Vec::new();
        for mut part in texts.parts {
            let mut words = Vec::new();
            while let Some(word) = part.next().await {
                words.push(word?.to_uppercase());
            }
            parts.push(Streaming::new(Each(words.into_iter())));
        }
        Ok(Texts { title: texts.title, parts })
    }
    async fn objects(&self, count: u64) -> Flowing<Streaming<Proxy<dyn Flow>>> {
        Ok(Streaming::new(Each((0..count).map(|_| Proxy::new(Self::default())))))
    }
    async fn crowds(&self, sizes: Vec<u32>) -> Flowing<Streaming<Vec<Proxy<dyn Flow>>>> {
        let crowd = |size| (0..size).map(|_| Proxy::new(Self::default())).collect();
        Ok(Streaming::new(Each(sizes.into_iter().map(crowd))))
    }
    async fn call_each(&self, mut objects: Streaming<Proxy<dyn Flow>>) -> Flowing<u64> {
        let mut sum = 0;
        while let Some(object) = objects.next().await {
            sum += object?.ping().await?;
        }
        Ok(sum)
    }
    async fn grids(&self, rows: u64, columns: u64) -> Flowing<Streaming<Streaming<u64>>> {
        let row = move |row| Streaming::new(Each(row * columns..(row + 1) * columns));
        Ok(Streaming::new(Each((0..rows).map(row))))
    }
    async fn blobs(&self, sizes: Vec<u32>) -> Flowing<Streaming<Bytes>> {
        Ok(Streaming::new(Each(sizes.into_iter().map(|size| vec![7; size as usize].into()))))
    }
    async fn nothings(&self, count: u64) -> Flowing<Streaming<()>> {
        Ok(Streaming::new(Each((0..count).map(|_| ()))))
    }
    async fn broken(&self) -> Flowing<Streaming<Unwritable>> {
        Ok(Streaming::new(Each([Unwritable].into_iter())))
    }
    async fn prepared(&self) -> Flowing<Streaming<u64>> {
        Ok(self.prepared.lock().unwrap().pop_front().expect("a prepared stream"))
    }
    async fn pass_on(&self, other: Proxy<dyn Flow>, read: u64) -> Flowing<Streaming<u64>> {
        let mut numbers = other.prepared().await?;
        for expected in 0..read {
            assert_eq!(numbers.next().await.unwrap()?, expected);
        }
        self.others.lock().unwrap().push(other);
        Ok(numbers)
    }
    async fn ping(&self) -> Flowing<u64> {
        Ok(self.pings.fetch_add(1, Ordering::SeqCst) + 1)
    }
    async fn connection(&self) -> Flowing<u64> {
        Ok(CallContext::current().unwrap().peer().unwrap().connection)
    }
}

/// An iterator as a stream that is always ready.
pub(super) struct Each<I>(pub(super) I);

impl<I: Iterator + Unpin> Stream for Each<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

struct Doubled(Streaming<u64>);

impl Stream for Doubled {
    type Item = Flowing<u64>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map(|item| item.map(|number| Ok(number? * 2)))
    }
}

/// What a test learns about a producer.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) made: AtomicU64,
    dropped: AtomicU64,
    changed: Notify,
}

impl Watched {
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// Waits until the producer was dropped.
    pub(super) async fn dropped(&self) {
        self.until(|| self.dropped.load(Ordering::SeqCst) == 1).await;
    }

    /// Waits until the producer was asked for so many items.
    pub(super) async fn made_at_least(&self, items: u64) {
        self.until(|| self.made() >= items).await;
    }

    async fn until(&self, done: impl Fn() -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if done() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.expect("the producer to get there");
    }
}

/// A producer of the numbers below `to`, which then waits for ever.
pub(super) struct Producer {
    watched: Arc<Watched>,
    to: u64,
}

pub(super) fn watched(to: u64) -> (Arc<Watched>, Producer) {
    let watched = Arc::new(Watched::default());
    (watched.clone(), Producer { watched, to })
}

impl Stream for Producer {
    type Item = u64;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u64>> {
        if self.watched.made() >= self.to {
            return Poll::Pending;
        }
        let number = self.watched.made.fetch_add(1, Ordering::SeqCst);
        self.watched.changed.notify_waiters();
        Poll::Ready(Some(number))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.watched.dropped.fetch_add(1, Ordering::SeqCst);
        self.watched.changed.notify_waiters();
    }
}

/// A host with a well, and a caller.
pub(super) struct Setting {
    pub(super) host: Node,
    pub(super) caller: Node,
    pub(super) well: Arc<Well>,
    pub(super) flow: Proxy<dyn Flow>,
}

pub(super) async fn over_tcp() -> Setting {
    setting(Node::builder().listen("tcp://127.0.0.1:0"), Node::builder()).await
}

pub(super) async fn in_memory() -> Setting {
    let memory = Arc::new(Memory::new());
    let builder = || Node::builder().transport(memory.clone());
    setting(builder().listen("mem:host"), builder()).await
}

pub(super) async fn everywhere() -> [Setting; 2] {
    [over_tcp().await, in_memory().await]
}

pub(super) async fn setting(host: NodeBuilder, caller: NodeBuilder) -> Setting {
    let (host, caller) = (host.start().await.unwrap(), caller.start().await.unwrap());
    let well = Arc::new(Well::default());
    let reference = host.export(&Proxy::<dyn Flow>::from_arc(well.clone())).unwrap();
    let flow = caller.proxy(&reference).unwrap();
    Setting { host, caller, well, flow }
}

/// The items of a stream that must finish.
pub(super) async fn all<T: rmi_core::streaming::Item>(mut stream: Streaming<T>) -> Vec<T> {
    let mut items = Vec::new();
    while let Some(item) = stream.next().await {
        items.push(item.unwrap());
    }
    assert_eq!(stream.end(), Some(&rmi_core::streaming::End::Finished));
    items
}
