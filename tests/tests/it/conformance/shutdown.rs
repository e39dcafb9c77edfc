//! Group SHU.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rmi_core::{ErrorKind, Executed, NodeError, Proxy};

use super::WAY;
use super::connections::until_no_connections;
use super::probe::{Probe, own_probe, setting, setting_with};

#[tokio::test]
async fn a_graceful_end_finishes_calls_and_refuses_new_ones() {
    let setting = setting().await;
    let probe = setting.probe.clone();
    let call = tokio::spawn(async move { probe.wait(200).await });
    setting.servant.until(|servant| servant.running.load(Ordering::SeqCst) == 1).await;
    let host = setting.host.clone();
    let ending = tokio::spawn(async move { host.shutdown().await });
    let refused = loop {
        match setting.probe.note(1).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => break error.remote(),
        }
    };
    assert_eq!(refused.executed(), Executed::No, "{refused}");
    call.await.unwrap().expect("an accepted call is finished");
    ending.await.unwrap();
    assert_eq!(setting.host.connections(), 0);
}

#[tokio::test]
async fn a_hard_end_fails_every_waiting_call_on_both_sides_at_once() {
    let setting = setting().await;
    let (servant, own) = own_probe();
    let probe = setting.probe.clone();
    let call = tokio::spawn(async move { probe.relay_hang(own).await.unwrap_err().remote() });
    servant.until(|servant| servant.running.load(Ordering::SeqCst) == 1).await;
    let begun = Instant::now();
    drop(setting.host);
    let error = call.await.unwrap();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Disconnected, Executed::Maybe));
    // The host's own call, which waited for this process, is gone as well.
    servant.until(|servant| servant.dropped.load(Ordering::SeqCst) == 1).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_panic_in_a_disconnect_listener_is_contained() {
    let setting = setting_with(|builder| builder.on_disconnect(|_, _| panic!("in the listener"))).await;
    setting.probe.nothing().await.unwrap();
    drop(setting.probe);
    until_no_connections(&setting.host).await;
    let again: Proxy<dyn Probe> = setting.caller.proxy(&setting.reference).unwrap();
    again.nothing().await.unwrap();
    setting.host.shutdown().await;
}

#[tokio::test]
async fn a_place_in_use_is_an_error_at_once_and_free_again_later() {
    let first = WAY.host().start().await.unwrap();
    let place = first.endpoints()[0].clone();
    let second = WAY.caller().listen(&place).start().await;
    if WAY.shares_places() {
        second.unwrap().shutdown().await;
    } else {
        let error = second.unwrap_err();
        assert!(matches!(error, NodeError::Transport(_)), "{error}");
        assert_eq!(error.to_string(), format!("{place}: the endpoint is in use"));
    }
    first.shutdown().await;
    let begun = Instant::now();
    while WAY.caller().listen(&place).start().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn two_nodes_that_end_at_once_do_not_wait_for_each_other() {
    let (a, b) = (setting().await, setting().await);
    let to_b: Proxy<dyn Probe> = a.host.proxy(&b.reference).unwrap();
    let to_a: Proxy<dyn Probe> = b.host.proxy(&a.reference).unwrap();
    let calls = tokio::spawn(async move { tokio::join!(to_b.wait(50), to_a.wait(50)) });
    a.servant.until(|servant| servant.running.load(Ordering::SeqCst) == 1).await;
    b.servant.until(|servant| servant.running.load(Ordering::SeqCst) == 1).await;
    let ends = async { tokio::join!(a.host.shutdown(), b.host.shutdown()) };
    tokio::time::timeout(Duration::from_secs(5), ends).await.expect("neither waits for the other");
    drop(calls.await.unwrap());
}

/// How many files this process has open.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn nothing_is_left_of_connections_that_came_and_went() {
    let setting = setting().await;
    setting.probe.nothing().await.unwrap();
    drop(setting.probe);
    until_no_connections(&setting.host).await;
    for _ in 0..500 {
        let (_, own) = own_probe();
        let probe: Proxy<dyn Probe> = setting.caller.proxy(&setting.reference).unwrap();
        probe.relay(own, vec![1].into()).await.unwrap();
    }
    setting.caller.shutdown().await;
    until_no_connections(&setting.host).await;
    until_no_connections(&setting.caller).await;
    assert_eq!((setting.caller.exported(), setting.host.exported()), (0, 1));
    // Other tests of this process open files too: none of them so many.
    assert!(open_files() < 400, "{} files are open", open_files());
}

#[tokio::test]
async fn a_node_that_was_shut_down_makes_no_calls() {
    let setting = setting().await;
    setting.caller.shutdown().await;
    let error = setting.probe.nothing().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Misuse, Executed::No));
}
