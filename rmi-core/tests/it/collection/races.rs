//! Moments in which an object was once dropped too early, too late or never, and what a peer once could do.

use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[tokio::test]
async fn two_proxies_of_one_reference_called_at_once() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let (a, b) = (host.seen_by(&caller), host.seen_by(&caller));
    let (x, y) = tokio::join!(a.slow(200), b.slow(200));
    assert_eq!((x, y), (Ok(200), Ok(200)));
}

#[tokio::test]
async fn a_dial_that_failed_once_does_not_lose_the_reference() {
    let host = host("tcp://127.0.0.1:0").await;
    let plan = Arc::new(rmi_core_faults());
    let caller = Node::builder().transport(plan.clone()).start().await.unwrap();
    let factory = host.seen_by(&caller);
    plan.forbidden.store(true, Ordering::SeqCst);
    assert_eq!(factory.slow(1).await.unwrap_err().executed(), Executed::No);
    plan.forbidden.store(false, Ordering::SeqCst);
    assert_eq!(factory.slow(1).await, Ok(1));
}

#[tokio::test]
async fn an_owner_that_cannot_be_dialled_is_relayed() {
    let owner = host("tcp://127.0.0.1:0").await;

    let memory: Arc<Memory> = Arc::default();
    let between = Node::builder().transport(memory.clone()).listen("mem:between").start().await.unwrap();
    let works = Arc::new(Works::default());
    let reference = between.export(&Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let plan = Arc::new(rmi_core_faults());
    plan.forbidden.store(true, Ordering::SeqCst);
    let caller = Node::builder().transport(plan).transport(memory).start().await.unwrap();
    works.keep(owner.seen_by(&between).make(9).await.unwrap()).await.unwrap();
    let factory: Proxy<dyn Factory> = caller.proxy(&reference).unwrap();
    let thing = factory.kept().await.unwrap().unwrap();
    assert_eq!(thing.number().await, Ok(9));
}

#[tokio::test]
async fn a_refused_call_with_a_reference_does_not_kill_the_connection() {
    let host = host("tcp://127.0.0.1:0").await;
    let caller = Node::builder().limits(short(400)).start().await.unwrap();
    let factory = host.seen_by(&caller);
    let living = Arc::new(Living::default());
    let own = Proxy::<dyn Thing>::new(Numbered::new(1, &living));
    factory.big(own, vec![0; 17 << 20]).await.unwrap_err();
    assert_eq!(factory.slow(1200).await, Ok(1200));
}

#[tokio::test]
async fn a_reference_that_waits_to_be_sent_needs_no_renewal() {
    let mut limits = Limits::default();
    limits.calls_in_flight_max = 1;
    let node = Node::builder().listen("tcp://127.0.0.1:0").limits(limits).start().await.unwrap();
    let works = Arc::new(Works::default());
    let reference = node.export(&Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let caller = Node::builder().limits(short(400)).start().await.unwrap();
    let factory: Proxy<dyn Factory> = caller.proxy(&reference).unwrap();
    let living = Arc::new(Living::default());
    let own = Proxy::<dyn Thing>::new(Numbered::new(1, &living));
    let (a, b) = tokio::join!(factory.slow(1200), factory.keep(own));
    assert_eq!((a, b), (Ok(1200), Ok(())));
}

#[tokio::test]
async fn getting_and_dropping_in_a_loop_keeps_the_lease() {
    let node = Node::builder().listen("tcp://127.0.0.1:0").limits(short(400)).start().await.unwrap();
    let works = Arc::new(Works::default());
    works.keep(Proxy::new(Numbered::new(1, &works.living))).await.unwrap();
    let id = rmi_core::ObjectId::random();
    node.export_at(id, &Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let caller = Node::builder().start().await.unwrap();
    let factory: Proxy<dyn Factory> = caller.at(&node.endpoints()[0], id);
    let begun = std::time::Instant::now();
    let looping = (0..100)
        .map(|_| {
            let factory = factory.clone();
            tokio::spawn(async move {
                while begun.elapsed() < ms(2000) {
                    drop(factory.kept().await.unwrap_or_else(|error| panic!("after {:?}: {error:?}", begun.elapsed())));
                }
            })
        })
        .collect::<Vec<_>>();
    for one in looping {
        one.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_replies_with_one_reference() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let factory = host.seen_by(&caller);
    for round in 0..2000 {
        host.works.keep(Proxy::new(Numbered::new(1, &host.living))).await.unwrap();
        let (f, g) = (factory.clone(), factory.clone());
        let (a, b) = (tokio::spawn(async move { f.kept().await }), tokio::spawn(async move { g.kept().await }));
        let (a, b) = (a.await.unwrap().unwrap().unwrap(), b.await.unwrap().unwrap().unwrap());
        host.works.kept.lock().unwrap().take();
        let (first, second) = if round % 2 == 0 { (a, b) } else { (b, a) };
        drop(first);
        if round % 50 == 0 {
            tokio::time::sleep(ms(15)).await;
        }
        assert_eq!(second.number().await, Ok(1), "round {round}");
    }
}

#[tokio::test]
async fn a_peers_own_object_as_a_third_partys() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let factory = host.seen_by(&caller);
    let stale = rmi_core::ObjectRef::new(
        host.node.id(),
        rmi_core::ObjectId::random(),
        vec!["Thing".into()],
        host.node.endpoints().to_vec(),
    );
    // The object is gone, so on its own node it is a remote one.
    let text: rmi_core::ObjectRef = stale;
    host.works.keep(host.node.proxy(&text).unwrap()).await.unwrap();
    let thing = factory.kept().await.unwrap().unwrap();
    let weak = thing.downgrade();
    let _ = thing.number().await;
    drop(thing);
    assert!(weak.upgrade().is_none(), "nothing refers to it, and it lives");
}

#[tokio::test]
async fn closed_of_a_relayed_reference() {
    let between = host("tcp://127.0.0.1:0").await;
    let (silent, caller) = (Node::builder().start().await.unwrap(), Node::builder().start().await.unwrap());
    let living = Arc::new(Living::default());
    between.seen_by(&silent).keep(Proxy::new(Numbered::new(11, &living))).await.unwrap();
    let factory = between.seen_by(&caller);
    let thing = factory.kept().await.unwrap().unwrap();
    assert_eq!(thing.number().await, Ok(11));
    between.node.shutdown().await;
    drop(between);
    tokio::time::timeout(Duration::from_secs(3), thing.closed()).await.unwrap();
}

#[tokio::test]
async fn closed_of_a_twin() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let (a, b) = (host.seen_by(&caller), host.seen_by(&caller));
    a.slow(1).await.unwrap();
    b.slow(1).await.unwrap();
    host.node.shutdown().await;
    tokio::time::timeout(Duration::from_secs(3), a.closed()).await.expect("a");
    tokio::time::timeout(Duration::from_secs(3), b.closed()).await.expect("b");
}

#[tokio::test]
async fn a_callback_dials_when_its_connection_is_lost() {
    let host = host("tcp://127.0.0.1:0").await;
    let plan = Arc::new(rmi_core_faults());
    let caller = Node::builder().transport(plan.clone()).listen("tcp://127.0.0.1:0").start().await.unwrap();
    let living = Arc::new(Living::default());
    let factory = host.seen_by(&caller);
    factory.keep(Proxy::new(Numbered::new(3, &living))).await.unwrap();
    assert_eq!(host.works.ask().await, Ok(3));
    plan.cut_for_good();
    until("lost", || host.node.connections() == 0).await;
    assert_eq!(living.now(), 1);
    assert_eq!(host.works.ask().await, Ok(3));
}

#[tokio::test]
async fn a_reply_read_after_the_loss() {
    let node = Node::builder().listen("tcp://127.0.0.1:0").limits(short(1000)).start().await.unwrap();
    let works = Arc::new(Works::default());
    let id = rmi_core::ObjectId::random();
    node.export_at(id, &Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let plan = Arc::new(rmi_core_faults());
    let caller = Node::builder().transport(plan.clone()).start().await.unwrap();
    let factory: Proxy<dyn Factory> = caller.at(&node.endpoints()[0], id);
    factory.slow(1).await.unwrap();
    let mut call = Box::pin(factory.make(1));
    assert!(futures_poll(&mut call).is_none());
    tokio::time::sleep(ms(100)).await;
    plan.cut();
    until("lost", || caller.connections() == 0).await;
    tokio::time::sleep(ms(100)).await;
    let thing = futures_poll(&mut call).unwrap().unwrap();
    let closed = tokio::time::timeout(ms(3000), thing.closed()).await.is_ok();
    let living = works.living.now();
    assert!(closed || living == 1, "held here, not closed, and {living} live");
}

fn futures_poll<F: Future + Unpin>(f: &mut F) -> Option<F::Output> {
    match std::pin::Pin::new(f).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(out) => Some(out),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn executed_no_after_an_attempt_that_ran() {
    let host = host("tcp://127.0.0.1:0").await;
    let plan = Arc::new(rmi_core_faults());
    let caller = Node::builder().transport(plan.clone()).start().await.unwrap();
    let factory = host.seen_by(&caller);
    let cut = async {
        tokio::time::sleep(ms(200)).await;
        plan.cut_for_good();
    };
    let (outcome, ()) = tokio::join!(factory.count(), cut);
    let error = outcome.unwrap_err();
    assert_eq!(host.works.ran.load(Ordering::SeqCst), 1);
    assert_ne!(error.executed(), Executed::No, "{error:?}");
}

struct Bomb;
impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("finalizer")
    }
}
#[remote]
impl Thing for Bomb {
    async fn number(&self) -> Done<u64> {
        Ok(1)
    }
}

#[tokio::test]
async fn a_servant_whose_drop_panics() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let factory = host.seen_by(&caller);
    host.works.keep(Proxy::new(Bomb)).await.unwrap();
    let thing = factory.kept().await.unwrap().unwrap();
    factory.forget().await.unwrap();
    drop(thing);
    tokio::time::sleep(ms(200)).await;
    drop(factory);
    drop(caller);
    until("the connection is off the list", || host.node.connections() == 0).await;
}

struct Blocks(std::sync::mpsc::Sender<()>, std::sync::mpsc::Sender<()>);
struct Told(std::sync::mpsc::Sender<()>);
impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
#[remote]
impl Thing for Blocks {
    async fn number(&self) -> Done<u64> {
        let _told = Told(self.1.clone());
        let _ = self.0.send(());
        std::thread::sleep(ms(500));
        std::future::pending::<()>().await;
        Ok(1)
    }
}

#[test]
fn runtime_shutdown_while_spawning() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (started, has_started) = std::sync::mpsc::channel();
    let (told, was_told) = std::sync::mpsc::channel();
    let (node, reference) = runtime.block_on(async {
        let node = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
        let reference = node.export(&Proxy::<dyn Thing>::new(Blocks(started, told))).unwrap();
        (node, reference)
    });
    let caller = other.block_on(async { Node::builder().start().await.unwrap() });
    let thing: Proxy<dyn Thing> = caller.proxy(&reference).unwrap();
    other.spawn(async move {
        let _ = thing.number().await;
    });
    has_started.recv_timeout(Duration::from_secs(5)).unwrap();
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(runtime);
        let _ = done.send(());
    });
    was_told.recv_timeout(Duration::from_secs(5)).expect("the method's future is dropped");
    is_done.recv_timeout(Duration::from_secs(5)).expect("the runtime can be dropped");
    drop(node);
}

