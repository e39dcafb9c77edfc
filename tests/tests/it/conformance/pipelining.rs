//! Group PIP.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use rmi_core::transport::Memory;
use rmi_core::{CallOptions, ErrorKind, Executed, Node, Proxy, RemoteError, remote};
use rmi_tests::Delay;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
enum Trouble {
    #[error("there is no {0}")]
    Missing(String),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// A node of a tree that grows as it is walked.
#[remote]
trait Place {
    async fn open(&self, name: &str) -> Result<Proxy<dyn Place>, Trouble>;
    async fn path(&self) -> Result<String, Trouble>;
    async fn note(&self, number: u64) -> Result<(), Trouble>;
    #[remote(oneway)]
    async fn tell(&self, number: u64) -> Result<(), Trouble>;
    /// The path of an object that was passed.
    async fn read(&self, other: Proxy<dyn Place>) -> Result<String, Trouble>;
    /// Notes the number when what was passed beside it is there.
    async fn put(&self, number: u64, beside: Proxy<dyn Place>) -> Result<(), Trouble>;
    /// What was passed.
    async fn give(&self, other: Proxy<dyn Place>) -> Result<Proxy<dyn Place>, Trouble>;
    async fn give_maybe(&self, other: Option<Proxy<dyn Place>>) -> Result<Option<Proxy<dyn Place>>, Trouble>;
    /// Like `give`, once the gate lets one through.
    async fn give_late(&self, other: Proxy<dyn Place>) -> Result<Proxy<dyn Place>, Trouble>;
    async fn grow(&self, bytes: &[u8]) -> Result<Proxy<dyn Place>, Trouble>;
}

struct Folder {
    path: String,
    world: Arc<World>,
}

/// What all folders of a tree share, and tests look at.
struct World {
    notes: Mutex<Vec<u64>>,
    gate: Semaphore,
    begun: AtomicU64,
    cancelled: AtomicU64,
    dropped: AtomicU64,
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.world.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts a call that was dropped in its middle.
struct Counted<'a>(&'a AtomicU64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Folder {
    fn child(&self, name: &str) -> Proxy<dyn Place> {
        Proxy::new(Self { path: format!("{}/{name}", self.path), world: self.world.clone() })
    }

    async fn pass_gate(&self) {
        self.world.begun.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(&self.world.cancelled);
        self.world.gate.acquire().await.unwrap().forget();
        std::mem::forget(counted);
    }
}

#[remote]
impl Place for Folder {
    async fn open(&self, name: &str) -> Result<Proxy<dyn Place>, Trouble> {
        match name {
            "missing" => return Err(Trouble::Missing(name.to_owned())),
            "late" => self.pass_gate().await,
            "panic" => panic!("as asked"),
            _ => tokio::task::yield_now().await,
        }
        Ok(self.child(name))
    }

    async fn path(&self) -> Result<String, Trouble> {
        Ok(self.path.clone())
    }

    async fn note(&self, number: u64) -> Result<(), Trouble> {
        self.world.notes.lock().unwrap().push(number);
        Ok(())
    }

    async fn tell(&self, number: u64) -> Result<(), Trouble> {
        self.world.notes.lock().unwrap().push(number);
        Ok(())
    }

    async fn read(&self, other: Proxy<dyn Place>) -> Result<String, Trouble> {
        other.path().await
    }

    async fn put(&self, number: u64, _beside: Proxy<dyn Place>) -> Result<(), Trouble> {
        self.note(number).await
    }

    async fn give(&self, other: Proxy<dyn Place>) -> Result<Proxy<dyn Place>, Trouble> {
        Ok(other)
    }

    async fn give_maybe(&self, other: Option<Proxy<dyn Place>>) -> Result<Option<Proxy<dyn Place>>, Trouble> {
        Ok(other)
    }

    async fn give_late(&self, other: Proxy<dyn Place>) -> Result<Proxy<dyn Place>, Trouble> {
        self.pass_gate().await;
        Ok(other)
    }

