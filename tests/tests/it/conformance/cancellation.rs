//! Group CAN.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rmi_core::{CallOptions, ErrorKind, Executed, Limits, MethodId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::WAY;
use super::probe::{Probe, Setting, own_probe, setting, setting_with};
use crate::hostile::{framed, hello};

fn millis(millis: u64) -> CallOptions {
    CallOptions::new().timeout(Duration::from_millis(millis))
}

#[tokio::test]
async fn dropping_the_call_drops_the_servants_work_and_leaves_others_alone() {
    let setting = setting().await;
    let (probe, other) = (setting.probe.clone(), setting.probe.clone());
    let kept = tokio::spawn(async move { other.wait(300).await });
    let dropped = tokio::spawn(async move { probe.hang().await });
    setting.servant.until(|servant| servant.running.load(Ordering::SeqCst) == 2).await;
    dropped.abort();
    setting.servant.until(|servant| servant.dropped.load(Ordering::SeqCst) == 1).await;
    kept.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_dropped_before_it_was_polled_never_runs() {
    let setting = setting().await;
    drop(setting.probe.note(1));
    setting.probe.nothing().await.unwrap();
    assert!(setting.servant.notes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_short_deadline_against_a_slow_servant_passes() {
    let setting = setting().await;
    setting.probe.nothing().await.unwrap();
    let begun = Instant::now();
    let error = setting.probe.with(millis(1)).wait(10_000).await.unwrap_err().remote();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert!(begun.elapsed() < Duration::from_secs(2));
    setting.servant.until(|servant| servant.running.load(Ordering::SeqCst) == 0).await;
}

/// Calls `note(7)` as a peer that knows nothing but the protocol does, with so many milliseconds left; gives the reply's status
/// and body.
async fn call_with_time_left(setting: &Setting, millis: u32) -> (u8, Vec<u8>) {
    let mut stream = WAY.transport().dial(&setting.host.endpoints()[0]).await.unwrap().stream;
    let method = MethodId::of("conformance.Probe", "note");
    let call = [
        &[2, 0][..],
        &[0; 9],
        &setting.reference.object.to_bytes(),
        &method.interface.0.to_le_bytes(),
        &method.method.to_le_bytes(),
        &millis.to_le_bytes(),
        &[0x91, 7],
    ];
    stream.write_all(&[hello(), framed(&call.concat())].concat()).await.unwrap();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).await.unwrap();
        let mut frame = vec![0; u32::from_le_bytes(length) as usize];
        stream.read_exact(&mut frame).await.unwrap();
        if frame[0] == 3 {
            return (frame[10], frame.split_off(11));
        }
    }
}

#[tokio::test]
async fn a_call_that_arrives_without_time_does_not_run() {
    let setting = setting().await;
    let notes = || setting.servant.notes.lock().unwrap().len();
    assert_eq!(call_with_time_left(&setting, 1000).await, (0, vec![0xc0]));
    assert_eq!(notes(), 1);
    let fault = [&[60, 0, 0, 0, 0, 0, 0, 0][..], b"the deadline passed before the call could run"].concat();
    assert_eq!(call_with_time_left(&setting, 0).await, (2, fault), "deadline passed, not executed");
    assert_eq!(notes(), 1);
}

#[tokio::test]
async fn connecting_calling_and_closing_have_limits_of_their_own() {
    let mut limits = Limits::default();
    limits.drain_timeout = Duration::from_millis(100);
    let setting = setting_with(|builder| builder.limits(limits).call_timeout(Duration::from_secs(5))).await;
    let probe = setting.probe.clone();
    let call = tokio::spawn(async move { probe.hang().await.unwrap_err().remote() });
    setting.servant.until(|servant| servant.running.load(Ordering::SeqCst) == 1).await;
    let begun = Instant::now();
    setting.host.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "closing took {:?}", begun.elapsed());
    assert_eq!(call.await.unwrap().executed(), Executed::Maybe);
}

#[tokio::test]
async fn a_late_answer_is_dropped_and_meets_no_other_call() {
    let setting = setting().await;
    for number in 0..50_u64 {
        let hurried = setting.probe.with(millis(number % 4 + 1));
        let (_, own) = own_probe();
        let (_late, back) = tokio::join!(
            hurried.relay(own, vec![1; 1000].into()),
            setting.probe.echo(number.to_le_bytes().to_vec().into())
        );
        assert_eq!(&back.unwrap()[..], number.to_le_bytes());
    }
}

#[tokio::test]
async fn cancelling_reaches_the_calls_that_the_servant_makes() {
    let setting = setting().await;
    let (servant, own) = own_probe();
    let probe = setting.probe.clone();
    let call = tokio::spawn(async move { probe.relay_hang(own).await });
    servant.until(|servant| servant.running.load(Ordering::SeqCst) == 1).await;
    call.abort();
    servant.until(|servant| servant.dropped.load(Ordering::SeqCst) == 1).await;
    setting.servant.until(|servant| servant.dropped.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_call_inside_a_call_has_what_is_left_of_its_time() {
    let setting = setting().await;
    let left = setting.probe.with(millis(5_000)).remaining_ms().await.unwrap();
    assert!((1..=5_000).contains(&left), "{left}");
    let left = setting.probe.remaining_ms().await.unwrap();
    assert!((20_000..=30_000).contains(&left), "{left}");
    let (servant, own) = own_probe();
    let error = setting.probe.with(millis(100)).relay_hang(own).await.unwrap_err().remote();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    servant.until(|servant| servant.dropped.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_call_that_waits_for_a_dead_peer_fails_at_once() {
    let setting = setting().await;
    let probe = setting.probe.clone();
    let call = tokio::spawn(async move { probe.hang().await.unwrap_err().remote() });
    setting.servant.until(|servant| servant.running.load(Ordering::SeqCst) == 1).await;
    let begun = Instant::now();
    drop(setting.host);
    assert_eq!(call.await.unwrap().kind(), ErrorKind::Disconnected);
    assert!(begun.elapsed() < Duration::from_secs(2));
}
