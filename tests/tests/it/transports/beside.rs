//! What travels beside the bytes of a QUIC channel: calls that may be lost in datagrams, large bodies on streams of their own.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use rmi_core::transport::{
    AsideReader, AsideWriter, Asides, Channel, Datagrams, Listener, Quic, Transport, TransportError,
};
use rmi_core::{Bytes, Endpoint, Node, ObjectRef, Proxy, RemoteError, limits, remote};
use rmi_tests::Authority;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

/// What was seen beside the bytes.
#[derive(Default)]
struct Seen {
    datagrams: AtomicUsize,
    opened: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Seen {
    fn of(number: &AtomicUsize) -> usize {
        number.load(Ordering::SeqCst)
    }
}

/// QUIC, watched.
struct Watched {
    inner: Quic,
    seen: Arc<Seen>,
}

struct Beside<T: ?Sized> {
    inner: Box<T>,
    seen: Arc<Seen>,
}

fn watch(mut channel: Channel, seen: &Arc<Seen>) -> Channel {
    let datagrams = channel.datagrams.take().expect("QUIC has datagrams");
    let asides = channel.asides.take().expect("QUIC has streams");
    channel
        .with_datagrams(Beside { inner: datagrams, seen: seen.clone() })
        .with_asides(Beside { inner: asides, seen: seen.clone() })
}

#[async_trait]
impl Transport for Watched {
    fn scheme(&self) -> &'static str {
        "quic"
    }
    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        Ok(watch(self.inner.dial(endpoint).await?, &self.seen))
    }
    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(Beside { inner: self.inner.listen(endpoint).await?, seen: self.seen.clone() }))
    }
}

#[async_trait]
impl Listener for Beside<dyn Listener> {
    fn endpoint(&self) -> &Endpoint {
        self.inner.endpoint()
    }
    async fn accept(&mut self) -> Result<Channel, TransportError> {
        Ok(watch(self.inner.accept().await?, &self.seen))
    }
}

impl Datagrams for Beside<dyn Datagrams> {
    fn bytes_max(&self) -> usize {
        self.inner.bytes_max()
    }
    fn send(&mut self, message: Bytes) {
        self.seen.datagrams.fetch_add(1, Ordering::SeqCst);
        self.inner.send(message);
    }
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.inner.poll_receive(cx)
    }
}

impl Asides for Beside<dyn Asides> {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<AsideWriter>> {
        let inner = ready!(self.inner.poll_open(cx))?;
        self.seen.opened.fetch_add(1, Ordering::SeqCst);
        let open = self.seen.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.most_open.fetch_max(open, Ordering::SeqCst);
        Poll::Ready(Ok(Box::new(Writer(inner, self.seen.clone()))))
    }
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<AsideReader>> {
        self.inner.poll_accept(cx)
    }
}

struct Writer(AsideWriter, Arc<Seen>);

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.1.open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[remote]
trait Press {
    #[remote(oneway, unreliable)]
    async fn tick(&self, padding: &[u8]) -> Result<(), RemoteError>;
    async fn print(&self, bytes: u32) -> Result<Bytes, RemoteError>;
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, RemoteError>;
    async fn note(&self, number: u32, padding: Bytes) -> Result<(), RemoteError>;
}

struct Machine {
    ticks: Semaphore,
    notes: Mutex<Vec<u32>>,
}

#[remote]
impl Press for Machine {
    async fn tick(&self, _: &[u8]) -> Result<(), RemoteError> {
        self.ticks.add_permits(1);
        Ok(())
    }
    async fn print(&self, bytes: u32) -> Result<Bytes, RemoteError> {
        Ok(page(bytes))
    }
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, RemoteError> {
        Ok(bytes)
    }
    async fn note(&self, number: u32, _: Bytes) -> Result<(), RemoteError> {
        self.notes.lock().unwrap().push(number);
        Ok(())
    }
}

fn page(bytes: u32) -> Bytes {
    (0..bytes).map(|index| index.to_le_bytes()[1]).collect()
}

struct Setting {
    seen: Arc<Seen>,
    machine: Arc<Machine>,
    press: Proxy<dyn Press>,
    host: Node,
    _caller: Node,
}

async fn setting() -> Setting {
    let (authority, seen) = (Authority::new(), Arc::<Seen>::default());
    let watched = |name: &str| {
        let inner = Quic::new(authority.credentials(&[name, "127.0.0.1"]));
        Arc::new(Watched { inner, seen: seen.clone() })
    };
    let host = Node::builder().transport(watched("host")).listen("quic://127.0.0.1:0").start().await.unwrap();
    let caller = Node::builder().transport(watched("caller")).start().await.unwrap();
    let machine = Arc::new(Machine { ticks: Semaphore::new(0), notes: Mutex::default() });
    let reference: ObjectRef = host.export(&Proxy::<dyn Press>::from_arc(machine.clone())).unwrap();
    let press: Proxy<dyn Press> = caller.proxy(&reference).unwrap();
    press.print(1).await.unwrap();
    Setting { seen, machine, press, host, _caller: caller }
}

