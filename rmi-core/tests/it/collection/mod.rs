//! Objects live as long as somebody holds them, wherever that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rmi_core::transport::Memory;
use rmi_core::{
    Access, AnyProxy, Authorizer, Endpoint, ErrorKind, Executed, Hold, Limits, Node, Peer, Proxy, RemoteError, remote,
};
use tokio::sync::Notify;

mod losses;
mod races;

type Done<T> = Result<T, RemoteError>;

#[remote]
trait Thing {
    async fn number(&self) -> Done<u64>;
}

#[remote]
trait Factory {
    async fn make(&self, number: u64) -> Done<Proxy<dyn Thing>>;
    async fn keep(&self, thing: Proxy<dyn Thing>) -> Done<()>;
    async fn kept(&self) -> Done<Option<Proxy<dyn Thing>>>;
    async fn ask(&self) -> Done<u64>;
    async fn forget(&self) -> Done<()>;
    async fn same(&self, things: Vec<Proxy<dyn Thing>>) -> Done<Vec<Proxy<dyn Thing>>>;
    async fn slow(&self, ms: u64) -> Done<u64>;
    async fn big(&self, thing: Proxy<dyn Thing>, bytes: Vec<u8>) -> Done<()>;
    #[remote(idempotent)]
    async fn count(&self) -> Done<u64>;
}

/// Counts the things that live.
#[derive(Default)]
struct Living {
    count: AtomicUsize,
    changed: Notify,
}

