//! Semaphores: who gets permits, in which order, and how they come back.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rmi_core::limits::SEMAPHORE_WAITING_MAX;
use rmi_core::sync::{Grant, LocalSemaphore, Mutex, Permit, Semaphore, SyncError, Tokens};
use rmi_core::transport::Memory;
use rmi_core::{CallOptions, ErrorKind, Executed, Node, ObjectRef, Proxy};
use tokio::task::JoinHandle;

/// A semaphore, seen from where it is.
fn local(permits: u32) -> Proxy<dyn Semaphore> {
    Proxy::new(LocalSemaphore::new(permits))
}

struct Host {
    node: Node,
    memory: Arc<Memory>,
    reference: ObjectRef,
}

async fn host(permits: u32) -> Host {
    let memory = Arc::new(Memory::new());
    let node = Node::builder().transport(memory.clone()).listen("mem:host").start().await.unwrap();
    let reference = node.export(&local(permits)).unwrap();
    Host { node, memory, reference }
}

impl Host {
    /// The semaphore, seen from another node.
    async fn caller(&self) -> (Node, Proxy<dyn Semaphore>) {
        let node = Node::builder().transport(self.memory.clone()).start().await.unwrap();
        let proxy = node.proxy(&self.reference).unwrap();
        (node, proxy)
    }
}

/// Waits for permits in a task of its own; returns when it stands in the queue.
async fn waiting(semaphore: &Proxy<dyn Semaphore>, n: u32) -> JoinHandle<Result<Grant, SyncError>> {
    let semaphore = semaphore.clone();
    let task = tokio::spawn(async move { semaphore.acquire(n).await });
    settle().await;
    task
}

/// Lets every task go as far as it can: with paused time a sleep ends when nothing else can happen.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn poll_once<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn deadline(error: &SyncError) -> bool {
    matches!(error, SyncError::Remote(error) if error.kind() == ErrorKind::Deadline)
}

#[tokio::test]
async fn dropping_the_permit_gives_back_what_was_taken() {
    let semaphore = local(3);
    let grant = semaphore.acquire(2).await.unwrap();
    assert_eq!(semaphore.available().await, Ok(1));
    let copy = grant.clone();
    drop(grant);
    assert_eq!(semaphore.available().await, Ok(1));
    drop(copy);
    assert_eq!(semaphore.available().await, Ok(3));
}

