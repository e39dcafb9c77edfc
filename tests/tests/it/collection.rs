//! Processes that hold objects and are killed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rmi_core::{Limits, Node, ObjectRef, Proxy};
use rmi_tests::{Factory, Namespace, Workshop};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

const HOLDER: &str = env!("CARGO_BIN_EXE_holder");
const COUNT: u64 = 10_000;
/// What a host may need beyond the lease.
const MARGIN: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(3);

/// A short lease, so that the test is short.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.lease = LEASE;
    limits
}

/// A host with a factory, where products are counted.
async fn host(endpoint: &str, limits: Limits) -> (Node, ObjectRef, watch::Receiver<u64>) {
    let node = Node::builder().listen(endpoint).limits(limits).start().await.unwrap();
    let workshop = Workshop::default();
    let ended = workshop.ended();
    let reference = node.export(&Proxy::<dyn Factory>::new(workshop)).unwrap();
    (node, reference, ended)
}

/// Runs a holder until it has its references. It is killed with the value.
async fn holder(mut command: Command, reference: &ObjectRef) -> Child {
    command.args([&reference.to_string(), &COUNT.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(Duration::from_secs(60), said.next_line()).await.expect("a holder within a minute").unwrap();
    assert_eq!(line, Some(format!("holding {COUNT}")));
    child
}

async fn all_end(mut ended: watch::Receiver<u64>, within: Duration) {
    let begun = Instant::now();
    let all = timeout(within, ended.wait_for(|&ended| ended == COUNT)).await.map(|seen| *seen.unwrap());
    assert!(all.is_ok(), "{} of {COUNT} objects were dropped within {within:?}", *ended.borrow());
    println!("{COUNT} objects were dropped within {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_held_is_dropped_within_two_seconds_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let place = format!("unix:{}", directory.path().join("s").display());
    let (node, reference, ended) = host(&place, Limits::default()).await;
    let mut child = holder(Command::new(HOLDER), &reference).await;
    assert_eq!(*ended.borrow(), 0);
    assert_eq!(node.exported() as u64, COUNT + 1);
    child.kill().await.unwrap();
    all_end(ended, MARGIN).await;
    assert_eq!(node.exported(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_held_that_vanished_behind_a_cut_link_is_dropped_with_its_lease() {
    if !Namespace::is_permitted() {
        println!("not run: only root may make a network namespace");
        return;
    }
    let namespace = Namespace::new().unwrap();
    let (node, reference, ended) = host(&format!("tcp://{}:0?plaintext", namespace.near()), limits()).await;
    let mut child = holder(namespace.command(HOLDER).into(), &reference).await;
    // Alive, it renews its lease.
    assert!(timeout(LEASE * 2, ended.clone().wait_for(|&ended| ended > 0)).await.is_err(), "a holder lost its objects");
    namespace.cut().unwrap();
    child.kill().await.unwrap();
    all_end(ended, LEASE + MARGIN).await;
    assert_eq!(node.exported(), 1);
}