impl Living {
    async fn are(&self, count: usize) {
        let reached = async {
            loop {
                let changed = self.changed.notified();
                if self.count.load(Ordering::SeqCst) == count {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(5), reached).await;
        assert!(waited.is_ok(), "{} things live, not {count}", self.count.load(Ordering::SeqCst));
    }

    fn now(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

struct Numbered(u64, Arc<Living>);

impl Numbered {
    fn new(number: u64, living: &Arc<Living>) -> Self {
        living.count.fetch_add(1, Ordering::SeqCst);
        Self(number, living.clone())
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        self.1.count.fetch_sub(1, Ordering::SeqCst);
        self.1.changed.notify_waiters();
    }
}

#[remote]
impl Thing for Numbered {
    async fn number(&self) -> Done<u64> {
        Ok(self.0)
    }
}

#[derive(Default)]
struct Works {
    living: Arc<Living>,
    kept: std::sync::Mutex<Option<Proxy<dyn Thing>>>,
    ran: AtomicUsize,
}

impl Works {
    fn held(&self) -> Option<Proxy<dyn Thing>> {
        self.kept.lock().unwrap().clone()
    }
}

#[remote]
impl Factory for Works {
    async fn make(&self, number: u64) -> Done<Proxy<dyn Thing>> {
        Ok(Proxy::new(Numbered::new(number, &self.living)))
    }
    async fn keep(&self, thing: Proxy<dyn Thing>) -> Done<()> {
        *self.kept.lock().unwrap() = Some(thing);
        Ok(())
    }
    async fn kept(&self) -> Done<Option<Proxy<dyn Thing>>> {
        Ok(self.held())
    }
    async fn ask(&self) -> Done<u64> {
        match self.held() {
            Some(thing) => thing.number().await,
            None => Ok(0),
        }
    }
    async fn forget(&self) -> Done<()> {
        self.kept.lock().unwrap().take();
        Ok(())
    }
    async fn same(&self, things: Vec<Proxy<dyn Thing>>) -> Done<Vec<Proxy<dyn Thing>>> {
        Ok(things)
    }
    async fn slow(&self, ms: u64) -> Done<u64> {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(ms)
    }
    async fn big(&self, thing: Proxy<dyn Thing>, bytes: Vec<u8>) -> Done<()> {
        let _ = (thing, bytes);
        Ok(())
    }
    async fn count(&self) -> Done<u64> {
        self.ran.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(1)
    }
}

struct Host {
    node: Node,
    living: Arc<Living>,
    works: Arc<Works>,
    reference: rmi_core::ObjectRef,
}

fn short(lease: u64) -> Limits {
    let mut limits = Limits::default();
    limits.lease = Duration::from_millis(lease);
    limits
}

async fn host(endpoint: &str) -> Host {
    hosted(Node::builder().listen(endpoint)).await
}

/// A host that keeps objects for so many milliseconds.
async fn leasing(lease: u64) -> Host {
    hosted(Node::builder().listen("tcp://127.0.0.1:0").limits(short(lease))).await
}

async fn hosted(builder: rmi_core::NodeBuilder) -> Host {
    let node = builder.start().await.unwrap();
    let works = Arc::new(Works::default());
    let reference = node.export(&Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    Host { node, living: works.living.clone(), works, reference }
}

impl Host {
    fn seen_by(&self, node: &Node) -> Proxy<dyn Factory> {
        node.proxy(&self.reference).unwrap()
    }
}

/// A caller, and what cuts its channels.
async fn cuttable() -> (Arc<Cuttable>, Node) {
    let plan = Arc::new(rmi_core_faults());
    let caller = Node::builder().transport(plan.clone()).start().await.unwrap();
    (plan, caller)
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn dropping_the_last_proxy_drops_the_servant() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let factory = host.seen_by(&caller);
    let thing = factory.make(7).await.unwrap();
    assert_eq!(thing.number().await, Ok(7));
    assert_eq!(host.living.now(), 1);
    let copy = thing.clone();
    drop(thing);
    assert_eq!(copy.number().await, Ok(7));
    drop(copy);
    host.living.are(0).await;
    assert_eq!(host.node.exported(), 1);
    // The factory itself is exported by the program, and stays.
    assert_eq!(factory.make(8).await.unwrap().number().await, Ok(8));
}

#[tokio::test]
async fn references_that_come_one_by_one_share_what_they_have_in_common() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let factory = host.seen_by(&caller);
    let things = [factory.make(1).await.unwrap(), factory.make(2).await.unwrap()];
    let [one, two] = things.each_ref().map(|thing| thing.reference().unwrap());
    assert_eq!(*one.interfaces, ["Thing"]);
    assert!(Arc::ptr_eq(&one.interfaces, &two.interfaces) && Arc::ptr_eq(&one.endpoints, &two.endpoints));
}

#[tokio::test]
async fn a_proxy_sent_to_a_host_keeps_the_callers_object_until_the_host_lets_go() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let factory = host.seen_by(&caller);
    let living = Arc::new(Living::default());
    factory.keep(Proxy::new(Numbered::new(3, &living))).await.unwrap();
    assert_eq!(factory.ask().await, Ok(3));
    assert_eq!((living.now(), caller.exported()), (1, 1));
    factory.forget().await.unwrap();
    living.are(0).await;
    assert_eq!(caller.exported(), 0);
}

#[tokio::test]
async fn an_object_that_comes_home_is_itself_and_nobody_holds_it() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let factory = host.seen_by(&caller);
    let living = Arc::new(Living::default());
    let own = Proxy::<dyn Thing>::new(Numbered::new(4, &living));
    let back = factory.same(vec![own.clone(), own.clone()]).await.unwrap();
    assert!(back.iter().all(|back| back.is_local() && *back == own));
    until("the host lets go", || caller.exported() == 0).await;
    let made = factory.make(5).await.unwrap();
    factory.keep(made).await.unwrap();
    assert!(host.works.held().unwrap().is_local());
    until("the caller has let go", || host.node.objects().iter().all(|object| object.interfaces[0] != "Thing")).await;
    assert_eq!(host.living.now(), 1);
    drop(host.works.kept.lock().unwrap().take());
    host.living.are(0).await;
}

#[tokio::test]
async fn a_reference_that_was_passed_on_is_claimed_at_its_owner() {
    let (owner, between) = (host("tcp://127.0.0.1:0").await, host("tcp://127.0.0.1:0").await);
    let caller = Node::builder().start().await.unwrap();
    let thing = owner.seen_by(&between.node).make(9).await.unwrap();
    *between.works.kept.lock().unwrap() = Some(thing);
    let factory = between.seen_by(&caller);
    let thing = factory.kept().await.unwrap().unwrap();
    factory.forget().await.unwrap();
    // Nobody but the caller refers to it, and the caller has not called it yet.
    assert_eq!(thing.number().await, Ok(9));
    assert_eq!(owner.living.now(), 1);
    between.node.shutdown().await;
    assert_eq!(thing.number().await, Ok(9));
    drop(thing);
    owner.living.are(0).await;
}

#[tokio::test]
async fn an_introducer_that_shuts_down_waits_until_the_reference_is_claimed() {
    let (owner, between) = (host("tcp://127.0.0.1:0").await, host("tcp://127.0.0.1:0").await);
    let caller = Node::builder().start().await.unwrap();
    between.works.keep(owner.seen_by(&between.node).make(9).await.unwrap()).await.unwrap();
    let factory = between.seen_by(&caller);
    let thing = factory.kept().await.unwrap().unwrap();
    factory.forget().await.unwrap();
    between.node.shutdown().await;
    drop(between);
    // The caller has not called it yet, and nobody else refers to it.
    assert_eq!(thing.number().await, Ok(9));
}

#[tokio::test]
async fn a_reference_to_a_node_that_cannot_be_dialled_is_relayed() {
    let between = host("tcp://127.0.0.1:0").await;
    let (silent, caller) = (Node::builder().start().await.unwrap(), Node::builder().start().await.unwrap());
    let living = Arc::new(Living::default());
    between.seen_by(&silent).keep(Proxy::new(Numbered::new(11, &living))).await.unwrap();
    let factory = between.seen_by(&caller);
    let thing = factory.kept().await.unwrap().unwrap();
    assert_eq!(thing.number().await, Ok(11));
    factory.forget().await.unwrap();
    assert_eq!(thing.number().await, Ok(11));
    drop(thing);
    living.are(0).await;
}

/// Lets nobody be dialled on somebody else's word.
struct Homely;

impl Authorizer for Homely {
    fn dial(&self, _: &Peer, _: &Endpoint) -> Access {
        Access::Hide
    }
}

#[tokio::test]
async fn an_endpoint_that_the_policy_forbids_is_not_dialled_but_relayed() {
    let (owner, between) = (host("tcp://127.0.0.1:0").await, host("tcp://127.0.0.1:0").await);
    let caller = Node::builder().authorizer(Homely).start().await.unwrap();
    between.works.keep(owner.seen_by(&between.node).make(12).await.unwrap()).await.unwrap();
    let thing = between.seen_by(&caller).kept().await.unwrap().unwrap();
    assert_eq!(thing.number().await, Ok(12));
    assert_eq!(caller.connections(), 1);
}

#[tokio::test]
async fn closed_resolves_when_the_node_says_goodbye_or_the_object_is_revoked() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let factory = host.seen_by(&caller);
    let (thing, other) = (factory.make(1).await.unwrap(), factory.make(2).await.unwrap());
    let object = other.reference().unwrap().object;
    assert!(host.node.revoke(object));
    assert_eq!(other.number().await.unwrap_err().kind(), ErrorKind::NoSuchObject);
    tokio::time::timeout(Duration::from_secs(5), other.closed()).await.unwrap();
    let (closed, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(5), thing.closed()), host.node.shutdown());
    closed.unwrap();
    let error = thing.number().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Gone, Executed::No));
}