#[tokio::test]
async fn calls_that_may_be_lost_ride_datagrams_of_quic() {
    let setting = setting().await;
    for _ in 0..20 {
        setting.press.tick(&[7; 900]).await.unwrap();
    }
    setting.press.tick(&[7; 9000]).await.unwrap();
    let ran = setting.machine.ticks.acquire_many(21);
    tokio::time::timeout(Duration::from_secs(5), ran).await.expect("nothing is lost here").unwrap().forget();
    assert_eq!(Seen::of(&setting.seen.datagrams), 20);
}

#[tokio::test]
async fn large_bodies_have_streams_of_their_own_and_small_ones_have_not() {
    let setting = setting().await;
    assert_eq!(setting.press.print(3_000_000).await.unwrap(), page(3_000_000));
    assert_eq!(Seen::of(&setting.seen.opened), 1);
    let small = Bytes::from(vec![1; 60_000]);
    assert_eq!(setting.press.echo(small.clone()).await.unwrap(), small);
    assert_eq!(Seen::of(&setting.seen.opened), 1);
    assert_eq!(setting.press.echo(page(500_000)).await.unwrap(), page(500_000));
    assert_eq!(Seen::of(&setting.seen.opened), 3, "one for the call, one for its reply");
}

#[tokio::test]
async fn calls_through_one_proxy_stay_in_order_beside_the_bytes() {
    let setting = setting().await;
    let mut calls = tokio::task::JoinSet::new();
    let press = Arc::new(setting.press.clone());
    for number in 0..60_u32 {
        let press = press.clone();
        let padding = Bytes::from(vec![0; if number % 3 == 0 { 200_000 } else { 10 }]);
        // This runtime begins its tasks in the order in which they were spawned.
        calls.spawn(async move { press.note(number, padding).await });
    }
    calls.join_all().await.into_iter().for_each(Result::unwrap);
    assert_eq!(*setting.machine.notes.lock().unwrap(), (0..60).collect::<Vec<_>>());
    assert_eq!(Seen::of(&setting.seen.opened), 20);
}

#[tokio::test]
async fn a_large_call_that_is_dropped_frees_its_place() {
    let setting = setting().await;
    for _ in 0..10 {
        let call = setting.press.echo(page(1_000_000));
        let dropped = tokio::time::timeout(Duration::from_millis(1), call).await;
        assert!(dropped.is_err() || dropped.unwrap().is_ok());
    }
    // Credit, places and streams are all there again.
    assert_eq!(setting.press.echo(page(8_000_000)).await.unwrap().len(), 8_000_000);
}

#[tokio::test]
async fn replies_beyond_the_streams_wait_for_one() {
    let setting = setting().await;
    let calls: Vec<_> = (0..12_u32)
        .map(|index| {
            let press = setting.press.clone();
            tokio::spawn(async move { press.print(500_000 + index).await })
        })
        .collect();
    for (call, index) in calls.into_iter().zip(0..) {
        assert_eq!(call.await.unwrap().unwrap().len(), 500_000 + index);
    }
    let seen = &setting.seen;
    assert_eq!((Seen::of(&seen.opened), Seen::of(&seen.most_open)), (12, limits::ASIDES_MAX));
}

#[tokio::test]
async fn a_node_that_shuts_down_finishes_its_large_replies() {
    for _ in 0..3 {
        let setting = setting().await;
        let press = setting.press.clone();
        let call = tokio::spawn(async move { press.print(4_000_000).await });
        while Seen::of(&setting.seen.opened) == 0 {
            tokio::task::yield_now().await;
        }
        setting.host.shutdown().await;
        assert_eq!(call.await.unwrap().unwrap().len(), 4_000_000);
    }
}

/// On one thread: nothing comes while those that wait are counted.
#[tokio::test]
async fn of_datagrams_that_nobody_takes_the_oldest_are_lost() {
    const SENT: u32 = 2000;
    let quic = Quic::new(Authority::new().credentials(&["127.0.0.1"]));
    let mut listener = quic.listen(&"quic://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let place = listener.endpoint().clone();
    let (near, far) = tokio::join!(quic.dial(&place), listener.accept());
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    let mut datagrams = near.datagrams.take().unwrap();
    for number in 0..SENT {
        datagrams.send([&number.to_le_bytes()[..], &[0; 996]].concat().into());
        // A byte that has come says that what was sent before it has come, or is lost.
        if number % 50 == 49 {
            near.stream.write_u8(1).await.unwrap();
            near.stream.flush().await.unwrap();
            far.stream.read_u8().await.unwrap();
        }
    }
    let mut waiting = far.datagrams.take().unwrap();
    let mut numbers = Vec::new();
    while let Poll::Ready(datagram) = waiting.poll_receive(&mut Context::from_waker(Waker::noop())) {
        numbers.push(u32::from_le_bytes(*datagram.unwrap().first_chunk().unwrap()));
    }
    let most = limits::QUIC_DATAGRAMS_BYTES_MAX / 1000;
    assert!((most / 2..=most).contains(&numbers.len()), "{} of {most}", numbers.len());
    assert!(numbers.iter().all(|number| *number > SENT / 2), "{numbers:?}");
}