struct Nobody;
impl Authorizer for Nobody {
    fn admit(&self, _: &Peer) -> Access {
        Access::Deny("no".into())
    }
}
fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    frame.extend(body);
    frame
}
fn hash(name: &str) -> [u8; 4] {
    let mut h: u32 = 0x811c9dc5;
    for b in name.bytes() {
        h = (h ^ u32::from(b)).wrapping_mul(0x01000193);
    }
    h.to_le_bytes()
}
fn hello(node: u8, lease: u32) -> Vec<u8> {
    let mut body = vec![1];
    body.extend(b"rmio");
    body.extend([2, 0, 2, 0]);
    body.extend([0; 4]);
    body.extend([node; 16]);
    body.extend((1u32 << 20).to_le_bytes());
    body.extend((16u32 << 20).to_le_bytes());
    body.extend((32u64 << 20).to_le_bytes());
    body.extend(1024u32.to_le_bytes());
    body.extend([8; 16]);
    body.extend(lease.to_le_bytes());
    body.push(0);
    body.extend(65_536u32.to_le_bytes());
    framed(&body)
}
#[tokio::test]
async fn a_peer_that_is_not_admitted_runs_nothing() {
    use tokio::io::AsyncWriteExt;
    let node = Node::builder().listen("tcp://127.0.0.1:0").authorizer(Nobody).start().await.unwrap();
    let works = Arc::new(Works::default());
    let reference = node.export(&Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let mut stream = tokio::net::TcpStream::connect(node.endpoints()[0].address()).await.unwrap();
    let mut call = vec![2, 0];
    call.extend(0u32.to_le_bytes());
    call.extend(1u32.to_le_bytes());
    call.push(0);
    call.extend(reference.object.to_bytes());
    call.extend(hash("Factory"));
    call.extend(hash("count"));
    call.extend(1000u32.to_le_bytes());
    call.push(0x90);
    stream.write_all(&[hello(9, 60_000), framed(&call)].concat()).await.unwrap();
    tokio::time::sleep(ms(300)).await;
    assert_eq!(works.ran.load(Ordering::SeqCst), 0);
}

/// The kinds of the whole frames.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let Some((frame, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
        kinds.extend(frame.first());
        bytes = rest;
    }
    kinds
}