    async fn grow(&self, bytes: &[u8]) -> Result<Proxy<dyn Place>, Trouble> {
        Ok(self.child(&bytes.len().to_string()))
    }
}

fn tree() -> (Arc<World>, Proxy<dyn Place>) {
    let world = Arc::new(World {
        notes: Mutex::default(),
        gate: Semaphore::new(0),
        begun: AtomicU64::new(0),
        cancelled: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
    });
    (world.clone(), Proxy::new(Folder { path: String::new(), world }))
}

struct Setting {
    memory: Arc<Delay>,
    host: Node,
    caller: Node,
    world: Arc<World>,
    root: Proxy<dyn Place>,
}

const DELAY: Duration = Duration::from_millis(20);

/// Two nodes that are connected, 20 ms apart.
async fn setting() -> Setting {
    let memory = Arc::new(Delay::new(Arc::new(Memory::new()), DELAY));
    let host = Node::builder().transport(memory.clone()).listen("mem:host").start().await.unwrap();
    let caller = Node::builder().transport(memory.clone()).start().await.unwrap();
    let (world, root) = tree();
    let reference = host.export(&root).unwrap();
    let root: Proxy<dyn Place> = caller.proxy(&reference).unwrap();
    assert_eq!(root.path().await.unwrap(), "");
    Setting { memory, host, caller, world, root }
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_five_dependent_calls_takes_one_round_trip() {
    let setting = setting().await;
    let begun = Instant::now();
    let mut at = setting.root.pipelined();
    for name in ["a", "b", "c", "d"] {
        at = at.open(name).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "nothing was waited for");
    assert_eq!(at.path().await.unwrap(), "/a/b/c/d");
    let took = begun.elapsed();
    assert!(took >= 2 * DELAY && took < 2 * DELAY + Duration::from_millis(3), "{took:?}");
}

/// Polls a call once: that is when it is made.
async fn make<F: Future + Unpin>(call: &mut F) {
    std::future::poll_fn(|cx| {
        assert!(Pin::new(&mut *call).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what}");
}

fn remote_error(trouble: Trouble) -> RemoteError {
    match trouble {
        Trouble::Remote(error) => error,
        Trouble::Missing(name) => panic!("there is no {name}"),
    }
}

#[tokio::test(start_paused = true)]
async fn promises_as_arguments_leave_at_once() {
    let setting = setting().await;
    let (root, begun) = (setting.root.pipelined(), Instant::now());
    let child = root.open("a").await.unwrap();
    let grandchild = root.give(child.open("b").await.unwrap()).await.unwrap();
    assert_eq!(setting.root.read(grandchild).await.unwrap(), "/a/b");
    let took = begun.elapsed();
    assert!(took < 2 * DELAY + Duration::from_millis(3), "{took:?}");
    // Only a method that returns one proxy and nothing around it promises.
    let maybe = root.give_maybe(Some(child.clone())).await.unwrap();
    assert_eq!(begun.elapsed() - took, 2 * DELAY);
    assert_eq!(maybe, Some(child));
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_a_call_that_fails_fails_with_its_cause_and_does_not_run() {
    let setting = setting().await;
    let root = setting.root.pipelined();
    let missing = root.open("missing").await.unwrap();
    let below = missing.open("a").await.unwrap().open("b").await.unwrap();
    let text = "the call that promised the object returned the error {\"Missing\": [\"missing\"]}";
    for failed in [missing.note(1).await, below.note(2).await, setting.root.put(3, below.clone()).await] {
        let error = remote_error(failed.unwrap_err());
        assert_eq!((error.kind(), error.executed()), (ErrorKind::PromiseBroken, Executed::No));
        assert!(error.message().starts_with("the call that promised the object returned the error"), "{error}");
        assert!(error.message().contains("missing"), "{error} is not {text}");
    }
    // Now that it is known, nothing is sent.
    let begun = Instant::now();
    assert_eq!(remote_error(below.path().await.unwrap_err()).kind(), ErrorKind::PromiseBroken);
    assert_eq!(remote_error(missing.open("a").await.unwrap_err()).kind(), ErrorKind::PromiseBroken);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let panicked = root.open("panic").await.unwrap().path().await.unwrap_err();
    let error = remote_error(panicked);
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Panicked, Executed::No));
    assert_eq!(error.message(), "the servant panicked");
    assert_eq!(*setting.world.notes.lock().unwrap(), [0; 0]);
    assert_eq!(setting.root.path().await.unwrap(), "");
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_becomes_an_object_of_the_caller_keeps_the_order_of_its_calls() {
    let setting = setting().await;
    let (world, own) = tree();
    let promise = setting.root.pipelined().give(own.clone()).await.unwrap();
    assert_ne!(promise, own);
    tokio::time::sleep(DELAY + DELAY / 2).await;
    let mut first = promise.note(1);
    make(&mut first).await;
    // The reply comes now, while the first call is on its way there, and has its way back before it.
    until("the promise is settled", || promise == own).await;
    assert!(promise.is_local() && promise.reference().is_none());
    let mut second = promise.note(2);
    make(&mut second).await;
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(*world.notes.lock().unwrap(), [1, 2]);
    // With nothing under way it is the object itself.
    let begun = Instant::now();
    promise.note(3).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn calls_are_dispatched_in_the_order_they_were_made_whatever_they_wait_for() {
    let setting = setting().await;
    let root = setting.root.pipelined();
    let (late, child) = (root.open("late").await.unwrap(), root.open("a").await.unwrap());
    // Calls through the promise; calls through the plain proxy; each time one that waits for the other promise first.
    let mut calls = Vec::new();
    for (number, place) in [(1, &child), (11, &setting.root)] {
        calls.push(place.put(number, late.clone()));
        calls.extend((number + 1..number + 5).map(|number| place.note(number)));
    }
    for call in &mut calls {
        make(call).await;
    }
    tokio::time::sleep(5 * DELAY).await;
    assert_eq!(*setting.world.notes.lock().unwrap(), [0; 0]);
    setting.world.gate.add_permits(1);
    for call in calls {
        call.await.unwrap();
    }
    let notes = setting.world.notes.lock().unwrap().clone();
    let (through_promise, plain): (Vec<u64>, Vec<u64>) = notes.iter().partition(|number| **number < 10);
    assert_eq!((through_promise, plain), (vec![1, 2, 3, 4, 5], vec![11, 12, 13, 14, 15]));
}

#[tokio::test(start_paused = true)]
async fn a_small_call_does_not_overtake_the_large_one_whose_result_it_needs() {
    let setting = setting().await;
    let grown = setting.root.pipelined().grow(&vec![0; 3_000_000]).await.unwrap();
    assert_eq!(grown.path().await.unwrap(), "/3000000");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_prepared_before_the_promise_was_kept_finds_the_object() {
    let setting = setting().await;
    let child = setting.root.pipelined().open("a").await.unwrap();
    let prepared = (child.path(), setting.root.read(child.clone()));
    until("the promise is settled", || child.reference().is_some()).await;
    assert_eq!((prepared.0.await.unwrap(), prepared.1.await.unwrap()), ("/a".to_owned(), "/a".to_owned()));
    assert_eq!(child.reference().unwrap().node, setting.host.id());
}

#[tokio::test(start_paused = true)]
async fn a_promise_outlives_the_proxy_it_came_from() {
    let Setting { root, host, caller, .. } = setting().await;
    let late = root.pipelined().open("a").await.unwrap();
    drop(root);
    tokio::time::sleep(5 * DELAY).await;
    assert_eq!(late.path().await.unwrap(), "/a");
    drop((host, caller));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_promise_cancels_its_call() {
    let setting = setting().await;
    let late = setting.root.pipelined().open("late").await.unwrap();
    let below = late.open("a").await.unwrap();
    drop(late);
    until("the call runs", || setting.world.begun.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(5 * DELAY).await;
    assert_eq!(setting.world.cancelled.load(Ordering::SeqCst), 0, "another promise needs it");
    drop(below);
    until("it was cancelled", || setting.world.cancelled.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_oneway_call_on_a_promise_runs_though_the_promise_is_dropped() {
    let setting = setting().await;
    setting.root.pipelined().open("late").await.unwrap().tell(7).await.unwrap();
    tokio::time::sleep(5 * DELAY).await;
    setting.world.gate.add_permits(1);
    until("it ran", || *setting.world.notes.lock().unwrap() == [7]).await;
    assert_eq!(setting.world.cancelled.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_promise_can_be_dropped_and_has_its_deadline() {
    let setting = setting().await;
    let late = setting.root.pipelined().open("late").await.unwrap();
    let mut dropped = late.note(1);
    make(&mut dropped).await;
    tokio::time::sleep(2 * DELAY).await;
    drop(dropped);
    let hasty = late.with(CallOptions::new().timeout(3 * DELAY));
    let error = remote_error(hasty.note(2).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Deadline);
    tokio::time::sleep(2 * DELAY).await;
    setting.world.gate.add_permits(1);
    late.note(3).await.unwrap();
    assert_eq!(*setting.world.notes.lock().unwrap(), [3]);
}

#[tokio::test(start_paused = true)]
async fn another_node_gets_the_object_once_it_is_there() {
    let setting = setting().await;
    let (world, root) = tree();
    let third = Node::builder().transport(setting.memory.clone()).listen("mem:third").start().await.unwrap();
    let other: Proxy<dyn Place> = setting.caller.proxy(&third.export(&root).unwrap()).unwrap();
    let promise = setting.root.pipelined().open("a").await.unwrap();
    assert_eq!(other.read(promise.clone()).await.unwrap(), "/a");
    // The host hands on what is called on a promise that came to an object of another node.
    let theirs = setting.root.pipelined().give(other).await.unwrap();
    assert_eq!(theirs.path().await.unwrap(), "");
    // Calls of one proxy keep their order also then.
    let late = setting.root.pipelined().open("late").await.unwrap();
    let (mut first, mut second) = (theirs.put(1, late.clone()), theirs.note(2));
    make(&mut first).await;
    make(&mut second).await;
    tokio::time::sleep(5 * DELAY).await;
    assert_eq!(*world.notes.lock().unwrap(), [0; 0]);
    setting.world.gate.add_permits(1);
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(*world.notes.lock().unwrap(), [1, 2]);
    // One that is given up holds nothing back.
    let never = setting.root.pipelined().open("late").await.unwrap();
    let (mut first, mut second) = (theirs.put(3, never.clone()), theirs.note(4));
    make(&mut first).await;
    make(&mut second).await;
    drop(first);
    second.await.unwrap();
    assert_eq!(*world.notes.lock().unwrap(), [1, 2, 4]);
    let broken = setting.root.pipelined().open("missing").await.unwrap();
    let error = remote_error(third_read(&theirs, broken).await);
    assert_eq!((error.kind(), error.executed()), (ErrorKind::PromiseBroken, Executed::No));
}

async fn third_read(place: &Proxy<dyn Place>, passed: Proxy<dyn Place>) -> Trouble {
    place.read(passed).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_breaks_its_promises() {
    let setting = setting().await;
    let late = setting.root.pipelined().open("late").await.unwrap();
    let mut waiting = late.note(1);
    make(&mut waiting).await;
    until("the call runs", || setting.world.begun.load(Ordering::SeqCst) == 1).await;
    drop(setting.host);
    assert_eq!(remote_error(waiting.await.unwrap_err()).kind(), ErrorKind::Disconnected);
    let error = remote_error(late.note(2).await.unwrap_err());
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Disconnected, Executed::No));
    // A node that is not there is an error as well, then or at the first use.
    let dead = setting.root.pipelined().open("a").await;
    let error = match dead {
        Err(trouble) => remote_error(trouble),
        Ok(promise) => remote_error(promise.path().await.unwrap_err()),
    };
    assert_eq!(error.executed(), Executed::No);
}

#[tokio::test(start_paused = true)]
async fn the_objects_of_promises_are_dropped_with_their_last_proxies() {
    let setting = setting().await;
    let dropped = |count: u64| {
        let world = setting.world.clone();
        move || world.dropped.load(Ordering::SeqCst) == count
    };
    let (root, held) = (setting.root.pipelined(), setting.root.pipelined().open("held").await.unwrap());
    let last = root.open("a").await.unwrap().open("b").await.unwrap().open("c").await.unwrap();
    assert_eq!(last.path().await.unwrap(), "/a/b/c");
    until("what the last one came from is dropped", dropped(2)).await;
    drop(last);
    until("all three are dropped", dropped(3)).await;
    // Nobody has ever called this one, and it is there.
    tokio::time::sleep(5 * DELAY).await;
    assert_eq!(held.path().await.unwrap(), "/held");
    assert!(dropped(3)());
    drop(held);
    until("it is dropped, too", dropped(4)).await;
    root.open("missing").await.unwrap().closed().await;
}

#[tokio::test(start_paused = true)]
async fn promises_that_were_used_leave_room_for_others() {
    let setting = setting().await;
    let root = setting.root.pipelined();
    for _ in 0..2 * rmi_core::limits::PROMISES_PER_SESSION_MAX {
        let begun = Instant::now();
        root.open("a").await.unwrap().path().await.unwrap();
        assert!(begun.elapsed() < 3 * DELAY, "a round trip more: the caller thinks that its peer takes no promise");
    }
}

#[tokio::test(start_paused = true)]
async fn with_too_many_promises_a_call_waits_for_its_result() {
    let setting = setting().await;
    let root = setting.root.pipelined();
    let mut promises = Vec::new();
    for _ in 0..rmi_core::limits::PROMISES_PER_SESSION_MAX {
        promises.push(root.open("a").await.unwrap());
    }
    let plain = root.open("b").await.unwrap();
    assert!(plain.reference().is_some(), "it was waited for");
    promises.clear();
    tokio::time::sleep(DELAY).await;
    let promise = root.open("c").await.unwrap();
    assert!(promise.reference().is_none());
    assert_eq!(promise.path().await.unwrap(), "/c");
}

#[tokio::test(start_paused = true)]
async fn a_promise_is_a_proxy_like_any_other() {
    let setting = setting().await;
    let root = setting.root.pipelined();
    let (one, two) = (root.open("a").await.unwrap(), root.open("b").await.unwrap());
    assert_ne!(one, two);
    assert_eq!(one, one.clone());
    assert_eq!(format!("{one:?}"), format!("Proxy(promised by node {})", setting.host.id()));
    let error = setting.caller.export(&two).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Misuse, "a promise has no address yet"));
    assert_eq!(one.cast::<dyn Place>().unwrap().path().await.unwrap(), "/a");
    assert_eq!(setting.caller.export(&two).unwrap().node, setting.host.id());
    // In this process there is nothing to wait for.
    let (_, own) = tree();
    assert!(own.pipelined().open("a").await.unwrap().is_local());
}