#[tokio::test]
async fn a_weak_proxy_keeps_nothing_alive() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let thing = host.seen_by(&caller).make(1).await.unwrap();
    let weak = thing.downgrade();
    assert_eq!(weak.upgrade().unwrap().number().await, Ok(1));
    drop(thing);
    assert!(weak.upgrade().is_none());
    host.living.are(0).await;
}

#[tokio::test]
async fn objects_says_why_each_is_alive() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let thing = host.seen_by(&caller).make(1).await.unwrap();
    let objects = host.node.objects();
    let of = |name: &str| objects.iter().find(|object| object.interfaces[0] == name).unwrap();
    assert!(of("Factory").holds.contains(&Hold::Exported));
    let [Hold::Peer { node, copies, queued, left, connected, .. }] = &of("Thing").holds[..] else {
        panic!("{:?}", of("Thing"))
    };
    assert_eq!((*node, *copies, *queued, *connected), (Some(caller.id()), 1, 0, true));
    assert!(*left > Duration::from_secs(50) && *left <= Duration::from_secs(60));
    assert_eq!(Some(of("Thing").object), thing.reference().map(|reference| reference.object));
    assert!(of("Thing").holds[0].to_string().contains("1 copy"));
}

#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_is_counted_out_after_its_lease() {
    let node = Node::builder().listen("tcp://127.0.0.1:0").limits(short(500)).start().await.unwrap();
    let works = Arc::new(Works::default());
    let reference = node.export(&Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let plan = Arc::new(rmi_core_faults());
    let caller = Node::builder().transport(plan.clone()).start().await.unwrap();
    let factory: Proxy<dyn Factory> = caller.proxy(&reference).unwrap();
    let things: Vec<AnyProxy> = vec![factory.make(1).await.unwrap().into(), factory.make(2).await.unwrap().into()];
    plan.cut_for_good();
    works.living.are(0).await;
    let error = things[0].cast::<dyn Thing>().unwrap().number().await.unwrap_err();
    assert_eq!(error.executed(), Executed::No);
    drop(things);
}