#[tokio::test]
async fn a_call_refused_for_its_hops_lets_its_references_go() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let node = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let works = Arc::new(Works::default());
    let reference = node.export(&Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let call = |hops: u8, slot: u32| {
        let mut call = vec![2, 2];
        call.extend(slot.to_le_bytes());
        call.extend(1u32.to_le_bytes());
        call.push(hops);
        call.extend(reference.object.to_bytes());
        call.extend(hash("Factory"));
        call.extend(hash("nosuch"));
        call.extend(1000u32.to_le_bytes());
        call.extend(1u16.to_le_bytes());
        call.push(0);
        call.extend([7; 16]);
        call.push(0);
        call.push(0x90);
        framed(&call)
    };
    for hops in [0, 17] {
        let mut stream = tokio::net::TcpStream::connect(node.endpoints()[0].address()).await.unwrap();
        stream.write_all(&[hello(9, 60_000), call(hops, 0)].concat()).await.unwrap();
        let mut read = Vec::new();
        let released = async { while !kinds(&read).contains(&11) && stream.read_buf(&mut read).await.unwrap() > 0 {} };
        tokio::time::timeout(Duration::from_secs(5), released).await.expect("the reference is let go");
    }
}

#[tokio::test]
async fn misses_of_a_continuing_claim_are_counted() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let node = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let place = node.endpoints()[0].address().to_owned();
    let mut first = tokio::net::TcpStream::connect(&place).await.unwrap();
    first.write_all(&hello(9, 60_000)).await.unwrap();
    let mut theirs = vec![0; 4096];
    let n = first.read(&mut theirs).await.unwrap();
    assert!(n > 80);
    let lease: [u8; 16] = theirs[5 + 4 + 4 + 4 + 16 + 4 + 4 + 8 + 4..][..16].try_into().unwrap();
    for continues in [false, true] {
        let mut second = tokio::net::TcpStream::connect(&place).await.unwrap();
        second.write_all(&hello(9, 60_000)).await.unwrap();
        let mut claim = vec![13, u8::from(continues)];
        if continues {
            claim.extend(lease);
        }
        claim.extend(1024u16.to_le_bytes());
        for i in 0..1024u32 {
            let mut id = [3; 16];
            id[..4].copy_from_slice(&i.to_le_bytes());
            claim.extend(id);
        }
        let claim = framed(&claim);
        let (mut read, mut write) = second.into_split();
        let (bytes, mut answer) = (claim.repeat(20), Vec::new());
        // The node may close before everything is written.
        let (_, read) = tokio::join!(write.write_all(&bytes), read.read_to_end(&mut answer));
        read.unwrap();
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("more than 10000 calls on objects that do not exist"), "continues {continues}");
    }
}

