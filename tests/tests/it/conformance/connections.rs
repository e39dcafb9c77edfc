//! Group CON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rmi_core::{
    CallOptions, ErrorKind, Executed, Limits, Node, NodeId, ObjectId, ObjectRef, Proxy, RemoteError, remote,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::probe::{Probe, own_probe, setting};
use crate::hostile::hello;

/// Waits until the node has no connection; fails after five seconds.
pub(super) async fn until_no_connections(node: &Node) {
    let begun = Instant::now();
    while node.connections() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "{} connections are left", node.connections());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A reference to an object of a node that a test plays.
async fn played() -> (TcpListener, ObjectRef) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let reference = ObjectRef::new(NodeId::from_bytes([9; 16]), ObjectId::random(), Vec::new(), vec![endpoint]);
    (listener, reference)
}

#[tokio::test]
async fn a_peer_that_accepts_and_never_speaks_is_given_up() {
    let (listener, reference) = played().await;
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_millis(100);
    let node = Node::builder().limits(limits).start().await.unwrap();
    let probe: Proxy<dyn Probe> = node.proxy(&reference).unwrap();
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let error = probe.nothing().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Unreachable, Executed::No));
    assert!(error.message().contains("the handshake took too long"), "{error}");
    silent.abort();
}

#[tokio::test]
async fn a_silent_peer_is_noticed_and_its_calls_fail() {
    let (listener, reference) = played().await;
    let mut limits = Limits::default();
    (limits.ping_after, limits.pong_timeout) = (Duration::from_millis(100), Duration::from_millis(100));
    let node = Node::builder().limits(limits).start().await.unwrap();
    let probe: Proxy<dyn Probe> = node.proxy(&reference).unwrap();
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&hello()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let error = probe.nothing().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Disconnected, Executed::Maybe));
    assert!(error.message().contains("the peer was silent for"), "{error}");
    silent.abort();
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_both_get_through() {
    let (a, b) = (setting().await, setting().await);
    let to_b: Proxy<dyn Probe> = a.host.proxy(&b.reference).unwrap();
    let to_a: Proxy<dyn Probe> = b.host.proxy(&a.reference).unwrap();
    for _ in 0..20 {
        let (first, second) = tokio::join!(to_b.nothing(), to_a.nothing());
        first.unwrap();
        second.unwrap();
    }
    // One for each side that dialled.
    assert_eq!(a.host.connections(), 2);
}

#[tokio::test]
async fn callbacks_use_the_connection_of_the_call() {
    let setting = setting().await;
    let (_, own) = own_probe();
    setting.probe.relay(own, vec![1].into()).await.unwrap();
    assert_eq!((setting.host.connections(), setting.caller.connections()), (1, 1));
    assert!(setting.caller.endpoints().is_empty());
}

#[tokio::test]
async fn an_unused_connection_closes_and_one_with_a_call_does_not() {
    let setting = setting().await;
    let call = setting.probe.wait(300);
    let second: Proxy<dyn Probe> = setting.caller.proxy(&setting.reference).unwrap();
    second.nothing().await.unwrap();
    drop(second);
    call.await.unwrap();
    assert_eq!(setting.host.connections(), 1);
    drop(setting.probe);
    until_no_connections(&setting.host).await;
    until_no_connections(&setting.caller).await;
}

#[remote(name = "Attempts")]
trait Attempts {
    #[remote(idempotent)]
    async fn again(&self) -> Result<(), RemoteError>;
    async fn once(&self) -> Result<(), RemoteError>;
}

#[tokio::test]
async fn idempotent_calls_are_made_again_and_others_never_after_they_were_sent() {
    let (listener, reference) = played().await;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let playing = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&hello()).await.unwrap();
            let mut read = Vec::new();
            // The peer's hello, its claim and its call; then the connection is lost.
            while calls_in(&read) < 1 && stream.read_buf(&mut read).await.unwrap_or(0) > 0 {}
            counted.fetch_add(u32::from(calls_in(&read) >= 1), Ordering::SeqCst);
        }
    });
    let node = Node::builder().start().await.unwrap();
    let attempts: Proxy<dyn Attempts> = node.proxy(&reference).unwrap();
    let error = attempts.once().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Disconnected, Executed::Maybe));
    assert_eq!(calls.swap(0, Ordering::SeqCst), 1);
    let error = attempts.again().await.unwrap_err();
    assert_eq!(error.executed(), Executed::Maybe);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    playing.abort();
}

/// How many whole frames of calls there are.
fn calls_in(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let Some((frame, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
        (bytes, count) = (rest, count + usize::from(frame.first() == Some(&2)));
    }
    count
}

#[tokio::test]
async fn the_next_endpoint_is_tried_when_one_does_not_answer() {
    let setting = setting().await;
    let mut reference = setting.reference.clone();
    let nowhere = ["carrier-pigeon:loft", "tcp://127.0.0.1:1"].map(|place| place.parse().unwrap());
    reference.endpoints = nowhere.into_iter().chain(reference.endpoints.iter().cloned()).collect();
    setting.caller.proxy::<dyn Probe>(&reference).unwrap().nothing().await.unwrap();
}

#[tokio::test]
async fn a_node_that_answers_in_the_place_of_another_gets_no_calls() {
    let (first, second) = (setting().await, setting().await);
    let mut reference = first.reference.clone();
    reference.endpoints = second.host.endpoints().into();
    let error = first.caller.proxy::<dyn Probe>(&reference).unwrap().nothing().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Gone, Executed::No));
}

#[tokio::test]
async fn waiting_for_a_connection_counts_against_the_deadline() {
    let (_listener, reference) = played().await;
    let node = Node::builder().start().await.unwrap();
    let probe: Proxy<dyn Probe> = node.proxy(&reference).unwrap();
    let error = probe.with(CallOptions::new().timeout(Duration::from_millis(50))).nothing().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Deadline, Executed::No));
}
