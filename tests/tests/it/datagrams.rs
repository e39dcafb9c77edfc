//! Unreliable calls between nodes, over a channel whose datagrams have the weather that a test makes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use rmi_core::transport::{Channel, Datagrams, Listener, Memory, Transport, TransportError};
use rmi_core::{Bytes, Endpoint, Node, ObjectRef, Proxy, RemoteError, remote};
use tokio::sync::{Semaphore, mpsc};

/// What becomes of a datagram on its way: none, or copies of it, changed or not.
type Weather = fn(Bytes) -> Vec<Bytes>;

/// Memory channels with datagrams beside them.
#[derive(Clone)]
struct Air {
    memory: Memory,
    weather: Weather,
    sent: Arc<AtomicUsize>,
    /// The far ends of channels that were dialled and not accepted.
    far: Arc<Mutex<VecDeque<Lane>>>,
}

struct Lane {
    out: mpsc::UnboundedSender<Bytes>,
    come: mpsc::UnboundedReceiver<Bytes>,
    weather: Weather,
    sent: Arc<AtomicUsize>,
}

impl Datagrams for Lane {
    fn bytes_max(&self) -> usize {
        1200
    }

    fn send(&mut self, message: Bytes) {
        self.sent.fetch_add(1, Ordering::SeqCst);
        for message in (self.weather)(message) {
            // Whoever is gone hears nothing.
            let _ = self.out.send(message);
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.come.poll_recv(cx)
    }
}

#[async_trait]
impl Transport for Air {
    fn scheme(&self) -> &'static str {
        "mem"
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let ((there, come_there), (back, come_back)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let lane = |out, come| Lane { out, come, weather: self.weather, sent: self.sent.clone() };
        self.far.lock().unwrap().push_back(lane(back, come_there));
        Ok(self.memory.dial(endpoint).await?.with_datagrams(lane(there, come_back)))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(Accepting { inner: self.memory.listen(endpoint).await?, air: self.clone() }))
    }
}

struct Accepting {
    inner: Box<dyn Listener>,
    air: Air,
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        self.inner.endpoint()
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        let channel = self.inner.accept().await?;
        let lane = self.air.far.lock().unwrap().pop_front().expect("it was dialled");
        Ok(channel.with_datagrams(lane))
    }
}

#[remote]
trait Gauge {
    #[remote(oneway, unreliable)]
    async fn show(&self, number: u32, padding: &[u8]) -> Result<(), RemoteError>;
    #[remote(oneway, unreliable)]
    async fn follow(&self, other: Proxy<dyn Gauge>) -> Result<(), RemoteError>;
    async fn shown(&self) -> Result<u32, RemoteError>;
}

struct Dial {
    shown: AtomicUsize,
    changed: Semaphore,
}

#[remote]
impl Gauge for Dial {
    async fn show(&self, _: u32, _: &[u8]) -> Result<(), RemoteError> {
        self.shown.fetch_add(1, Ordering::SeqCst);
        self.changed.add_permits(1);
        Ok(())
    }
    async fn follow(&self, other: Proxy<dyn Gauge>) -> Result<(), RemoteError> {
        other.show(1, &[]).await
    }
    async fn shown(&self) -> Result<u32, RemoteError> {
        Ok(u32::try_from(self.shown.load(Ordering::SeqCst)).unwrap())
    }
}

struct Setting {
    air: Air,
    dial: Arc<Dial>,
    gauge: Proxy<dyn Gauge>,
    /// Counts the connections that the host saw end.
    ended: Arc<Semaphore>,
    _nodes: [Node; 2],
}

impl Setting {
    async fn new(weather: Weather) -> Self {
        let air = Air { memory: Memory::new(), weather, sent: Arc::default(), far: Arc::default() };
        let transport = || Arc::new(air.clone());
        let ended = Arc::new(Semaphore::new(0));
        let end = ended.clone();
        let host =
            Node::builder().transport(transport()).listen("mem:host").on_disconnect(move |_, _| end.add_permits(1));
        let host = host.start().await.unwrap();
        let caller = Node::builder().transport(transport()).start().await.unwrap();
        let dial = Arc::new(Dial { shown: AtomicUsize::new(0), changed: Semaphore::new(0) });
        let reference: ObjectRef = host.export(&Proxy::<dyn Gauge>::from_arc(dial.clone())).unwrap();
        let gauge = caller.proxy(&reference).unwrap();
        Self { air, dial, gauge, ended, _nodes: [host, caller] }
    }

    fn sent(&self) -> usize {
        self.air.sent.load(Ordering::SeqCst)
    }

    /// Waits until so many more calls of `show` have run.
    async fn ran(&self, count: u32) {
        let some = self.dial.changed.acquire_many(count);
        tokio::time::timeout(Duration::from_secs(5), some).await.expect("they run").unwrap().forget();
    }
}

#[tokio::test]
async fn unreliable_calls_ride_datagrams_when_they_can() {
    let setting = Setting::new(|datagram| vec![datagram]).await;
    // Before the peer is known a call waits, and then goes the usual way.
    setting.gauge.show(1, &[]).await.unwrap();
    setting.ran(1).await;
    assert_eq!(setting.sent(), 0);
    setting.gauge.show(2, &[7; 1000]).await.unwrap();
    setting.ran(1).await;
    assert_eq!(setting.sent(), 1);
    setting.gauge.show(3, &[7; 2000]).await.unwrap();
    setting.gauge.follow(setting.gauge.clone()).await.unwrap();
    setting.ran(2).await;
    assert_eq!((setting.sent(), setting.gauge.shown().await.unwrap()), (1, 4));
}

#[tokio::test]
async fn what_the_network_loses_is_lost_and_nothing_else() {
    let setting = Setting::new(|_| Vec::new()).await;
    assert_eq!(setting.gauge.shown().await.unwrap(), 0);
    for number in 0..10 {
        setting.gauge.show(number, &[]).await.unwrap();
    }
    while setting.sent() < 10 {
        assert_eq!(setting.gauge.shown().await.unwrap(), 0);
    }
    assert_eq!(setting.gauge.shown().await.unwrap(), 0);
}

#[tokio::test]
async fn what_the_network_doubles_runs_once() {
    let setting = Setting::new(|datagram| vec![datagram.clone(), datagram]).await;
    assert_eq!(setting.gauge.shown().await.unwrap(), 0);
    for number in 1..=20 {
        setting.gauge.show(number, &[]).await.unwrap();
        setting.ran(1).await;
    }
    assert_eq!((setting.sent(), setting.gauge.shown().await.unwrap()), (20, 20));
}

#[tokio::test]
async fn a_peer_whose_datagrams_are_no_calls_is_let_go() {
    let setting = Setting::new(|_| vec![Bytes::from_static(&[7; 9])]).await;
    setting.gauge.shown().await.unwrap();
    assert_eq!(setting.ended.available_permits(), 0);
    setting.gauge.show(1, &[]).await.unwrap();
    let ended = setting.ended.acquire();
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the connection ends").unwrap().forget();
}