#[tokio::test]
async fn a_released_permit_is_free_at_once_and_only_once() {
    let semaphore = local(2);
    let (first, second) = (semaphore.acquire(1).await.unwrap(), semaphore.acquire(1).await.unwrap());
    assert_eq!(first.permit.check().await, Ok(()));
    first.permit.release().await.unwrap();
    assert_eq!(semaphore.available().await, Ok(1));
    assert_eq!(first.permit.check().await, Err(SyncError::Released));
    first.permit.release().await.unwrap();
    drop(first);
    assert_eq!(semaphore.available().await, Ok(1));
    assert_eq!(second.permit.check().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn callers_are_served_in_the_order_in_which_they_came_whatever_they_ask_for() {
    let host = host(3).await;
    let ((_a, first), (_b, second)) = (host.caller().await, host.caller().await);
    let held = first.acquire(2).await.unwrap();
    let large = waiting(&second, 3).await;
    let small = waiting(&first, 1).await;
    // A permit is free, and stays free for the one who came first.
    assert_eq!((first.available().await, first.try_acquire(1).await), (Ok(1), Ok(None)));
    assert!(!small.is_finished());
    held.permit.release().await.unwrap();
    let large = large.await.unwrap().unwrap();
    settle().await;
    assert!(!small.is_finished());
    large.permit.release().await.unwrap();
    let small = small.await.unwrap().unwrap();
    assert!(held.token < large.token && large.token < small.token);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_call_is_dropped_makes_way_for_those_behind() {
    let host = host(3).await;
    let (_node, semaphore) = host.caller().await;
    let _held = semaphore.acquire(2).await.unwrap();
    let large = waiting(&semaphore, 3).await;
    let small = waiting(&semaphore, 1).await;
    large.abort();
    assert!(small.await.unwrap().is_ok());
    assert_eq!(semaphore.available().await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_deadline_passes_makes_way_for_those_behind() {
    let host = host(3).await;
    let (_node, semaphore) = host.caller().await;
    let _held = semaphore.acquire(2).await.unwrap();
    let hurried = semaphore.with(CallOptions::new().timeout(Duration::from_secs(5)));
    let large = waiting(&hurried, 3).await;
    let small = waiting(&semaphore, 1).await;
    assert!(deadline(&large.await.unwrap().unwrap_err()));
    assert!(small.await.unwrap().is_ok());
    assert_eq!(semaphore.available().await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_a_deadline_of_its_own_waits_30_seconds() {
    let host = host(1).await;
    let (_node, semaphore) = host.caller().await;
    let _held = semaphore.acquire(1).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert!(deadline(&semaphore.acquire(1).await.unwrap_err()));
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_waiter_that_is_dropped_when_it_was_just_granted_gives_the_permits_on() {
    let semaphore = local(2);
    let held = semaphore.acquire(2).await.unwrap();
    let next = semaphore.clone();
    {
        let mut granted = pin!(semaphore.acquire(2));
        assert!(poll_once(granted.as_mut()).is_pending());
        // The permits go to the waiter, which never looks again.
        drop(held);
        assert_eq!(next.available().await, Ok(0));
    }
    assert_eq!(next.available().await, Ok(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_waiters_are_dropped_while_they_are_granted() {
    let semaphore = local(2);
    for round in 0..2000 {
        let held = semaphore.acquire(2).await.unwrap();
        let waiters: Vec<_> = [1, 2, 1]
            .map(|n| {
                let semaphore = semaphore.clone();
                tokio::spawn(async move { semaphore.acquire(n).await.map(drop) })
            })
            .into();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        let giving = tokio::spawn(async move { drop(held) });
        waiters.iter().for_each(JoinHandle::abort);
        giving.await.unwrap();
        for waiter in waiters {
            drop(waiter.await);
        }
        assert_eq!(semaphore.available().await, Ok(2), "round {round}");
    }
}

#[tokio::test]
async fn nothing_is_lost_when_remote_calls_are_dropped_while_they_are_granted() {
    let host = host(1).await;
    let (_node, semaphore) = host.caller().await;
    let patient = semaphore.with(CallOptions::new().timeout(Duration::from_secs(10)));
    for round in 0..200 {
        let held = patient.acquire(1).await.unwrap();
        let waiter = {
            let semaphore = semaphore.clone();
            tokio::spawn(async move { semaphore.acquire(1).await.map(drop) })
        };
        // Another number of steps each time, so that the end of the call meets the grant at every point of its way.
        for _ in 0..round % 20 {
            tokio::task::yield_now().await;
        }
        let (released, ()) = tokio::join!(held.permit.release(), async {
            for _ in 0..round / 20 {
                tokio::task::yield_now().await;
            }
            waiter.abort();
        });
        released.unwrap();
        drop(held);
    }
    assert!(patient.acquire(1).await.is_ok(), "a permit was lost");
}

#[tokio::test]
async fn tokens_rise_with_every_grant() {
    let semaphore = local(2);
    let mut last = 0;
    for n in [1, 2, 1, 2] {
        let grant = semaphore.acquire(n).await.unwrap();
        assert!(grant.token > last);
        last = grant.token;
    }
    assert_eq!(semaphore.available().await, Ok(2));
    let grant = semaphore.try_acquire(1).await.unwrap().unwrap();
    assert!(grant.token > last);
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused_at_once() {
    let semaphore = local(2);
    let error = semaphore.acquire(3).await.unwrap_err();
    assert_eq!(error.to_string(), "3 permits exceed the 2 that the semaphore has");
    assert_eq!(semaphore.try_acquire(3).await, Err(error));
    assert_eq!(semaphore.acquire(0).await.unwrap_err().to_string(), "0 permits; the least is 1");
    assert_eq!(semaphore.available().await, Ok(2));
}

#[tokio::test]
async fn those_who_wait_are_bounded() {
    let semaphore = LocalSemaphore::new(1);
    let held = semaphore.acquire(1).await.unwrap();
    let mut waiting: Vec<_> = (0..SEMAPHORE_WAITING_MAX).map(|_| semaphore.acquire(1)).collect();
    for waiter in &mut waiting {
        assert!(poll_once(waiter.as_mut()).is_pending());
    }
    let error = semaphore.acquire(1).await.unwrap_err();
    assert_eq!(error.to_string(), "10000 callers wait for the semaphore, which is the limit");
    waiting.pop();
    assert!(poll_once(pin!(semaphore.acquire(1))).is_pending());
    drop((waiting, held));
    assert_eq!(semaphore.available().await, Ok(1));
}

#[tokio::test]
async fn dropping_the_last_remote_proxy_gives_back_what_was_taken() {
    let host = host(2).await;
    let ((_a, first), (_b, second)) = (host.caller().await, host.caller().await);
    let held = first.acquire(2).await.unwrap();
    let copy = held.permit.clone();
    let (next, ()) = tokio::join!(second.acquire(2), async {
        drop(held);
        assert_eq!(copy.check().await, Ok(()));
        drop(copy);
    });
    assert!(next.is_ok());
}

#[tokio::test]
async fn a_holder_that_goes_gives_back_what_it_had() {
    let host = host(2).await;
    let ((first_node, first), (_second_node, second)) = (host.caller().await, host.caller().await);
    let held = first.acquire(2).await.unwrap();
    drop((first, first_node));
    let next = second.acquire(2).await.unwrap();
    assert!(next.token > held.token);
    assert!(held.permit.check().await.is_err());
}

#[tokio::test]
async fn the_permits_of_a_host_that_was_restarted_are_gone() {
    let host = host(1).await;
    let (_node, semaphore) = host.caller().await;
    let held = semaphore.acquire(1).await.unwrap();
    host.node.shutdown().await;
    drop(host.node);
    let _again = Node::builder().transport(host.memory.clone()).listen("mem:host").start().await.unwrap();
    let Err(SyncError::Remote(error)) = held.permit.check().await else { panic!("the permit is still there") };
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Gone, Executed::No));
}

#[tokio::test(start_paused = true)]
async fn a_closed_semaphore_lets_nobody_wait() {
    let semaphore = LocalSemaphore::new(1);
    let proxy: Proxy<dyn Semaphore> = Proxy::new(semaphore.clone());
    let held = proxy.acquire(1).await.unwrap();
    let waiter = waiting(&proxy, 1).await;
    semaphore.close();
    assert_eq!(waiter.await.unwrap(), Err(SyncError::Closed));
    assert_eq!(proxy.acquire(1).await, Err(SyncError::Closed));
    assert_eq!(held.permit.check().await, Ok(()));
}

#[tokio::test]
async fn a_semaphore_lives_as_long_as_a_permit_of_it() {
    let semaphore = LocalSemaphore::new(1);
    let (weak, grant) = (semaphore.downgrade(), semaphore.acquire(1).await.unwrap());
    drop(semaphore);
    assert!(weak.upgrade().is_some());
    drop(grant);
    assert!(weak.upgrade().is_none());
}

#[tokio::test]
async fn a_mutex_is_locked_until_its_permit_is_gone() {
    let host = host(1).await;
    let (_node, semaphore) = host.caller().await;
    let mutex = Mutex::new(semaphore);
    let grant = mutex.lock().await.unwrap();
    assert_eq!(mutex.try_lock().await, Ok(None));
    let hurried = mutex.with(CallOptions::new().timeout(Duration::from_millis(20)));
    assert!(deadline(&hurried.lock().await.unwrap_err()));
    grant.permit.release().await.unwrap();
    assert!(mutex.try_lock().await.unwrap().unwrap().token > grant.token);
}

/// Tokens of which every second question fails.
#[derive(Default)]
struct Unreliable(AtomicU64);

impl Tokens for Unreliable {
    fn next(&self) -> Result<u64, SyncError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        if number.is_multiple_of(2) { Ok(number) } else { Err(SyncError::Tokens("disk full".into())) }
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_granted() {
    let semaphore = LocalSemaphore::with_tokens(1, Arc::new(Unreliable::default()));
    drop(semaphore.acquire(1).await.unwrap());
    let error = semaphore.acquire(1).await.unwrap_err();
    assert_eq!(error.to_string(), "no fencing token can be given: disk full");
    assert_eq!(semaphore.available().await, Ok(1));
    assert!(semaphore.acquire(1).await.is_ok());
}
