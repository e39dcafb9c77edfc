//! Semaphores with a name, over a real registry.

use std::time::Duration;

use rmi_core::sync::{Permit, Semaphore, SyncError};
use rmi_core::{Node, Registry};
use rmi_registry::Running;
use rmi_registry::store::{Durable, Memory, Store};

async fn start(store: impl Store) -> Running {
    Running::start(&["tcp://127.0.0.1:0".parse().unwrap()], store).await.unwrap()
}

async fn caller(running: &Running) -> (Node, Registry) {
    let node = Node::builder().start().await.unwrap();
    let registry = Registry::connect(&node, &running.endpoints()[0]).await.unwrap();
    (node, registry)
}

#[tokio::test]
async fn a_name_leads_everybody_to_the_same_permits() {
    let running = start(Memory).await;
    let ((_a, first), (_b, second)) = (caller(&running).await, caller(&running).await);
    let (ours, theirs) = (first.semaphore("gpu", 2).await.unwrap(), second.semaphore("gpu", 2).await.unwrap());
    let grant = ours.acquire(2).await.unwrap();
    assert_eq!((theirs.available().await, theirs.try_acquire(1).await), (Ok(0), Ok(None)));
    grant.permit.release().await.unwrap();
    assert!(theirs.try_acquire(1).await.unwrap().unwrap().token > grant.token);
    assert_eq!(first.semaphore("other", 2).await.unwrap().available().await, Ok(2));
}

#[tokio::test]
async fn a_mutex_keeps_others_out_until_its_holder_is_gone() {
    let running = start(Memory).await;
    let ((node, first), (_b, second)) = (caller(&running).await, caller(&running).await);
    let held = first.mutex("lock").await.unwrap().lock().await.unwrap();
    let mutex = second.mutex("lock").await.unwrap();
    assert_eq!(mutex.try_lock().await, Ok(None));
    let (next, ()) = tokio::join!(mutex.lock(), node.shutdown());
    assert!(next.unwrap().token > held.token);
}

#[tokio::test]
async fn a_semaphore_has_one_number_of_permits_as_long_as_it_is_used() {
    let running = start(Memory).await;
    let ((_a, first), (_b, second)) = (caller(&running).await, caller(&running).await);
    let semaphore = first.semaphore("gpu", 2).await.unwrap();
    let grant = semaphore.acquire(1).await.unwrap();
    drop(semaphore);
    let error = second.semaphore("gpu", 3).await.unwrap_err();
    assert_eq!(error.to_string(), "semaphore gpu has 2 permits, not 3");
    drop(grant);
    // That nobody holds it any more is on its way.
    let ended = async {
        while second.semaphore("gpu", 3).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("nobody uses it any more");
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused() {
    let running = start(Memory).await;
    let (_node, registry) = caller(&running).await;
    assert_eq!(registry.semaphore("a", 0).await, Err(SyncError::NoPermits));
    let error = registry.mutex("a//b").await.unwrap_err();
    assert!(matches!(error, SyncError::Name(_)), "{error}");
}

#[tokio::test]
async fn tokens_rise_across_restarts_and_names() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("names.redb");
    let mut last = 0;
    for _ in 0..3 {
        let running = start(Durable::open(&data).unwrap()).await;
        let (node, registry) = caller(&running).await;
        for name in ["a", "b", "a"] {
            let grant = registry.mutex(name).await.unwrap().lock().await.unwrap();
            assert!(grant.token > last);
            last = grant.token;
            grant.permit.release().await.unwrap();
        }
        drop(registry);
        node.shutdown().await;
        running.shutdown().await;
    }
}

#[tokio::test]
async fn a_registry_that_ends_does_not_wait_for_those_who_wait() {
    let running = start(Memory).await;
    let (_node, registry) = caller(&running).await;
    let mutex = registry.mutex("lock").await.unwrap();
    let _held = mutex.lock().await.unwrap();
    let waiting = mutex.lock();
    let ended = async {
        // The call is there when its connection has answered another that was made later.
        registry.ping().await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), running.shutdown()).await.expect("less than the time to drain");
    };
    let (refused, ()) = tokio::join!(biased; waiting, ended);
    assert_eq!(refused, Err(SyncError::Closed));
}
