//! What was answered is there after kill -9.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmi_core::{Node, Registry};

use crate::naming::echo;
use crate::process::Process;

/// Names and the revisions that were answered for them.
type Answered = Arc<Mutex<BTreeMap<String, u64>>>;

async fn binder(registry: Registry, round: u32, task: u32, answered: Answered) {
    let proxy = echo();
    for number in 0..25 {
        let name = format!("r{round}/t{task}/{number}");
        match registry.bind(&*name, &proxy).await {
            Ok(revision) => drop(answered.lock().unwrap().insert(name, revision)),
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bind_that_was_answered_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("names.redb");
    let (mut highest, mut interrupted) = (0, 0);
    for round in 0..50 {
        let process = Process::start(&data, "tcp://127.0.0.1:0").await;
        let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
        let registry = Registry::connect(&host, &*process.endpoint).await.unwrap();
        let answered = Answered::default();
        let tasks: Vec<_> =
            (0..8).map(|task| tokio::spawn(binder(registry.clone(), round, task, answered.clone()))).collect();
        // A moment that moves through the 200 binds from round to round.
        tokio::time::sleep(Duration::from_millis(u64::from(round % 25) * 2)).await;
        process.kill().await;
        for task in &tasks {
            task.abort();
        }
        let answered = std::mem::take(&mut *answered.lock().unwrap());
        interrupted += usize::from(answered.len() < 200);

        let process = Process::start(&data, "tcp://127.0.0.1:0").await;
        let node = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
        let after = Registry::connect(&node, &*process.endpoint).await.unwrap();
        let found: BTreeMap<String, u64> = after
            .list(&format!("r{round}"))
            .await
            .unwrap()
            .into_iter()
            .map(|binding| (binding.name.to_string(), binding.revision))
            .collect();
        for (name, revision) in &answered {
            assert_eq!(found.get(name), Some(revision), "round {round}: {name} was answered");
            assert!(*revision > highest, "round {round}: revision {revision} after {highest}");
        }
        let known = found.values().copied().max().unwrap_or(highest).max(highest);
        let next = after.bind(format!("next/{round}"), &echo()).await.unwrap();
        assert!(next > known, "round {round}: revision {next} after {known}");
        highest = next;
        process.kill().await;
    }
    assert!(interrupted > 10, "only {interrupted} rounds were interrupted");
}

#[tokio::test]
async fn sigterm_ends_the_registry_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("names.redb");
    let process = Process::start(&data, "tcp://127.0.0.1:0").await;
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let registry = Registry::connect(&host, &*process.endpoint).await.unwrap();
    registry.bind("a", &echo()).await.unwrap();
    process.terminate().await;
    assert!(registry.ping().await.is_err());
}