#[tokio::test]
async fn what_is_held_survives_a_lost_connection() {
    let host = host("tcp://127.0.0.1:0").await;
    let plan = Arc::new(rmi_core_faults());
    let caller = Node::builder().transport(plan.clone()).start().await.unwrap();
    let factory = host.seen_by(&caller);
    let thing = factory.make(1).await.unwrap();
    let living = Arc::new(Living::default());
    factory.keep(Proxy::new(Numbered::new(3, &living))).await.unwrap();
    plan.cut();
    until("the caller comes back by itself", || {
        let objects = host.node.objects();
        let thing = objects.iter().find(|object| object.interfaces[0] == "Thing");
        thing.is_some_and(|thing| matches!(thing.holds[..], [Hold::Peer { connected: true, copies: 1, .. }]))
    })
    .await;
    assert_eq!(thing.number().await, Ok(1));
    until(
        "the host has taken its own up again",
        || matches!(caller.objects()[..], [ref one] if matches!(one.holds[..], [Hold::Peer { connected: true, .. }])),
    )
    .await;
    assert_eq!(factory.ask().await, Ok(3));
    drop(thing);
    host.living.are(0).await;
    factory.forget().await.unwrap();
    living.are(0).await;
}

fn rmi_core_faults() -> Cuttable {
    Cuttable::default()
}

/// TCP whose channels can be cut.
#[derive(Default)]
struct Cuttable {
    sockets: std::sync::Mutex<Vec<tokio::sync::watch::Sender<bool>>>,
    forbidden: std::sync::atomic::AtomicBool,
    /// How many of the next channels end right behind the peer's hello.
    brief: AtomicUsize,
    /// How many of the next channels bring the peer's hello and nothing else, and take what is sent nowhere.
    deaf: AtomicUsize,
}

impl Cuttable {
    fn cut(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            socket.send_replace(true);
        }
    }

    fn cut_for_good(&self) {
        self.forbidden.store(true, Ordering::SeqCst);
        self.cut();
    }
}

#[async_trait::async_trait]
impl rmi_core::transport::Transport for Cuttable {
    fn scheme(&self) -> &'static str {
        "tcp"
    }

    async fn dial(
        &self,
        endpoint: &Endpoint,
    ) -> Result<rmi_core::transport::Channel, rmi_core::transport::TransportError> {
        if self.forbidden.load(Ordering::SeqCst) {
            return Err(rmi_core::transport::TransportError::Over(endpoint.clone()));
        }
        let mut channel = rmi_core::transport::Tcp.dial(endpoint).await?;
        let one_of = |some: &AtomicUsize| {
            some.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        };
        let (brief, deaf) = (one_of(&self.brief), one_of(&self.deaf));
        if brief || deaf {
            let mut hello = vec![0; 4096];
            let length = tokio::io::AsyncReadExt::read(&mut channel.stream, &mut hello).await.unwrap();
            hello.truncate(length);
            let (mut silent, reader) = tokio::io::duplex(4096);
            tokio::io::AsyncWriteExt::write_all(&mut silent, &hello).await.unwrap();
            if deaf {
                let (sender, mut cut) = tokio::sync::watch::channel(false);
                self.sockets.lock().unwrap().push(sender);
                tokio::spawn(async move {
                    let _ = cut.wait_for(|cut| *cut).await;
                    drop(silent);
                });
            }
            let stream = tokio::io::join(reader, tokio::io::sink());
            return Ok(rmi_core::transport::Channel::new(stream, channel.identity, channel.address));
        }
        let (sender, mut cut) = tokio::sync::watch::channel(false);
        self.sockets.lock().unwrap().push(sender);
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        let mut stream = channel.stream;
        tokio::spawn(async move {
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut stream) => {}
                _ = cut.wait_for(|cut| *cut) => {}
            }
        });
        Ok(rmi_core::transport::Channel::new(far, channel.identity, channel.address))
    }

    async fn listen(
        &self,
        endpoint: &Endpoint,
    ) -> Result<Box<dyn rmi_core::transport::Listener>, rmi_core::transport::TransportError> {
        rmi_core::transport::Tcp.listen(endpoint).await
    }
}

#[tokio::test]
async fn a_local_peer_that_is_gone_without_a_word_is_counted_out_within_two_seconds() {
    let memory: Arc<Memory> = Arc::default();
    let node = Node::builder().transport(memory.clone()).listen("mem:local").start().await.unwrap();
    let works = Arc::new(Works::default());
    let reference = node.export(&Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let thing = runtime
        .spawn(async move {
            let caller = Node::builder().transport(memory).start().await.unwrap();
            let factory: Proxy<dyn Factory> = caller.proxy(&reference).unwrap();
            let thing = factory.make(1).await.unwrap();
            (caller, thing)
        })
        .await
        .unwrap();
    assert_eq!(works.living.now(), 1);
    let begun = std::time::Instant::now();
    // The tasks of the caller end where they are: as if it had crashed.
    runtime.shutdown_background();
    works.living.are(0).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    std::mem::forget(thing);
}