#[tokio::test]
async fn a_reference_sent_again_before_going_on() {
    let host = host("tcp://127.0.0.1:0").await;
    let plan = Arc::new(rmi_core_faults());
    let caller = Node::builder().transport(plan.clone()).start().await.unwrap();
    let factory = host.seen_by(&caller);
    let living = Arc::new(Living::default());
    let own = Proxy::<dyn Thing>::new(Numbered::new(3, &living));
    factory.keep(own.clone()).await.unwrap();
    let first = host.works.held().unwrap();
    assert_eq!(first.number().await, Ok(3));
    plan.cut_for_good();
    until("lost", || host.node.connections() == 0).await;
    plan.forbidden.store(false, Ordering::SeqCst);
    // Goes out with the hello of the new connection, ahead of the claim.
    factory.keep(own.clone()).await.unwrap();
    let second = host.works.held().unwrap();
    drop(own);
    drop(host.works.kept.lock().unwrap().take());
    tokio::time::sleep(ms(300)).await;
    assert_eq!(second.number().await, Ok(3));
    drop(first);
    tokio::time::sleep(ms(300)).await;
    assert_eq!(second.number().await, Ok(3));
}

#[tokio::test]
async fn connections_that_are_lost_with_the_hello() {
    let host = leasing(600).await;
    let (plan, caller) = cuttable().await;
    let factory = host.seen_by(&caller);
    let thing = factory.make(1).await.unwrap();
    plan.brief.store(2, Ordering::SeqCst);
    plan.cut();
    until("the caller has come back twice in vain", || plan.brief.load(Ordering::SeqCst) == 0).await;
    tokio::time::sleep(ms(1200)).await;
    assert_eq!(thing.number().await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_away_while_proxies_are_dropped() {
    for round in 0..20 {
        let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
        let factory = host.seen_by(&caller);
        let mut things = vec![];
        for n in 0..200 {
            things.push(factory.make(n).await.unwrap());
        }
        let node = host.node.clone();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let dropping = std::thread::spawn(move || {
            let _ = gone.recv();
            std::thread::sleep(Duration::from_micros(40 + round % 20 * 10));
            drop(things);
        });
        let down = tokio::spawn(async move {
            let _ = go.send(());
            node.shutdown().await
        });
        let done = tokio::time::timeout(Duration::from_secs(8), down).await;
        assert!(done.is_ok(), "round {round}: shutdown");
        let joined = tokio::task::spawn_blocking(move || {
            for _ in 0..100 {
                if dropping.is_finished() {
                    return true;
                }
                std::thread::sleep(ms(20));
            }
            false
        })
        .await
        .unwrap();
        assert!(joined, "round {round}: the thread that drops proxies hangs");
        let c = tokio::time::timeout(Duration::from_secs(3), async {
            while caller.connections() > 0 {
                tokio::time::sleep(ms(2)).await
            }
        })
        .await;
        assert!(c.is_ok(), "round {round}: the caller's driver hangs");
    }
}
